"""A program for the interpreter that has TensorFlow, which saves nets of many kinds."""

from __future__ import annotations

NATIVE = """
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

folder, random = Path(sys.argv[1]), np.random.default_rng(0)
images = random.standard_normal((8, 12, 12, 3)).astype("float32")
image = tf.TensorSpec((None, 12, 12, 3), tf.float32, name="picture")


def weights(*shape):
    return tf.Variable(random.normal(0, 0.3, shape).astype("float32"))


def keep(name, module, scores=None, **options):
    tf.saved_model.save(module, str(folder / name), **options)
    if scores is not None:
        np.savez(folder / f"{name}.npz", images=images, scores=scores)


class Net(tf.Module):
    def __init__(self):
        self.kernel, self.dense, self.bias = weights(3, 3, 3, 8), weights(288, 5), weights(5)
        self.norms = [(weights(8), weights(8), weights(8), tf.exp(weights(8))) for _ in range(2)]

    def scores(self, x):
        for k, (scale, shift, mean, variance) in enumerate(self.norms):
            x = tf.nn.conv2d(x, self.kernel, 2, "SAME") if k == 0 else tf.nn.relu(x)
            x, *_ = tf.compat.v1.nn.fused_batch_norm(
                x, scale, shift, mean, variance, is_training=False
            )
        return tf.reshape(x, (-1, 288)) @ self.dense + self.bias


class WithClasses(Net):
    @tf.function(input_signature=[image])
    def __call__(self, x):
        scores = self.scores(x)
        return {"best": tf.argmax(scores, -1), "scores": scores}


class AnySize(Net):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])
    def __call__(self, x):
        return self.scores(x)


class AnyRank(Net):
    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])
    def __call__(self, x):
        return self.scores(tf.reshape(x, (-1, 12, 12, 3)))


class OneImage(Net):
    @tf.function(input_signature=[tf.TensorSpec((1, 12, 12, 3), tf.float32)])
    def __call__(self, x):
        return self.scores(x)


class Bytes(Net):
    @tf.function(input_signature=[tf.TensorSpec((None, 12, 12, 3), tf.uint8)])
    def __call__(self, x):
        return self.scores(tf.cast(x, tf.float32))


class TwoScores(Net):
    @tf.function(input_signature=[image])
    def __call__(self, x):
        scores = self.scores(x)
        return {"logits": scores, "probabilities": tf.nn.softmax(scores)}


class Table(Net):
    def __init__(self):
        super().__init__()
        keys, values = tf.constant([0, 1], tf.int64), tf.constant([1, 0], tf.int64)
        rows = tf.lookup.KeyValueTensorInitializer(keys, values)
        self.table = tf.lookup.StaticHashTable(rows, -1)

    @tf.function(input_signature=[image])
    def __call__(self, x):
        return self.scores(x) + tf.one_hot(self.table.lookup(tf.cast(x[:, 0, 0, 0], tf.int64)), 5)


class Text(tf.Module):
    def __init__(self):
        self.dense = weights(4, 5)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def __call__(self, x):
        return tf.one_hot(tf.strings.to_hash_bucket_fast(x, 4), 4) @ self.dense


class Silent(tf.Module):
    def __call__(self, x):
        return x


keras.utils.set_random_seed(0)
layers = keras.layers
net = keras.Sequential([
    keras.Input((12, 12, 3)),
    layers.Conv2D(8, 3, padding="same", strides=2), layers.BatchNormalization(), layers.ReLU(),
    layers.DepthwiseConv2D(3, padding="same"), layers.ReLU(), layers.BatchNormalization(),
    layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5),
    layers.Dense(5, activation="softmax"),
])
for variable in net.weights:
    if "moving" in variable.path:
        variable.assign(np.exp(random.normal(size=variable.shape)))
net.export(str(folder / "keras"), verbose=False)
np.savez(folder / "keras.npz", images=images, scores=net(images, training=False))

one = WithClasses()
keep("module", one, one(images)["scores"])
keep("any_size", any_size := AnySize(), any_size(images))
keep("any_rank", any_rank := AnyRank(), any_rank(images))
keep("one_name", one, one(images)["scores"], signatures={"classify": one.__call__})
text = one.text = Text()
keep("default_first", one, one(images)["scores"],
     signatures={"serving_default": one.__call__, "text": text.__call__})
keep("two_names", one, signatures={"classify": one.__call__, "text": text.__call__})
with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    x = tf.compat.v1.placeholder(tf.float32, (None, 12, 12, 3))
    y = tf.nn.relu(tf.nn.conv2d(x, tf.compat.v1.get_variable("kernel", (3, 3, 3, 8)), 2, "SAME"))
    y = tf.reshape(y, (-1, 288)) @ tf.compat.v1.get_variable("dense", (288, 5))
    session.run(tf.compat.v1.global_variables_initializer())
    tf.compat.v1.saved_model.simple_save(session, str(folder / "release_1"), {"x": x}, {"y": y})
    np.savez(folder / "release_1.npz", images=images, scores=session.run(y, {x: images}))
for module in (OneImage(), Bytes(), TwoScores(), Table(), text, Silent()):
    keep(type(module).__name__, module)
"""
