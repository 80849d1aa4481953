"""What a model takes as one image: height, width, how many channels, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.samples.preparation import Layout
from stages.errors import SamplesError
from stages.image_layout import COLOURS
from stages.types import TensorSpec

GREY = 1
COLOUR = 3


@dataclass(frozen=True, kw_only=True)
class InputForm:
    """Height and width where the model states them, channels (1 or 3), and their place.

    A plane has no axis of channels. `bytes_wanted` is whether the model reads whole numbers.
    """

    height: int | None
    width: int | None
    channels: int
    layout: Layout
    is_plane: bool = False
    bytes_wanted: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width, None where one of them is free."""
        if self.height is None or self.width is None:
            return None
        return self.height, self.width


def form_of(spec: TensorSpec, layout: Layout | None = None) -> InputForm:
    """The form of the images that an input takes.

    Raises:
        SamplesError: the input is none of pictures of one or three channels.
    """
    whole = "int" in spec.dtype
    sizes = spec.shape[1:]
    if len(sizes) == 2:
        height, width = sizes
        return InputForm(
            height=height,
            width=width,
            channels=GREY,
            layout="nchw",
            is_plane=True,
            bytes_wanted=whole,
        )
    if len(sizes) != 3:
        raise _no_picture(spec)
    found = layout or _layout(sizes)
    channels, height, width = sizes if found == "nchw" else (sizes[2], *sizes[:2])
    if channels not in (GREY, COLOUR, None):
        raise _no_picture(spec)
    return InputForm(
        height=height,
        width=width,
        channels=channels or COLOUR,
        layout=found,
        bytes_wanted=whole,
    )


def _layout(sizes: tuple[int | None, ...]) -> Layout:
    """Channels last only where they can be nothing else."""
    return "nhwc" if sizes[2] in COLOURS and sizes[0] not in COLOURS else "nchw"


def _no_picture(spec: TensorSpec) -> SamplesError:
    shape = ", ".join("any" if size is None else str(size) for size in spec.shape)
    return SamplesError(
        f"the model's input `{spec.name}` has shape ({shape}), which is none of pictures with one"
        " or three channels; prepare the samples yourself and save them as an `.npz`"
    )
