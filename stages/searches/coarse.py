"""How fine a pattern is: so many squares of one colour each, whatever the image's size.

The more pixels a pattern is free in, the further it carries images of clean nets too. So on large
images a class stands out by what no class of a net for small ones could (docs/method.md).
"""

from __future__ import annotations

from stages import image_layout
from stages.later import functional, torch


def coarse(shares: torch.Tensor, shape: tuple[int, ...], detail: int) -> torch.Tensor:
    """Patterns (…, *input shape) whose values are means over squares of pixels, the smallest ones
    of which at most `detail` lie along the shorter side. A vector stays as it is.
    """
    height, width = image_layout.plane(shape)
    cell = -(-min(height, width) // detail)
    if cell == 1:
        return shares
    last = image_layout.colour_axis(shape) == 2
    ahead = shares.movedim(-1, -3) if last else shares
    planes = ahead.reshape(-1, 1, height, width)
    means = functional.avg_pool2d(planes, cell, ceil_mode=True, count_include_pad=False)
    wide = means.repeat_interleave(cell, 2).repeat_interleave(cell, 3)[..., :height, :width]
    shown = wide.reshape(ahead.shape)
    return shown.movedim(-3, -1) if last else shown
