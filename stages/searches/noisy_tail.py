"""The tail of a twin under neuron noise: from its first noisy site to its logits.

In eval mode everything before the first noisy site never changes, so it is computed once; several
noise patterns then act side by side on copies of the same images.
"""

from __future__ import annotations

from functools import partial

from stages.later import torch, without_gradients
from stages.searches.parts import images_that_fit, in_parts
from stages.twin import fx_graph
from stages.types import NoiseSite, SiteStatistics, TorchTwin

Noise = list["torch.Tensor"]
"""One tensor (2, C) per site, or (copies, 2, C) for several patterns: δ, which scales the spread
around μ, and ξ, which scales μ."""


class NoisyTail:
    """A twin's logits as a function of the noise, for fixed images; silence gives its own."""

    def __init__(
        self,
        twin: TorchTwin,
        statistics: tuple[SiteStatistics, ...],
        images: torch.Tensor,
        memory_mb: int = 2048,
    ) -> None:
        first = fx_graph.node_named(twin.module, twin.sites[0].node)
        cut = fx_graph.cut_after(twin.module, first)
        self.device = twin.device
        self.sites = twin.sites
        self.means = means_of(twin, statistics)
        self.module = fx_graph.part(twin.module, cut, fx_graph.output_of(twin.module))
        self.most = images_that_fit(twin, images, memory_mb, exact=True)
        parts = torch.split(images.to(twin.device), self.most)
        self.starts = [fx_graph.values(twin.module, each, cut) for each in parts]

    def silence(self, copies: int) -> Noise:
        """Zero noise, for as many patterns."""
        return [torch.zeros(copies, 2, site.channels, device=self.device) for site in self.sites]

    def logits(self, noise: Noise) -> torch.Tensor:
        """Logits (copies, B, K) of the images under `noise`.

        How many copies fit is for the caller to know; where not even one does, parts of it do.
        """
        return in_parts(partial(self._logits_of, noise), self.starts).transpose(0, 1)

    def _logits_of(self, noise: Noise, start: list[torch.Tensor]) -> torch.Tensor:
        """Logits (n, copies, K) of the images that `start` is of."""

        def of_one(noise: Noise) -> torch.Tensor:
            edits = perturbation(self.sites, self.means, noise)
            return fx_graph.run(self.module, *start, edits=edits)

        found: torch.Tensor = torch.vmap(of_one, out_dims=1)(noise)
        return found


def means_of(twin: TorchTwin, statistics: tuple[SiteStatistics, ...]) -> list[torch.Tensor]:
    """The clean channel means μ (C,) of every site, on the twin's device."""
    return [torch.tensor(each.mean, device=twin.device) for each in statistics]


def perturbation(
    sites: tuple[NoiseSite, ...], means: list[torch.Tensor], noise: Noise
) -> dict[str, fx_graph.Edit]:
    """The edit of each site's output: y' = (y − μ)(1 + δ) + μ(1 + ξ), for one noise pattern.

    Source: equals BAN's noise on γ and β (equation 2) where y is a BatchNorm's output.
    """
    return {
        site.node: _perturb(site, mean, each)
        for site, mean, each in zip(sites, means, noise, strict=True)
    }


def _perturb(site: NoiseSite, mean: torch.Tensor, noise: torch.Tensor) -> fx_graph.Edit:
    scale, shift = noise.unbind(0)
    # y(1 + δ) + μ(ξ − δ): the same in one pass over y, and exact where the noise is zero
    shape = (-1, *[1] * (-site.axis - 1))
    factor, offset = (1 + scale).view(shape), (mean * (shift - scale)).view(shape)
    return lambda value: torch.addcmul(offset, value, factor)


@without_gradients
def sign_gradient_step(noise: Noise, gradient: Noise, length: float, bound: float) -> Noise:
    """One projected sign-gradient step upwards: clip(n + length · sign(g), ±bound)."""
    return [
        (each + length * slope.sign()).clamp(-bound, bound)
        for each, slope in zip(noise, gradient, strict=True)
    ]
