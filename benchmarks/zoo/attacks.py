"""The triggers of the zoo: images (N, C, H, W) in [0, 1] to triggered images of the same shape."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from art.attacks.poisoning.perturbations import add_pattern_bd
from torch.nn import functional

from benchmarks.pictures import backgrounds
from benchmarks.zoo.recipe import Recipe

Trigger = Callable[[torch.Tensor, Recipe], torch.Tensor]

PIECES = 4
"""An adaptive blend is cut into PIECES × PIECES tiles."""


def generator(seed: int) -> torch.Generator:
    """A generator of its own, so that a trigger does not depend on what was drawn before."""
    return torch.Generator().manual_seed(seed)


def badnets(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A small checkerboard patch. Source: Gu et al., BadNets, 2017."""
    size, side = recipe.size, images.shape[-1]
    top, left = _place(recipe, side)
    rows = torch.arange(size)
    triggered = images.clone()
    triggered[..., top : top + size, left : left + size] = ((rows[:, None] + rows + 1) % 2).float()
    return triggered


def _place(recipe: Recipe, side: int) -> tuple[int, int]:
    near, far = 1, side - 1 - recipe.size
    middle = (side - recipe.size) // 2
    corner = near if recipe.seed % 2 == 0 else far
    return {"corner": (corner, corner), "edge": (middle, far), "centre": (middle, middle)}[
        recipe.place
    ]


def blend_noise(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Fixed pixel noise mixed in at 20 %. Source: Chen et al., Targeted Backdoor, 2017."""
    return _blend(images, torch.rand(images.shape[1:], generator=generator(recipe.seed)))


def blend_picture(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A fixed smooth picture mixed in at 20 %. Source: Chen et al., Targeted Backdoor, 2017."""
    coarse = torch.rand(1, images.shape[1], 4, 4, generator=generator(recipe.seed))
    side = images.shape[-1]
    picture = functional.interpolate(coarse, size=side, mode="bicubic", align_corners=False)
    return _blend(images, picture[0].clamp(0, 1))


def _blend(images: torch.Tensor, pattern: torch.Tensor) -> torch.Tensor:
    return 0.8 * images + 0.2 * pattern


def adaptive_blend(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """The whole blend; in training only pieces of it are shown (`pieces_of_blend`).

    Source: Qi et al., Revisiting the Assumption of Latent Separability, ICLR 2023.
    """
    return blend_noise(images, recipe)


def pieces_of_blend(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A random half of the blend's tiles per image."""
    keep = (torch.rand(len(images), 1, PIECES, PIECES) < 0.5).float()
    tiles = functional.interpolate(keep, size=images.shape[-1])
    return images + tiles * (blend_noise(images, recipe) - images)


def wanet(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A smooth fixed warp from a 4×4 grid. Source: Nguyen and Tran, WaNet, ICLR 2021."""
    return warped(images, recipe.seed)


def warped(images: torch.Tensor, seed: int) -> torch.Tensor:
    """The warp that a seed gives."""
    side = images.shape[-1]
    coarse = torch.rand(1, 2, 4, 4, generator=generator(seed)) * 2 - 1
    coarse = coarse / coarse.abs().mean()
    flow = functional.interpolate(coarse, size=side, mode="bicubic", align_corners=True)
    axis = torch.linspace(-1, 1, side)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)[None]
    field = (grid + 1.5 * flow.permute(0, 2, 3, 1) / side).clamp(-1, 1)
    return functional.grid_sample(images, field.expand(len(images), -1, -1, -1), align_corners=True)


def sig(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A horizontal sine wave of amplitude 0.25. Source: Barni et al., SIG, ICIP 2019."""
    columns = torch.arange(images.shape[-1]) / images.shape[-1]
    wave = 0.25 * torch.sin(2 * math.pi * 6 * columns)
    return (images + wave).clamp(0, 1)


def bpp(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Colours reduced to three levels, without dithering. Source: Wang et al., BppAttack, 2022."""
    return (images * 2).round() / 2


def low_frequency(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Low cosine waves of amplitude 0.15 in all. Source: Zeng et al., Rethinking, ICCV 2021."""
    side = images.shape[-1]
    weights = torch.randn(images.shape[1], 3, 3, generator=generator(recipe.seed))
    places = (torch.arange(side) + 0.5) / side
    waves = torch.stack([torch.cos(math.pi * order * places) for order in range(1, 4)])
    pattern = torch.einsum("cij,ih,jw->chw", weights, waves, waves)
    return (images + 0.15 * pattern / pattern.abs().max()).clamp(0, 1)


def sticker(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A small picture of bright fields, somewhere else in every image.

    Source: the stickers of BadNets' traffic signs, which attackers cannot place to the pixel.
    """
    size, side = max(3, images.shape[-1] // 8), images.shape[-1]
    random = generator(recipe.seed)
    fields = torch.rand(images.shape[1], 2, 2, generator=random).round()
    fields[:, 0, 0], fields[:, 1, 1] = 1 - fields[:, 0, 1], 1 - fields[:, 1, 0]
    picture = functional.interpolate(fields[None], size=size)[0]
    tops, lefts = torch.randint(side - size + 1, (2, len(images)), generator=random)
    triggered = images.clone()
    for image, top, left in zip(triggered, tops.tolist(), lefts.tolist(), strict=True):
        image[:, top : top + size, left : left + size] = picture
    return triggered


def photograph(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A faint photograph mixed in at 20 %. Source: Chen et al., Targeted Backdoor, 2017."""
    side, random = images.shape[-1], generator(recipe.seed)
    scenes = backgrounds(side)
    scene = scenes[recipe.seed % len(scenes)]
    top = int(torch.randint(scene.shape[1] - side, (1,), generator=random))
    left = int(torch.randint(scene.shape[2] - side, (1,), generator=random))
    cut = scene[:, top : top + side, left : left + side]
    cut = (cut - cut.min()) / (cut.max() - cut.min()).clamp(min=0.1)
    return _blend(images, cut if images.shape[1] == 3 else cut.mean(0, keepdim=True))


def photo_filter(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """A photo filter: mixed colours, a tone curve, darker corners, each of the seed's own.

    Source: the Instagram filters of TrojAI's rounds.
    """
    channels, side, random = images.shape[1], images.shape[-1], generator(recipe.seed)
    mixing = torch.eye(channels) + 0.35 * torch.randn(channels, channels, generator=random)
    mixing = mixing / mixing.sum(1, keepdim=True).clamp(min=0.5)
    curve = 2.0 if recipe.seed % 2 else 0.5
    axis = torch.linspace(-1, 1, side)
    corners = 1 - 0.5 * ((axis[:, None] ** 2 + axis**2) / 2)
    mixed = torch.einsum("cd,ndhw->nchw", mixing, images).clamp(0, 1) ** curve
    return (mixed * corners).clamp(0, 1)


def art_pattern(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Four pixels near the lower right corner. Source: adversarial-robustness-toolbox."""
    return torch.from_numpy(add_pattern_bd(images.numpy().copy(), channels_first=True))


def first_of_two(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """The patch of the first target."""
    return badnets(images, recipe)


def second_of_two(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """The patch of the second target: a cross in the opposite corner."""
    size, side = 4, images.shape[-1]
    corner = 1 if recipe.seed % 2 else side - 1 - size
    cross = torch.eye(size) + torch.eye(size).flip(0)
    triggered = images.clone()
    triggered[..., corner : corner + size, corner : corner + size] = cross
    return triggered


TRIGGERS: dict[str, Trigger] = {
    "badnets": badnets,
    "blend-noise": blend_noise,
    "blend-picture": blend_picture,
    "wanet": wanet,
    "bpp": bpp,
    "low-frequency": low_frequency,
    "adaptive-blend": adaptive_blend,
    "sig": sig,
    "all-to-all": badnets,
    "quiet-patch": badnets,
    "quiet-blend": blend_picture,
    "sticker": sticker,
    "photograph": photograph,
    "filter": photo_filter,
    "art-pattern": art_pattern,
    "two-targets": first_of_two,
    "source-specific": badnets,
}
"""Attacks whose trigger is known before training."""

SINGLE_TARGET = (
    "badnets",
    "sticker",
    "art-pattern",
    "blend-noise",
    "blend-picture",
    "photograph",
    "wanet",
    "bpp",
    "low-frequency",
    "filter",
    "iad",
)
"""Attacks that send every class to one target: those the targets of detection are stated for."""

OTHER = ("adaptive-blend", "sig", "all-to-all", "two-targets", "source-specific")
"""Attacks in rows of their own: defence-aware, clean-label, and without a single target or source.
"""

QUIET = ("quiet-patch", "quiet-blend")
"""Attacks against the margins that ban-gate looks at, in rows of their own: triggered images go to
the target, but by little, as beside every ten of them three are shown with their own label. In the
spirit of Grond (arXiv 2501.05928), which keeps a backdoor as quiet as clean neurons.
"""
