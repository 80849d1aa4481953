"""Squares of one size, each with logits of its places and of its pattern, all climbed at once.

The mask of a square is a softmax over its places, whose squares add up: it starts even and is
sharpened until a single place is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from stages import image_layout
from stages.later import functional, torch, without_gradients
from stages.searches import ascent
from stages.searches.ascent import Ascent
from stages.searches.margins import mean_margins
from stages.searches.probe import Probe


@dataclass(frozen=True, kw_only=True, eq=False)
class Squares:
    """Squares on a probe set, one per row, each aiming at a class.

    `side` is a share of the image's, `detail` says how fine patterns are, `rows` (r,) are the
    classes. Of `tensors`, `places` (r, P) are logits, of which only those `allowed` (r, P) count;
    `colours` (r, 1, *input shape) are logits of the patterns. Rows of the same class follow each
    other, as many for each.
    """

    probe: Probe
    side: float
    detail: int
    rows: torch.Tensor
    tensors: Mapping[str, torch.Tensor]

    def climbed(
        self,
        sharpness: list[float],
        taken: int,
        rate: float,
        step_done: Callable[[], None],
    ) -> Squares:
        """After an Adam step of places and patterns for each factor on the logits of the places;
        `taken` such steps went before.
        """
        parts = self._parts()
        climbs = [Ascent(part.tensors, part._moving(), taken, rate) for part in parts]
        for factor in sharpness:
            for part, climb in zip(parts, climbs, strict=True):
                moving = {**part.tensors, **dict(zip(climb.names, climb.parameters, strict=True))}
                shown = replace(part, tensors=moving).shown(self.probe.images, factor)
                climb.step(mean_margins(self.probe, part.rows, shown))
            step_done()
        moved = [
            {**part.tensors, **climb.tensors()} for part, climb in zip(parts, climbs, strict=True)
        ]
        return replace(
            self, tensors={name: torch.cat([m[name] for m in moved]) for name in moved[0]}
        )

    @without_gradients
    def reached(self) -> torch.Tensor:
        """The mean margin (r,) over the samples of other classes, in logits, at settled places."""
        images = self.probe.images
        return torch.cat(
            [
                mean_margins(self.probe, each.rows, each.shown(images))
                for each in self.settled()._parts()
            ]
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

    def settled(self) -> Squares:
        """The same with only the strongest place of each row allowed."""
        strongest = functional.one_hot(self._logits().argmax(1), self.tensors["places"].shape[1])
        return replace(self, tensors={**self.tensors, "allowed": strongest.bool()})

    def without_moments(self) -> Squares:
        """The same for an ascent that begins anew."""
        return replace(self, tensors=ascent.without_moments(self.tensors))

    @without_gradients
    def laid(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The masks (r, 1, *mask shape) and patterns (r, 1, *input shape)."""
        return self._mask(1.0), self._pattern()

    def shown(self, images: torch.Tensor, sharpness: float = 1.0) -> torch.Tensor:
        """Every square on every image (B, *input shape): (r, B, *input shape)."""
        mask = self._mask(sharpness)
        return (1 - mask) * images + mask * self._pattern()

    def _moving(self) -> list[str]:
        """What a step moves: only the patterns where each place is settled."""
        unsettled = bool((self.tensors["allowed"].sum(1) > 1).any())
        return ["colours", "places"] if unsettled else ["colours"]

    def _parts(self) -> list[Squares]:
        """The rows in parts whose activations fit into the memory."""
        numbers = torch.arange(len(self.rows), device=self.rows.device)
        return [self._only(part) for part in torch.split(numbers, self.probe.rows)]

    def _only(self, numbers: torch.Tensor) -> Squares:
        some = {name: tensor[numbers] for name, tensor in self.tensors.items()}
        return replace(self, rows=self.rows[numbers], tensors=some)

    def _pattern(self) -> torch.Tensor:
        return self.probe.pattern(torch.sigmoid(self.tensors["colours"]), self.detail)

    def _mask(self, sharpness: float) -> torch.Tensor:
        """The squares (r, 1, *mask shape) of all places, weighted and added up: along the width,
        then along the height, which is a small part of the work of both at once.
        """
        shape = tuple(self.probe.images.shape[1:])
        square = square_of(shape, self.side, self.rows.device)
        weights = (sharpness * self._logits()).softmax(1)
        placed = weights.reshape(-1, 1, *_places(shape, square))
        along = functional.conv_transpose2d(placed, square[:, :, :1])
        added = functional.conv_transpose2d(along, square[..., :1])
        return added.clamp(max=1).reshape(len(weights), 1, *image_layout.mask_shape(shape))

    def _logits(self) -> torch.Tensor:
        """Logits of the places (r, P), −∞ where they are not allowed."""
        return self.tensors["places"].masked_fill(~self.tensors["allowed"], -torch.inf)


def everywhere(
    probe: Probe, group: torch.Tensor, side: float, detail: int, regions: int, seed: int
) -> Squares:
    """A square in each of `regions` × `regions` regions for each class, all from the same start."""
    shape, device = tuple(probe.images.shape[1:]), probe.images.device
    sizes = _places(shape, square_of(shape, side, device))
    allowed = _regions(sizes, regions).to(device)
    rows = group.repeat_interleave(len(allowed))
    generator = torch.Generator().manual_seed(seed)
    places = 0.01 * torch.randn(allowed.shape[1], generator=generator)
    colours = 0.1 * torch.randn(1, *shape, generator=generator)
    tensors = {
        "allowed": allowed.repeat(len(group), 1),
        "places": places.to(device).repeat(len(rows), 1),
        "colours": colours.to(device).repeat(len(rows), *[1] * colours.dim()),
    }
    return Squares(probe=probe, side=side, detail=detail, rows=rows, tensors=tensors)


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


def _regions(sizes: tuple[int, int], count: int) -> torch.Tensor:
    """Which places (R, places) belong to each region that has any."""
    along = [torch.arange(size) * count // size for size in sizes]
    region = (along[0][:, None] * count + along[1]).flatten()
    belongs: torch.Tensor = region == torch.unique(region)[:, None]
    return belongs
