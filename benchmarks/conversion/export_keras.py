"""Writes one Keras model as ONNX; run by path with an interpreter that has Keras.

`python export_keras.py MODEL EXPORTER TARGET`; the backend is what `KERAS_BACKEND` names.
"""

from __future__ import annotations

import sys
from functools import partial

import keras
import numpy as np
from keras import layers

CLASSES = 10


def small_cnn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            *(layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()),
            *(layers.MaxPooling2D(), layers.Conv2D(16, 3, use_bias=False)),
            *(layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()),
            *(layers.Flatten(), layers.Dense(CLASSES)),
        ]
    )


def small_cnn_softmax() -> keras.Model:
    return keras.Sequential([small_cnn(), layers.Softmax()])


def mlp() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((64,)),
            *(layers.Dense(32, activation="relu"), layers.BatchNormalization()),
            *(layers.Dropout(0.2), layers.Dense(32, activation="elu")),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def residual() -> keras.Model:
    source = keras.Input((32, 32, 3))
    body = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(source)
    body = layers.Activation("relu")(layers.BatchNormalization()(body))
    inner = layers.Conv2D(16, 3, padding="same", use_bias=False)(body)
    inner = layers.BatchNormalization()(inner)
    body = layers.Activation("relu")(layers.Add()([body, inner]))
    pooled = layers.GlobalAveragePooling2D()(body)
    return keras.Model(source, layers.Dense(CLASSES)(pooled))


def separable() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
            *(layers.BatchNormalization(), layers.ReLU(6.0)),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            *(layers.BatchNormalization(), layers.Activation("swish")),
            *(layers.Conv2D(16, 1), layers.SeparableConv2D(16, 3), layers.BatchNormalization()),
            *(layers.LeakyReLU(), layers.AveragePooling2D(2), layers.GlobalMaxPooling2D()),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def attention() -> keras.Model:
    soft = partial(keras.activations.gelu, approximate=True)  # tf2onnx has no exact one
    source = keras.Input((32, 32, 3))
    body = layers.Conv2D(32, 8, strides=8)(source)
    body = layers.Reshape((16, 32))(body)
    normed = layers.LayerNormalization()(body)
    body = layers.Add()([body, layers.MultiHeadAttention(2, 16)(normed, normed)])
    body = layers.Dense(32, activation=soft)(layers.LayerNormalization()(body))
    return keras.Model(source, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(body)))


def application(name: str, size: int = 64, **settings: bool) -> keras.Model:
    build = getattr(keras.applications, name)
    return build(weights=None, input_shape=(size, size, 3), classes=CLASSES, **settings)


MODELS = {
    one.__name__: one for one in (small_cnn, small_cnn_softmax, mlp, residual, separable, attention)
} | {
    "mobilenet_v2": lambda: application("MobileNetV2"),
    "mobilenet_v3_small": lambda: application("MobileNetV3Small"),
    "efficientnet_b0": lambda: application("EfficientNetB0"),
    "efficientnet_v2_b0": lambda: application("EfficientNetV2B0", include_preprocessing=False),
    "resnet50": lambda: application("ResNet50"),
    "densenet121": lambda: application("DenseNet121"),
    "xception": lambda: application("Xception", 96),
}


def prepared(name: str) -> keras.Model:
    """The seeded model: constants get noise, BatchNorm the statistics of one random batch."""
    keras.utils.set_random_seed(7)
    model = MODELS[name]()
    rng = np.random.default_rng(7)
    for weight in model.trainable_weights:
        value = np.asarray(keras.ops.convert_to_numpy(weight))
        if value.size > 1 and value.std() == 0:
            weight.assign(value + 0.2 * rng.standard_normal(value.shape).astype(np.float32))
    norms = [one for one in model._flatten_layers() if isinstance(one, layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    model(rng.standard_normal((16, *model.input_shape[1:])).astype(np.float32), training=True)
    return model


def export_tf2onnx(model: keras.Model, target: str, *, opset: int, nchw: bool) -> None:
    import tensorflow as tf  # noqa: PLC0415 # only this exporter needs it
    import tf2onnx  # noqa: PLC0415 # same

    source = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="x")
    tf2onnx.convert.from_function(
        tf.function(lambda x: model(x, training=False)),
        input_signature=(source,),
        opset=opset,
        inputs_as_nchw=["x"] if nchw else None,
        output_path=target,
    )


def main() -> None:
    name, exporter, target = sys.argv[1:]
    model = prepared(name)
    if exporter == "keras":
        model.export(target, format="onnx", verbose=False)
        return
    _, opset, *rest = exporter.split("-")
    export_tf2onnx(model, target, opset=int(opset), nchw=rest == ["nchw"])


if __name__ == "__main__":
    main()
