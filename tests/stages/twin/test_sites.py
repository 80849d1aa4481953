"""Noise sites, the split into features and head, and the channel statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import fx, nn

from stages.errors import NoNoiseSites
from stages.twin import fx_graph, sites
from tests.support import twins, zoo

FEATURE_SHAPES = {
    "small_cnn": (16, 8, 8),
    "vgg_bn": (32,),
    "resnet": (16, 16, 16),
    "mobilenet": (1280, 4, 4),
    "mlp": (32,),
    "vit": (32,),
}


@pytest.mark.parametrize("architecture", FEATURE_SHAPES)
@pytest.mark.parametrize("exporter", ["dynamo", "legacy"])
def test_features_end_before_pooling_and_flattening(architecture: str, exporter: str) -> None:
    """Pooled, flattened, token and MLP heads all give the last map before the head."""
    twin = twins.twin(architecture, exporter)

    shape = fx_graph.shapes(twin.module, zoo.images(2))[
        fx_graph.node_named(twin.module, twin.features)
    ]

    assert shape[1:] == FEATURE_SHAPES[architecture]


@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
@pytest.mark.parametrize("exporter", ["dynamo", "legacy", "legacy-preserve"])
def test_head_of_features_is_the_twin(architecture: str, exporter: str) -> None:
    """Body then head computes what the whole twin computes."""
    twin = twins.twin(architecture, exporter)
    images = zoo.images(5)
    inputs = [node for node in twin.module.graph.nodes if node.op == "placeholder"]
    features = fx_graph.node_named(twin.module, twin.features)

    body = fx_graph.part(twin.module, inputs, features)
    head = fx_graph.part(twin.module, [features], fx_graph.output_of(twin.module))

    assert torch.equal(head(body(images)), twin.module(images))


@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
@pytest.mark.parametrize("exporter", ["dynamo", "legacy", "legacy-preserve"])
def test_classifier_is_never_a_site(architecture: str, exporter: str) -> None:
    """There are sites, all before the final layer, each with the channels of its output."""
    twin = twins.twin(architecture, exporter)

    shapes = fx_graph.shapes(twin.module, zoo.images(2))

    assert twin.sites
    assert twin.classifier not in {site.node for site in twin.sites}
    for site in twin.sites:
        assert shapes[fx_graph.node_named(twin.module, site.node)][site.axis] == site.channels


def test_kept_batchnorm_is_the_site_instead_of_its_convolution() -> None:
    """Where BatchNorm survived the export it carries the noise, and its convolution does not."""
    kept = twins.twin("resnet", "legacy-preserve")
    folded = twins.twin("resnet", "dynamo")

    assert {site.kind for site in kept.sites} == {"batchnorm"}
    assert {site.kind for site in folded.sites} == {"conv"}
    assert len(kept.sites) == len(folded.sites)


def test_statistics_are_those_of_the_outputs() -> None:
    """Mean and deviation equal those of the site's own outputs over samples and positions."""
    twin, samples = twins.twin(), twins.samples()
    first = twin.sites[0]
    body = fx_graph.part(
        twin.module,
        [node for node in twin.module.graph.nodes if node.op == "placeholder"],
        fx_graph.node_named(twin.module, first.node),
    )
    with torch.no_grad():
        outputs = body(torch.tensor(samples.images))

    found = twins.statistics()[0]

    np.testing.assert_allclose(found.mean, outputs.mean((0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(
        found.deviation, outputs.std((0, 2, 3), correction=0), rtol=1e-4, atol=1e-5
    )


def test_linear_model_has_no_sites() -> None:
    """A model whose final layer reads the input has no neurons, and the error says so."""
    module = fx.symbolic_trace(nn.Sequential(nn.Linear(4, 3)))

    with pytest.raises(NoNoiseSites, match="reads the input itself"):
        sites.find_split(module, torch.zeros(3, 4))


def test_of_two_last_layers_neither_is_the_classifier() -> None:
    """Heads that are averaged, or joined, leave the layers before both of them for noise."""

    class TwoHeads(nn.Module):
        def __init__(self, *, joined: bool) -> None:
            super().__init__()
            self.body, self.joined = nn.Linear(4, 6), joined
            self.one, self.two = nn.Linear(6, 3), nn.Linear(6, 3)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            features = self.body(values).relu()
            one, two = self.one(features), self.two(features)
            return torch.cat([one, two], 1) if self.joined else (one + two) / 2

    for joined in (False, True):
        module = fx.symbolic_trace(TwoHeads(joined=joined))
        split = sites.find_split(module, torch.zeros(3, 4))
        found = sites.find_sites(module, torch.zeros(3, 4), split.last)

        assert (split.classifier, split.features) == (None, None)
        assert (set(split.last), split.classes) == ({"one", "two"}, 6 if joined else 3)
        assert [site.node for site in found] == ["body"]
