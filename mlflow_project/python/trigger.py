"""A recovered trigger, which a caller in Python lays on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch

from stages.errors import SamplesError
from stages.searches.trigger import Trigger as Shape
from stages.types import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Trigger:
    """What sends clean images to the suspected class; `shape` has its pattern, mask or flow."""

    shape: Shape
    image_shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        """What it is, such as `patch` or `blended pattern`."""
        return self.shape.kind

    @overload
    def apply(self, images: torch.Tensor) -> torch.Tensor: ...
    @overload
    def apply(self, images: npt.NDArray[Any]) -> Floats: ...
    def apply(self, images: npt.NDArray[Any] | torch.Tensor) -> Floats | torch.Tensor:
        """The images (N, *input shape), in the model's input space, with the trigger, float32.

        Of a tensor a tensor on its device; what was given is left as it is.

        Raises:
            SamplesError: the images are of another shape than the model takes.
        """
        if isinstance(images, torch.Tensor):
            found = self.apply(images.detach().cpu().float().numpy())
            return torch.from_numpy(found).to(images.device)
        pixels = np.asarray(images, np.float32)
        if pixels.shape[1:] != self.image_shape:
            wanted = ", ".join(map(str, ("N", *self.image_shape)))
            raise SamplesError(
                f"the images have shape {pixels.shape}, expected ({wanted}), as the model takes"
                " them; give several at once, such as `images[:8]`"
            )
        return np.ascontiguousarray(self.shape.apply(pixels), np.float32)
