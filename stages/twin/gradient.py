"""Whether a gradient gets from the scores to the input; without one a search sees nothing."""

from __future__ import annotations

import torch
from torch import fx

from stages.errors import CannotJudge
from stages.twin.portions import portions
from stages.types import Floats

IMAGES = 64
"""On how many images it is tried."""
ENOUGH = 0.5
"""The share of images that a gradient must reach."""


def require_gradient(module: fx.GraphModule, images: Floats, enough: float = ENOUGH) -> None:
    """Raises unless the gradient of the largest score reaches the input of enough images.

    `images` are (N, *input shape), of which the first 64 are tried.

    Raises:
        CannotJudge: it does not; the message names the first node behind which it stops.
    """
    device = next((one.device for one in module.parameters()), torch.device("cpu"))
    first, trace = images[:IMAGES], _Trace(module)
    parts = portions(module, first, device, both_ways=True)
    reached = sum(_reached(trace, each) for each in parts)
    share = reached / len(first)
    if share < enough or share == 0:
        where = f" and stops at `{trace.stop}`" if trace.stop else ""
        raise CannotJudge(
            f"the gradient of the scores reaches the input for {share:.0%} of the images, at least"
            f" {enough:.0%} are needed{where}; no trigger can be searched through a step that has"
            " no slope: give the model behind it, with its inputs as numbers that change gradually"
        )


def _reached(trace: _Trace, images: torch.Tensor) -> int:
    """How many of the images (n, *input shape) have a gradient that is not all zero."""
    inputs = images.clone().requires_grad_()
    with torch.enable_grad():
        logits = trace.run(inputs)
    if not logits.requires_grad:
        return 0
    top = logits.max(dim=1).values - logits.mean(dim=1)
    (gradient,) = torch.autograd.grad(top.sum(), inputs, allow_unused=True)
    if gradient is None:
        return 0
    return int((gradient.flatten(1).abs().amax(dim=1) > 0).sum())


class _Trace(fx.Interpreter):
    """Runs the twin and keeps the name of the first node that loses the input's gradient."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.stop = ""
        self._live: set[fx.Node] = set()

    def run_node(self, n: fx.Node) -> object:
        """The node's value."""
        value = super().run_node(n)
        carries = isinstance(value, torch.Tensor) and value.requires_grad
        if n.op == "placeholder" or carries:
            self._live.add(n)
        elif not self.stop and self._live.intersection(n.all_input_nodes) and not _about_shape(n):
            self.stop = n.name
        return value


def _about_shape(node: fx.Node) -> bool:
    """Whether the node reads the sizes of its input alone."""
    return "shape" in node.name.lower() or "size" in node.name.lower()
