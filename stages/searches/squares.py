"""Squares of one size with patterns that are climbed: several laid at once at first, then one.

A row is a class that it aims at, the places that its squares lie on, and one pattern as large as
the image, of which the squares show their parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from stages import image_layout
from stages.later import functional, torch, without_gradients
from stages.searches import ascent
from stages.searches.ascent import Ascent
from stages.searches.margins import mean_margins
from stages.searches.probe import Probe
from stages.searches.trigger import Patch

Objective = Callable[[Probe, "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""How far rows have come (r,): of a probe set, the classes (r,) that they aim at, and what is shown
(r, B, *input shape).
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Squares:
    """Squares on a probe set, some of one class in each row, which climb an `objective`.

    `side` is a share of the image's, `detail` says how fine patterns are, `rows` (r,) are the
    classes. Of `tensors`, `places` (r, P) are true where a square lies, and `colours`
    (r, 1, *input shape) are logits of the patterns. Rows of the same class follow each other, as
    many for each.
    """

    probe: Probe
    side: float
    detail: int
    rows: torch.Tensor
    tensors: Mapping[str, torch.Tensor]
    objective: Objective = mean_margins

    def climbed(
        self, steps: int, taken: int, rate: float, step_done: Callable[[], None]
    ) -> Squares:
        """After so many Adam steps of the patterns; `taken` such steps went before."""
        parts = self._parts()
        climbs = [Ascent(part.tensors, ["colours"], taken, rate) for part in parts]
        masks = [part._mask() for part in parts]
        for _ in range(steps):
            for part, mask, climb in zip(parts, masks, climbs, strict=True):
                shown = part._laid_on(part.probe.images, mask, climb.parameters[0])
                climb.step(part.objective(part.probe, part.rows, shown))
            step_done()
        moved = [
            {**part.tensors, **climb.tensors()} for part, climb in zip(parts, climbs, strict=True)
        ]
        return replace(
            self, tensors={name: torch.cat([m[name] for m in moved]) for name in moved[0]}
        )

    @without_gradients
    def reached(self) -> torch.Tensor:
        """How far each row has come (r,), by default in the mean margin over the samples of other
        classes, in logits.
        """
        images = self.probe.images
        return torch.cat(
            [each.objective(self.probe, each.rows, each.shown(images)) for each in self._parts()]
        )

    def leading(self, count: int) -> Squares:
        """Of every class the `count` rows that reach furthest."""
        classes = len(torch.unique(self.rows))
        each = len(self.rows) // classes
        if each <= count:
            return self
        best = self.reached().reshape(classes, each).topk(count, dim=1).indices
        first = each * torch.arange(classes, device=best.device)[:, None]
        return self._only((best + first).flatten())

    def apart(self) -> Squares:
        """Each square in a row of its own; rows of fewer than others give one of theirs again."""
        places = self.tensors["places"]
        most = int(places.sum(1).max())
        lies, where = places.to(torch.uint8).topk(most, dim=1)
        where = torch.where(lies > 0, where, where[:, :1])
        numbers = torch.arange(len(places), device=places.device).repeat_interleave(most)
        single = functional.one_hot(where.flatten(), places.shape[1]).bool()
        some = self._only(numbers)
        return replace(some, tensors={**some.tensors, "places": single})

    def without_moments(self) -> Squares:
        """The same for an ascent that begins anew."""
        return replace(self, tensors=ascent.without_moments(self.tensors))

    @without_gradients
    def laid(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The masks (r, 1, *mask shape) and patterns (r, 1, *input shape)."""
        return self._mask(), self._pattern(self.tensors["colours"])

    def patch(self, row: int) -> Patch:
        """What lies on images in a row, as a trigger."""
        mask, colours = self.laid()
        return Patch(mask=mask[row, 0].cpu().numpy(), colours=colours[row, 0].cpu().numpy())

    def shown(self, images: torch.Tensor) -> torch.Tensor:
        """The squares of every row on every image (B, *input shape): (r, B, *input shape)."""
        return self._laid_on(images, self._mask(), self.tensors["colours"])

    def _laid_on(
        self, images: torch.Tensor, mask: torch.Tensor, colours: torch.Tensor
    ) -> torch.Tensor:
        return (1 - mask) * images + mask * self._pattern(colours)

    def _parts(self) -> list[Squares]:
        """The rows in parts whose activations fit into the memory."""
        numbers = torch.arange(len(self.rows), device=self.rows.device)
        return [self._only(part) for part in torch.split(numbers, self.probe.rows)]

    def _only(self, numbers: torch.Tensor) -> Squares:
        some = {name: tensor[numbers] for name, tensor in self.tensors.items()}
        return replace(self, rows=self.rows[numbers], tensors=some)

    def _pattern(self, colours: torch.Tensor) -> torch.Tensor:
        return self.probe.pattern(torch.sigmoid(colours), self.detail)

    def _mask(self) -> torch.Tensor:
        """The squares (r, 1, *mask shape), added up along the width, then along the height."""
        shape = tuple(self.probe.images.shape[1:])
        square = square_of(shape, self.side, self.rows.device)
        lies = self.tensors["places"].to(square.dtype).reshape(-1, 1, *_places(shape, square))
        along = functional.conv_transpose2d(lies, square[:, :, :1])
        added = functional.conv_transpose2d(along, square[..., :1])
        return added.clamp(max=1).reshape(len(lies), 1, *image_layout.mask_shape(shape))


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Which places squares begin at: `stride` of a square's side from one to the next, and as many
    as `along` along each side of the image at once, far from each other.
    """

    side: float
    stride: float
    along: int

    def groups(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Groups of places (G, P) on inputs of a shape, which together are all of the grid's."""
        square = square_of(shape, self.side, torch.device("cpu"))
        down, across = (
            self._dealt(places, size)
            for places, size in zip(_places(shape, square), square.shape[2:], strict=True)
        )
        both = down[:, None, :, None] & across[None, :, None, :]
        return both.reshape(len(down) * len(across), -1)

    def _dealt(self, places: int, size: int) -> torch.Tensor:
        """The grid's places (s, places) along one side, dealt into groups in turn."""
        used = sorted({*range(0, places, math.ceil(self.stride * size)), places - 1})
        groups = math.ceil(len(used) / self.along)
        dealt = torch.zeros(groups, places, dtype=torch.bool)
        for turn, place in enumerate(used):
            dealt[turn % groups, place] = True
        return dealt


def everywhere(probe: Probe, group: torch.Tensor, grid: Grid, detail: int, seed: int) -> Squares:
    """The grid's groups of squares for each class, all from the same nearly grey pattern."""
    places = grid.groups(tuple(probe.images.shape[1:])).to(probe.images.device)
    rows = group.repeat_interleave(len(places))
    colours = nearly_grey(probe, seed)
    tensors = {
        "places": places.repeat(len(group), 1),
        "colours": colours.repeat(len(rows), *[1] * colours.dim()),
    }
    return Squares(probe=probe, side=grid.side, detail=detail, rows=rows, tensors=tensors)


def nearly_grey(probe: Probe, seed: int) -> torch.Tensor:
    """Logits of colours (1, *input shape) that patterns begin with."""
    images, generator = probe.images, torch.Generator().manual_seed(seed)
    return (0.1 * torch.randn(1, *images.shape[1:], generator=generator)).to(images.device)


def square_of(shape: tuple[int, ...], side: float, device: torch.device) -> torch.Tensor:
    """Ones (1, 1, h, w) in the shape of the square; for inputs that are no image, a stretch of
    equal share.
    """
    height, width = image_layout.plane(shape)
    if height == 1:
        return torch.ones(1, 1, 1, max(1, round(side * side * width)), device=device)
    size = max(1, round(side * min(height, width)))
    return torch.ones(1, 1, size, size, device=device)


def _places(shape: tuple[int, ...], square: torch.Tensor) -> tuple[int, int]:
    """How many places the square has along each side of the image."""
    height, width = image_layout.plane(shape)
    return height - square.shape[2] + 1, width - square.shape[3] + 1
