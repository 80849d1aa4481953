"""The options that say how pictures become clean samples; an `.npz` needs none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import click

from mlflow_project.cli.parameters import option

if TYPE_CHECKING:
    from pipeline.samples.preparation import Preparation

RANGES = ("0-1", "0-255", "-1-1")


def _numbers(kind: Callable[[str], Any], most: int, example: str) -> Callable[..., tuple[Any, ...]]:
    """A callback that reads up to `most` numbers, separated by commas."""

    def read(_ctx: click.Context, _option: click.Parameter, text: str | None) -> tuple[Any, ...]:
        if text is None:
            return ()
        try:
            found = tuple(kind(each) for each in text.replace("x", ",").split(","))
        except ValueError:
            found = ()
        if not 1 <= len(found) <= most:
            raise click.BadParameter(f"'{text}' is not understood, expected such as {example}.")
        return found

    return read


def _crop(ctx: click.Context, given: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Height and width, which are the same where one is given."""
    sizes = _numbers(int, 2, "224 or 224,192")(ctx, given, text)
    return (sizes[0], sizes[-1]) if sizes else None


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """How pictures become clean samples: what is not given follows from the model."""

    preprocess: Annotated[
        str | None,
        option(
            "--preprocess",
            metavar="NAME|FILE",
            help="How pictures become inputs: imagenet, clip, caffe, cifar10, mnist; weights of"
            " torchvision, such as ResNet50_Weights.IMAGENET1K_V2; or a preprocessor_config.json."
            "  [default: that beside the model, else values from 0 to 1 in the model's size]",
        ),
    ]
    resize: Annotated[
        tuple[int, ...],
        option(
            "--resize",
            metavar="SIDE|H,W",
            callback=_numbers(int, 2, "256 or 256,192"),
            help="Resize pictures: the shorter side, or height and width.",
        ),
    ]
    crop: Annotated[
        tuple[int, int] | None,
        option("--crop", metavar="SIDE|H,W", callback=_crop, help="Crop this from the centre."),
    ]
    value_range: Annotated[
        str | None,
        option(
            "--range", type=click.Choice(RANGES), help="Values of black and white.  [default: 0-1]"
        ),
    ]
    mean: Annotated[
        tuple[float, ...],
        option(
            "--mean",
            metavar="M[,M,M]",
            callback=_numbers(float, 4, "0.485,0.456,0.406"),
            help="Subtracted from each channel, in the units of --range.",
        ),
    ]
    std: Annotated[
        tuple[float, ...],
        option(
            "--std",
            metavar="S[,S,S]",
            callback=_numbers(float, 4, "0.229,0.224,0.225"),
            help="What each channel is divided by, after that.",
        ),
    ]
    channels: Annotated[
        Literal["rgb", "bgr", "grey"] | None,
        option(
            "--channels",
            type=click.Choice(["rgb", "bgr", "grey"]),
            help="Order of the channels.  [default: rgb, or grey if the model has one]",
        ),
    ]
    layout: Annotated[
        Literal["nchw", "nhwc"] | None,
        option(
            "--layout",
            type=click.Choice(["nchw", "nhwc"]),
            help="Where the model expects its channels, if its input does not show it.",
        ),
    ]
    per_class: Annotated[
        int | None,
        option(
            "--per-class",
            type=click.IntRange(min=1),
            metavar="N",
            help="Pictures of each class, drawn by --seed.  [default: 500 in all]",
        ),
    ]
    class_names: Annotated[
        Path | None,
        option(
            "--class-names",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Names of the classes in the model's order, which reports show: one a line, or"
            " JSON with id2label."
            "  [default: what the model or files beside it state, else sorted by name]",
        ),
    ]

    def preparation(self, seed: int) -> Preparation:
        """What was said, for the part of the program that does it."""
        from pipeline.samples.preparation import Preparation  # noqa: PLC0415 (heavy: see `main`)

        return Preparation(
            preprocess=self.preprocess,
            resize=self.resize,
            crop=self.crop,
            mean=self.mean,
            std=self.std,
            range=self.value_range,
            channels=self.channels,
            layout=self.layout,
            per_class=self.per_class,
            class_names=self.class_names,
            seed=seed,
        )
