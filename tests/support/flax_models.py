"""Programs for the interpreter that has Flax: its nets, and what these say of images."""

from __future__ import annotations

NETS = '''
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

IMAGES = np.random.default_rng(0).standard_normal((8, 12, 12, 3)).astype("float32")


class Net(nnx.Module):
    """BatchNorm, LayerNorm and dropout; a pool with its window by position, another by name."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first, self.norm = nnx.Conv(3, 8, (3, 3), rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.second = nnx.Conv(8, 16, (3, 3), strides=2, padding="VALID", rngs=rngs)
        self.other = nnx.BatchNorm(16, rngs=rngs)
        self.layer = nnx.LayerNorm(144, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.dense = nnx.Linear(144, 5, rngs=rngs)

    def features(self, x):
        x = nnx.max_pool(nnx.relu(self.norm(self.first(x))), (2, 2))
        x = nnx.avg_pool(nnx.gelu(self.other(self.second(x))), window_shape=(3, 3), padding="SAME")
        x = nnx.avg_pool(x, (2, 2), (2, 2), "SAME")
        return self.dropout(self.layer(x.reshape(x.shape[0], -1)))

    def __call__(self, x):
        return self.dense(self.features(x))


class Features(Net):
    def __call__(self, x):
        return self.features(x).reshape(-1, 3, 3, 16)


class WithClasses(Net):
    def __call__(self, x):
        scores = super().__call__(x)
        return {"scores": scores, "best": scores.argmax(-1)}


class Sorted(Net):
    def __call__(self, x):
        return jax.lax.linalg.qr(super().__call__(x).reshape(-1, 5, 1))[0].reshape(-1, 5)


class Pool(nnx.Module):
    def __call__(self, x):
        return x.mean((1, 2))


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        x = linen.Conv(8, (3, 3))(x)
        x = linen.relu(linen.BatchNorm(use_running_average=not train)(x))
        x = linen.avg_pool(x, (2, 2), (2, 2)).reshape(x.shape[0], -1)
        x = linen.Dropout(0.5, deterministic=not train)(linen.relu(linen.Dense(16)(x)))
        return linen.softmax(linen.Dense(5)(x))


class AskedToTrain(linen.Module):
    @linen.compact
    def __call__(self, x, train):
        return linen.Dense(5)(x.reshape(x.shape[0], -1))


def trained(model):
    """The module with statistics of BatchNorm that are neither zero nor one, left in train mode."""
    model.train()
    model(3 * IMAGES + 1)
    return model


def bound(model, *more):
    variables = model.init(jax.random.key(0), IMAGES[:1], *more)
    shifted = jax.tree.map(lambda one: one + 0.5, variables.get("batch_stats", {}))
    return model.bind({**variables, "batch_stats": shifted})


def net():
    return trained(Net())


def with_classes():
    return trained(WithClasses())


def features():
    return Features()


def decomposed():
    return Sorted()


def no_weights():
    return Pool()


def linen_net():
    return bound(Linen())


def needs_more():
    return bound(AskedToTrain(), False)


def unbound():
    return Linen()


def variables():
    return nnx.state(Net())
'''
NATIVE = """
import sys
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
import nets

for name in ("net", "with_classes", "linen_net"):
    model = getattr(nets, name)()
    if hasattr(model, "eval"):
        model.eval()
    scores = model(nets.IMAGES)
    scores = scores["scores"] if isinstance(scores, dict) else scores
    np.savez(folder / f"{name}.npz", images=nets.IMAGES, scores=scores)
"""
