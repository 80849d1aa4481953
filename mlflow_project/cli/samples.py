"""`ban-gate samples`: make clean samples of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.options import FILE, ConfigOptions, PathOrUri, Verbose
from mlflow_project.cli.parameters import argument, option, taking
from mlflow_project.cli.pictures import PictureOptions
from pipeline.intake import sandbox
from pipeline.printable import printable

if TYPE_CHECKING:
    from pipeline.samples.clean import Made


@dataclass(frozen=True, kw_only=True)
class SamplesOptions:
    """The options of `samples`."""

    source: Annotated[str, argument(type=PathOrUri(exists=True))]
    model: Annotated[
        str,
        option(
            "--model",
            required=True,
            metavar="MODEL",
            help="The ONNX model that the samples are for: a path, or a URI of MLflow.",
        ),
    ]
    output: Annotated[
        Path,
        option(
            "-o",
            "--output",
            required=True,
            type=FILE,
            metavar="FILE.npz",
            help="The file to write.",
        ),
    ]
    pictures: PictureOptions
    seed: Annotated[
        int,
        option(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Decides which pictures are drawn.",
        ),
    ]
    settings: ConfigOptions
    verbose: Verbose


@click.command(short_help="Make clean samples from pictures.")
@taking(SamplesOptions)
def samples(options: SamplesOptions) -> None:
    """Make one file of clean samples for a model from the pictures in SOURCE.

    SOURCE is a folder with a subfolder of pictures for each class, a .csv of paths and labels
    (relative to it), a folder that Hugging Face's `datasets` saved, or a URI of such in MLflow. The
    same number of pictures is drawn of each class.

    \b
    In the model's own size, with values from 0 to 1:
      ban-gate samples pictures/ --model model.onnx -o clean.npz
    Preprocessed as in training, without which the accuracy is poor:
      ban-gate samples pictures/ --model model.onnx -o clean.npz --preprocess imagenet
      ban-gate samples pictures/ --model model.onnx -o clean.npz --resize 256 --crop 224 \\
        --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    If the model's classes are not in the order of their names:
      ban-gate samples pictures/ --model model.onnx -o clean.npz --class-names names.txt

    `scan`, `gate` and `calibrate` take the same SOURCE and options by themselves. The file also
    says where it came from: source, seed, preprocessing, and the sha256 of every picture.

    Exit code 3 if the model is refused, or the pictures do not fit it.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(options.verbose)
    sandbox.warm_up()
    from mlflow_project import sample_file  # noqa: PLC0415 (heavy: see `main`)

    made = sample_file.write_samples(
        sample_file.SamplesCall(
            source=options.source,
            model=options.model,
            output=options.output,
            preparation=options.pictures.preparation(options.seed),
            config=options.settings.scan_config(),
        )
    )
    click.echo(_line(made, options.output))


def _line(made: Made, output: Path) -> str:
    found = made.samples
    count = f"{len(found)} samples of {found.classes} classes"
    return printable(f"samples  {output}  {count}  sha256 {found.digest}")
