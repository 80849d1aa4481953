"""Twins of the tiny seeded nets, and samples they classify."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from onnx import ModelProto
from torch import fx

from stages.passes import normalise
from stages.published.results import UntargetedNoise
from stages.published.settings import UntargetedNoiseConfig
from stages.published.untargeted_noise import find_untargeted_noise
from stages.searches.search import Subject
from stages.twin import sites
from stages.twin.convert import build_module, trainable_share
from stages.twin.precondition import check_preconditions
from stages.twin.settings import PreconditionConfig
from stages.types import CleanSamples, PreconditionResult, SiteStatistics, TorchTwin
from tests.support import zoo


@cache
def twin(architecture: str = "small_cnn", exporter: str = "dynamo") -> TorchTwin:
    """The twin of one of the nets of `zoo`; shared, so a test must leave it as it was."""
    model = ModelProto.FromString(zoo.exported(architecture, exporter))
    module = build_module(normalise(model)).requires_grad_(requires_grad=False)
    return _with_sites(module, zoo.images(3), f"{architecture}-{exporter}")


@cache
def samples(architecture: str = "small_cnn", count: int = 96) -> CleanSamples:
    """Random images labelled by the net itself, so that every sample is classified correctly."""
    images = zoo.images(count)
    with torch.no_grad():
        labels = zoo.net(architecture)(images).argmax(1)
    return CleanSamples(images=images.numpy(), labels=labels.numpy().astype(np.int64))


@cache
def statistics(
    architecture: str = "small_cnn", exporter: str = "dynamo"
) -> tuple[SiteStatistics, ...]:
    """The measured sites of that twin."""
    return sites.measure_sites(twin(architecture, exporter), samples(architecture))


@cache
def clean(architecture: str = "small_cnn") -> PreconditionResult:
    """What that twin does on its samples."""
    return check_preconditions(twin(architecture), samples(architecture), PreconditionConfig())


@cache
def subject(architecture: str = "small_cnn") -> Subject:
    """That twin as the searches see it."""
    return Subject(
        twin=twin(architecture),
        samples=samples(architecture),
        clean=clean(architecture),
        sites=statistics(architecture),
    )


def untargeted_noise(epsilon: float = 0.3, seed: int = 0) -> UntargetedNoise:
    """The paper's noise on the small net, in a few steps."""
    config = UntargetedNoiseConfig(samples=20, steps=8)
    return find_untargeted_noise(subject(), config, epsilon, seed)


def weights(module: fx.GraphModule) -> dict[str, torch.Tensor]:
    """A copy of a module's weights and running statistics, to compare with later."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def untouched(module: fx.GraphModule, before: dict[str, torch.Tensor]) -> bool:
    """Whether a twin's module is in eval mode, without gradients, and has the weights it had."""
    now, parameters = module.state_dict(), list(module.parameters())
    return (
        not module.training
        and all(torch.equal(before[name], value) for name, value in now.items())
        and not any(each.requires_grad or each.grad is not None for each in parameters)
    )


def make(
    net: torch.nn.Module, exporter: str, images: torch.Tensor
) -> tuple[TorchTwin, tuple[SiteStatistics, ...]]:
    """Twin and site statistics of a net of one's own, exported as the exporter of `zoo` does."""
    module = build_module(normalise(ModelProto.FromString(zoo.EXPORTERS[exporter](net))))
    twin = _with_sites(module, images[:3], exporter)
    labels = np.zeros(len(images), dtype=np.int64)
    return twin, sites.measure_sites(twin, CleanSamples(images=images.numpy(), labels=labels))


def _with_sites(module: fx.GraphModule, probe: torch.Tensor, digest: str) -> TorchTwin:
    split = sites.find_split(module, probe)
    return TorchTwin(
        module=module,
        digest=digest,
        device=torch.device("cpu"),
        classes=split.classes,
        trainable_share=trainable_share(module),
        sites=sites.find_sites(module, probe, split.last),
        features=split.features,
        classifier=split.classifier,
    )
