"""Adam steps up the mean margin of every class at once, which can be stopped and taken up again.

    Σ over classes t of   mean over x of other classes   margin_t(f(x'))

is one batch for all classes, as no class's parameters touch another's margin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stages.later import torch

BETAS = (0.5, 0.9)
"""Adam's decays: short memories, for searches of a few steps."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps of each parameter, by torch's own names."""


class Ascent:
    """Adam on some of the tensors (r, …) of a search, which keeps its moments beside them.

    `taken` counts the steps since the moments began; they begin anew where it is 0.
    """

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], names: Sequence[str], taken: int, rate: float
    ) -> None:
        self.names = names
        self.parameters = [tensors[name].detach().clone().requires_grad_() for name in names]
        self.optimiser = torch.optim.Adam(self.parameters, lr=rate, betas=BETAS)
        if taken:
            for name, parameter in zip(names, self.parameters, strict=True):
                moments = {each: tensors[f"{name}.{each}"].clone() for each in MOMENTS}
                self.optimiser.state[parameter] = {"step": torch.tensor(float(taken)), **moments}

    def step(self, margins: torch.Tensor) -> None:
        """One step up the margins (r,), which were computed from the parameters."""
        slopes = torch.autograd.grad(-margins.sum(), self.parameters)
        for parameter, slope in zip(self.parameters, slopes, strict=True):
            parameter.grad = slope
        self.optimiser.step()

    def tensors(self) -> dict[str, torch.Tensor]:
        """The parameters by name as they are now, and the moments to go on with."""
        kept = {}
        for name, parameter in zip(self.names, self.parameters, strict=True):
            kept[name] = parameter.detach()
            state = self.optimiser.state[parameter]
            kept |= {f"{name}.{each}": state[each] for each in MOMENTS if each in state}
        return kept


def without_moments(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that are no moments, for an ascent that begins anew."""
    return {name: each for name, each in tensors.items() if not name.endswith(MOMENTS)}
