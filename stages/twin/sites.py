"""Where neuron noise may enter a twin, and where its features end.

Noise sites are the outputs of BatchNorm layers, and of convolutions and linear layers that have no
BatchNorm of their own (exporters fold it away). Noise around the clean channel mean μ,

    y' = (y − μ)(1 + δ) + μ(1 + ξ),

then equals BAN's noise on γ and β, because a BatchNorm output has mean β on clean data.
Source: BAN (arXiv 2405.19928), section 4; the re-synthesis for folded graphs is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from onnx2torch.node_converters.gemm import OnnxGemm
from onnx2torch.node_converters.matmul import OnnxMatMul
from torch import fx, nn

from stages.converters.convolution import FunctionalConv
from stages.converters.reduce import Reduce
from stages.errors import NoNoiseSites
from stages.stage import stage
from stages.twin import fx_graph
from stages.twin.portions import portions
from stages.types import CleanSamples, NoiseSite, SiteStatistics, TorchTwin

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
POOLS_AND_SHAPES = (
    "flatten",
    "reshape",
    "squeeze",
    "dropout",
    "identity",
    "avgpool",
    "averagepool",
    "quantizelinear",
)


@dataclass(frozen=True, kw_only=True)
class Split:
    """The last layers of a net and its number of classes; with one last layer, its classifier, also
    the feature map that it reads.
    """

    last: tuple[str, ...]
    features: str | None
    classifier: str | None
    classes: int


def find_split(module: fx.GraphModule, images: torch.Tensor) -> Split:
    """Where features end and the head begins: the last feature map before pooling and flattening.

    `images` is a batch of two or more inputs, (N, *input shape). Of several last layers, as those
    of an ensemble or of heads that are averaged, none is the classifier.

    Raises:
        NoNoiseSites: when no layer with weights computes the logits, or the first one does.
    """
    shapes = fx_graph.shapes(module, images)
    output = fx_graph.output_of(module)
    last = _last_layers(module, output)
    alone = last[0] if len(last) == 1 and _has_weights(module, last[0]) else None
    features = [_features(module, node) for node in last]
    return Split(
        last=tuple(node.name for node in last),
        features=None if alone is None else features[0].name,
        classifier=None if alone is None else alone.name,
        classes=shapes[output][-1],
    )


def _last_layers(module: fx.GraphModule, output: fx.Node) -> list[fx.Node]:
    """The layers with weights that the logits are computed from with no other between."""
    found: dict[fx.Node, None] = {}
    seen, waiting = {output}, [output]
    while waiting:
        node = waiting.pop()
        if _has_weights(module, node) or _multiplies_by_constant(module, node):
            found[node] = None
            continue
        if node.op == "placeholder":
            raise NoNoiseSites(
                "no split into features and classifier: the model's input reaches the scores"
                " around all layers with weights; expected a network whose last layer computes them"
            )
        fresh = [used for used in _data_inputs(node) if used not in seen]
        seen.update(fresh)
        waiting.extend(fresh)
    if not found:
        raise NoNoiseSites("no split into features and classifier: no layer has weights")
    return list(found)


def _multiplies_by_constant(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the node is a product with weights that is no layer of its own."""
    product = isinstance(_layer(module, node), (OnnxGemm, OnnxMatMul, FunctionalConv))
    return product and any(used.op == "get_attr" for used in node.all_input_nodes)


def _features(module: fx.GraphModule, classifier: fx.Node) -> fx.Node:
    (node,) = _data_inputs(classifier)[:1] or [classifier]
    if node is classifier or node.op == "placeholder":
        raise NoNoiseSites(
            "no split into features and classifier: the final layer reads the input itself, so"
            " there are no neurons to perturb"
        )
    while _is_pool_or_shape(module, node):
        (node,) = _data_inputs(node)[:1]
    return node


def find_sites(
    module: fx.GraphModule, images: torch.Tensor, last: Sequence[str]
) -> tuple[NoiseSite, ...]:
    """The noise sites from input to output; never one of the last layers.

    Only what lies between the input and the last layers counts: a BatchNorm that merely
    standardises weights carries no neuron.

    Raises:
        NoNoiseSites: when there is none.
    """
    shapes = fx_graph.shapes(module, images)
    ahead = set().union(*(fx_graph.ancestors(fx_graph.node_named(module, one)) for one in last))
    sites = [
        site
        for node in module.graph.nodes
        if node in ahead
        and node.name not in last
        and node in shapes
        and _reads_input(node)
        and (site := _site(module, node, shapes[node])) is not None
    ]
    if not sites:
        raise NoNoiseSites(
            "no noise sites: found no convolution, linear or BatchNorm layer before the final"
            " classifier; linear models and tree ensembles have no neurons to perturb"
        )
    return tuple(sites)


def _reads_input(node: fx.Node) -> bool:
    return any(used.op == "placeholder" for used in fx_graph.ancestors(node))


def _site(module: fx.GraphModule, node: fx.Node, shape: tuple[int, ...]) -> NoiseSite | None:
    layer = _layer(module, node)
    if isinstance(layer, NORMS):
        return NoiseSite(node=node.name, kind="batchnorm", channels=shape[1], axis=1 - len(shape))
    if _only_feeds_norm(module, node):
        return None
    if isinstance(layer, CONVOLUTIONS):
        return NoiseSite(node=node.name, kind="conv", channels=shape[1], axis=1 - len(shape))
    if isinstance(layer, nn.Linear):
        return NoiseSite(node=node.name, kind="linear", channels=shape[-1], axis=-1)
    return None


def _only_feeds_norm(module: fx.GraphModule, node: fx.Node) -> bool:
    users = list(node.users)
    return len(users) == 1 and isinstance(_layer(module, users[0]), NORMS)


def _layer(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    if node.op != "call_module":
        return None
    layer = module.get_submodule(str(node.target))
    # a convolution with asymmetric padding is converted to a padding and the convolution
    return layer[-1] if isinstance(layer, nn.Sequential) else layer


def _has_weights(module: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(_layer(module, node), (nn.Linear, *CONVOLUTIONS))


def _is_pool_or_shape(module: fx.GraphModule, node: fx.Node) -> bool:
    layer = _layer(module, node)
    if layer is None or len(_data_inputs(node)) != 1:
        return False
    if isinstance(layer, Reduce):
        return layer.operator == "ReduceMean"
    name = type(layer).__name__.lower()
    return any(word in name for word in POOLS_AND_SHAPES)


def _data_inputs(node: fx.Node) -> list[fx.Node]:
    return [used for used in node.all_input_nodes if used.op != "get_attr"]


@stage(version=1)
def measure_sites(twin: TorchTwin, samples: CleanSamples) -> tuple[SiteStatistics, ...]:
    """Mean and standard deviation (C,) of every site's channels over the clean samples."""
    moments = {site.node: _Moments(site) for site in twin.sites}
    with torch.no_grad():
        for batch in portions(twin.module, samples.images, twin.device):
            fx_graph.run(twin.module, batch, edits={k: m.add for k, m in moments.items()})
    return tuple(moments[site.node].statistics() for site in twin.sites)


class _Moments:
    """Running sums of a site's channels, in float64."""

    def __init__(self, site: NoiseSite) -> None:
        self.axis = site.axis
        self.count = 0
        self.total = torch.zeros(site.channels, dtype=torch.float64)
        self.squares = torch.zeros(site.channels, dtype=torch.float64)

    def add(self, value: torch.Tensor) -> torch.Tensor:
        channels = value.double().movedim(self.axis, 0).flatten(1)
        self.count += channels.shape[1]
        self.total += channels.sum(1).cpu()
        self.squares += channels.square().sum(1).cpu()
        return value

    def statistics(self) -> SiteStatistics:
        mean = self.total / self.count
        variance = (self.squares / self.count - mean.square()).clamp(min=0)
        return SiteStatistics(mean=mean.float().numpy(), deviation=variance.sqrt().float().numpy())
