"""Writes one Flax model as ONNX; run by path with an interpreter that has jax2onnx.

`python export_jax.py MODEL EXPORTER TARGET`; the exporter's name ends in the opset.
"""

from __future__ import annotations

import sys

import jax
import jax2onnx
import onnx
from flax import nnx
from jax import numpy as jnp

CLASSES = 10
IMAGE = (32, 32, 3)


class SmallCnn(nnx.Module):
    """Two convolutions with BatchNorm, pooled, and one linear layer."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.first_norm = nnx.BatchNorm(8, momentum=0.0, rngs=rngs)
        self.second = nnx.Conv(8, 16, (3, 3), padding="SAME", use_bias=False, rngs=rngs)
        self.second_norm = nnx.BatchNorm(16, momentum=0.0, rngs=rngs)
        self.last = nnx.Linear(16 * 8 * 8, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.first_norm(self.first(x)))
        x = nnx.max_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = nnx.relu(self.second_norm(self.second(x)))
        x = nnx.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
        return self.last(x.reshape(x.shape[0], -1))


class Mlp(nnx.Module):
    """Three linear layers with LayerNorm and a softmax."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(64, 32, rngs=rngs)
        self.norm = nnx.LayerNorm(32, rngs=rngs)
        self.second = nnx.Linear(32, 32, rngs=rngs)
        self.last = nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.gelu(self.norm(self.first(x)))
        return nnx.softmax(self.last(nnx.tanh(self.second(x))))


class Residual(nnx.Module):
    """A strided convolution, a residual block, a depthwise convolution, and mean pooling."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, 16, (3, 3), strides=(2, 2), rngs=rngs)
        self.norm = nnx.BatchNorm(16, momentum=0.0, rngs=rngs)
        self.body = nnx.Conv(16, 16, (3, 3), rngs=rngs)
        self.depth = nnx.Conv(16, 16, (3, 3), feature_group_count=16, rngs=rngs)
        self.last = nnx.Linear(16, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm(self.stem(x)))
        x = nnx.relu(x + self.body(x))
        x = nnx.silu(self.depth(x))
        return self.last(jnp.mean(x, axis=(1, 2)))


class Attention(nnx.Module):
    """Patches, one block of attention with LayerNorm, and mean pooling."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.patches = nnx.Conv(3, 32, (8, 8), strides=(8, 8), padding="VALID", rngs=rngs)
        self.norm = nnx.LayerNorm(32, rngs=rngs)
        self.mix = nnx.MultiHeadAttention(2, 32, decode=False, rngs=rngs)
        self.last = nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.patches(x).reshape(x.shape[0], 16, 32)
        x = x + self.mix(self.norm(x))
        return self.last(jnp.mean(x, axis=1))


MODELS = {
    "small_cnn": (SmallCnn, IMAGE),
    "mlp": (Mlp, (64,)),
    "residual": (Residual, IMAGE),
    "attention": (Attention, IMAGE),
}


def main() -> None:
    name, exporter, target = sys.argv[1:]
    build, shape = MODELS[name]
    model = build(nnx.Rngs(7))
    model.train()
    model(jax.random.normal(jax.random.key(7), (16, *shape)))
    model.eval()
    opset = int(exporter.rpartition("-")[2])
    onnx.save(jax2onnx.to_onnx(model, [("B", *shape)], opset=opset), target)


if __name__ == "__main__":
    main()
