"""Adam steps up the mean margin of every class at once, which can be stopped and taken up again.

    Σ over classes t of   mean over x of other classes   margin_t(f(x'))

is one batch for all classes, as no class's parameters touch another's margin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stages.later import adam, torch, without_gradients

BETAS = (0.5, 0.9)
"""Adam's decays: short memories, for searches of a few steps."""
EPSILON = 1e-8
"""What Adam adds to the root of the second moment, as by default."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps of each parameter, by torch's own names."""


class Ascent:
    """Adam on some of the tensors (r, …) of a search, which keeps its moments beside them.

    `taken` counts the steps since the moments began; they begin anew where it is 0. `torch.optim`'s
    function takes the steps: its class would load torch's compiler first, which takes a second.
    """

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], names: Sequence[str], taken: int, rate: float
    ) -> None:
        self.names, self.taken, self.rate = names, taken, rate
        self.parameters = [tensors[name].detach().clone().requires_grad_() for name in names]
        self.moments = {
            f"{name}.{each}": tensors[f"{name}.{each}"].clone() if taken else torch.zeros_like(kept)
            for name, kept in zip(names, self.parameters, strict=True)
            for each in MOMENTS
        }

    def step(self, margins: torch.Tensor) -> None:
        """One step up the margins (r,), which were computed from the parameters."""
        self._step_by(torch.autograd.grad(-margins.sum(), self.parameters))

    def step_in_parts(self, margins: Iterable[torch.Tensor]) -> torch.Tensor:
        """One step up all margins, and what they were (r,); each part (n,) of them is computed from
        the parameters when it is asked for, and its activations are given back before the next.
        """
        slopes = [torch.zeros_like(each) for each in self.parameters]
        reached = []
        for part in margins:
            found = torch.autograd.grad(-part.sum(), self.parameters)
            slopes = [slope + more for slope, more in zip(slopes, found, strict=True)]
            reached.append(part.detach())
        self._step_by(slopes)
        return torch.cat(reached)

    @without_gradients
    def _step_by(self, slopes: Sequence[torch.Tensor]) -> None:
        """One step down the slopes, one of each parameter."""
        means, squares = (
            [self.moments[f"{name}.{each}"] for name in self.names] for each in MOMENTS
        )
        steps = [torch.tensor(float(self.taken)) for _ in self.names]
        with torch.profiler.record_function("Optimizer.step"):
            adam.adam(
                *(self.parameters, list(slopes), means, squares, [], steps),
                amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], lr=self.rate, weight_decay=0.0,
                eps=EPSILON, maximize=False,
            )  # fmt: skip
        self.taken += 1

    def tensors(self) -> dict[str, torch.Tensor]:
        """The parameters by name as they are now, and the moments to go on with."""
        parameters = zip(self.names, self.parameters, strict=True)
        return {name: each.detach() for name, each in parameters} | self.moments


def without_moments(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that are no moments, for an ascent that begins anew."""
    return {name: each for name, each in tensors.items() if not name.endswith(MOMENTS)}
