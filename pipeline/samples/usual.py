"""The preprocessings that most classifiers were trained with, by name.

Values are those of torchvision, timm and transformers, of Keras (`caffe`), and of the usual scripts
for the small data sets.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.samples.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Usual:
    """A usual preprocessing: what it is called in a sentence, and the options that ask for it."""

    title: str
    options: str
    preprocessing: Preprocessing


def _named(name: str, title: str, preprocessing: Preprocessing) -> Usual:
    return Usual(title=title, options=f"--preprocess {name}", preprocessing=preprocessing)


NAMED: dict[str, Usual] = {
    "imagenet": _named(
        "imagenet",
        "ImageNet's mean and standard deviation",
        Preprocessing(
            resize=(256,),
            crop=(224, 224),
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
    ),
    "clip": _named(
        "clip",
        "CLIP's mean and standard deviation",
        Preprocessing(
            resize=(224,),
            crop=(224, 224),
            interpolation="bicubic",
            mean=(0.48145466, 0.4578275, 0.40821073),
            std=(0.26862954, 0.26130258, 0.27577711),
        ),
    ),
    "caffe": _named(
        "caffe",
        "Caffe's preprocessing (blue first, 0 to 255, less the mean)",
        Preprocessing(
            span=(0.0, 255.0),
            mean=(103.939, 116.779, 123.68),
            std=(1.0, 1.0, 1.0),
            channels="bgr",
        ),
    ),
    "cifar10": _named(
        "cifar10",
        "CIFAR-10's mean and standard deviation",
        Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    ),
    "mnist": _named(
        "mnist",
        "MNIST's mean and standard deviation",
        Preprocessing(mean=(0.1307,), std=(0.3081,), channels="grey"),
    ),
}
"""What `--preprocess` takes by name."""

PLAIN: tuple[Usual, ...] = (
    Usual(title="values from 0 to 1", options="--range 0-1", preprocessing=Preprocessing()),
    Usual(
        title="values from 0 to 255",
        options="--range 0-255",
        preprocessing=Preprocessing(span=(0.0, 255.0)),
    ),
    Usual(
        title="values from -1 to 1",
        options="--range -1-1",
        preprocessing=Preprocessing(span=(-1.0, 1.0)),
    ),
)
"""Ranges without a mean of their own."""

USUAL: tuple[Usual, ...] = (*PLAIN, *NAMED.values())
"""All of them, the most common first."""
