"""The torch twin: a converted module with its noise sites and its split into features and head."""

from __future__ import annotations

import torch
from torch import fx

from stages.twin import sites
from stages.twin.convert import trainable_share
from stages.types import CleanSamples, OnnxArtifact, TorchTwin

PROBE = 3


def make_twin(
    artifact: OnnxArtifact, module: fx.GraphModule, samples: CleanSamples, device: torch.device
) -> TorchTwin:
    """The twin of an artifact whose converted module passed parity, moved to `device`.

    Raises:
        NoNoiseSites: when there is no place for noise, or no split into features and classifier.
    """
    module = module.to(device).eval().requires_grad_(requires_grad=False)
    probe = torch.tensor(samples.images[:PROBE], device=device)
    split = sites.find_split(module, probe)
    return TorchTwin(
        module=module,
        digest=artifact.twin_digest,
        device=device,
        classes=split.classes,
        trainable_share=trainable_share(module),
        sites=sites.find_sites(module, probe, split.last),
        features=split.features,
        classifier=split.classifier,
    )
