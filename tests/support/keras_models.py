"""Small classifiers of Keras, on the backend that is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stages.export.keras import keras

layers = keras.layers


def convolutions() -> Any:
    """Convolutions with BatchNorm, pooling with padding, and a softmax."""
    return keras.Sequential(
        [
            keras.Input((11, 11, 3)),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(padding="same"),
            layers.Conv2D(8, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(5, activation="softmax"),
        ]
    )


def perceptron() -> Any:
    """Dense layers with a GELU and a BatchNorm between."""
    return keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(16, activation="gelu"),
            layers.BatchNormalization(),
            layers.Dense(4),
        ]
    )


def branches() -> Any:
    """A graph with a sum, separable convolutions and a LayerNorm."""
    image = keras.Input((8, 8, 1))
    maps = layers.Add()([layers.Conv2D(4, 3, padding="same")(image), layers.Conv2D(4, 1)(image)])
    maps = layers.SeparableConv2D(6, 3)(layers.DepthwiseConv2D(3)(maps))
    return keras.Model(image, layers.Dense(3)(layers.LayerNormalization()(layers.Flatten()(maps))))


def attention() -> Any:
    """Patches, one block of attention, and a mean over the patches."""
    image = keras.Input((8, 8, 3))
    patches = layers.Reshape((4, 16))(layers.Conv2D(16, 4, strides=4)(image))
    patches = layers.Add()([patches, layers.MultiHeadAttention(2, 8)(patches, patches)])
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling1D()(patches)))


def preprocessing() -> Any:
    """Rescaling and normalisation by constants before a convolution."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
            layers.Conv2D(4, 3),
            layers.LeakyReLU(),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


MODELS: dict[str, Callable[[], Any]] = {
    one.__name__: one for one in (convolutions, perceptron, branches, attention, preprocessing)
}
