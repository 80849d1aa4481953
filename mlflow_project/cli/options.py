"""The options that several commands share: what each means, its default, and how it is read."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from mlflow_project.cli.parameters import argument, flag, option
from mlflow_project.cli.pictures import PictureOptions
from mlflow_project.uris import is_uri
from pipeline.pace.duration import seconds_in
from stages.errors import CannotJudge, ConfigError
from stages.export.detect import find_source, models_at

if TYPE_CHECKING:
    from mlflow_project.commands import ScanCall
    from mlflow_project.connection import Target
    from pipeline.config import ScanConfig


def _require_model(_ctx: click.Context, _parameter: click.Parameter, model: str) -> str:
    with suppress(CannotJudge):  # the command reports it, with what else is known of the model
        find_source(model)
    return model


def _require_model_or_uri(ctx: click.Context, parameter: click.Parameter, model: str) -> str:
    return model if is_uri(model) else _require_model(ctx, parameter, model)


def _read_budget(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """The seconds in a text such as 10m."""
    if text is None:
        return None
    try:
        return seconds_in(text)
    except ConfigError as error:
        raise click.BadParameter(f"{error}.") from error


def _read_models(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    """The models, those in a folder of ONNX files each; one alone must be there."""
    models = tuple(one for each in given for one in models_at(each))
    return models if len(models) > 1 else (_require_model_or_uri(ctx, parameter, models[0]),)


class PathOrUri(click.Path):
    """An existing path, or the URI of something that MLflow can fetch, as it was given."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Checks paths alone; a URI is looked up when the command runs."""
        return value if is_uri(str(value)) else super().convert(value, param, ctx)


EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

Model = Annotated[str, argument(callback=_require_model)]
Models = Annotated[
    tuple[str, ...],
    argument(nargs=-1, required=True, metavar="MODEL...", callback=_read_models),
]
VersionUri = Annotated[str, argument(metavar="MODEL_URI")]
Samples = Annotated[
    str,
    option(
        "--samples",
        required=True,
        type=PathOrUri(exists=True),
        metavar="SOURCE",
        help="Clean samples: a folder with a subfolder of pictures for each class, a .csv of paths"
        " and labels, a data set saved by `datasets`, or an .npz of images float32 (N, *input"
        " shape), preprocessed, and labels int64 (N,). A path or the URI of an artifact.",
    ),
]
References = Annotated[
    tuple[str, ...],
    option(
        "--reference",
        multiple=True,
        metavar="MODEL",
        help="A model of the same task that is known to be clean, of any architecture, such as the"
        " previous version; or a profile that `ban-gate calibrate` wrote. May be repeated.",
    ),
]
OutputFolder = Annotated[
    Path | None,
    option(
        "--output",
        type=FOLDER,
        metavar="DIR",
        help="Folder for report.html, verdict.json, figures and files for CI; created if missing.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    option(
        "--config",
        type=EXISTING_FILE,
        metavar="FILE.toml",
        help="Settings, one section per stage.",
    ),
]
Overrides = Annotated[
    tuple[str, ...],
    option(
        "--set",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting, such as blend.faint_steps=12, or several separated by `;`; wins over"
        " --config. May be repeated.",
    ),
]
OutputName = Annotated[
    str | None,
    option(
        "--output-name",
        metavar="NAME",
        help="The output with the scores to judge, for a model with others that are not computed"
        " from it, such as features or a second head. Those are not scanned.",
    ),
]
TrackingUri = Annotated[
    str | None,
    option(
        "--tracking-uri",
        metavar="URI",
        help="MLflow server or store.  [default: $MLFLOW_TRACKING_URI, else ./mlflow.db]",
    ),
]
Ray = Annotated[
    str | None,
    option(
        "--ray",
        is_flag=False,
        flag_value="auto",
        default=None,
        metavar="[ADDRESS]",
        help="Run on the Ray cluster at ADDRESS, such as ray://head:10001; without an address"
        " on that of $RAY_ADDRESS, else on one started here. Needs `ban-gate[ray]`.",
    ),
]
AsJson = Annotated[bool, flag("--json", help="Print JSON instead of a line.")]
Fresh = Annotated[
    bool, flag("--fresh", help="Compute everything; neither use nor keep earlier results.")
]
Verbose = Annotated[bool, flag("-v", "--verbose", help="Log every detail on stderr.")]


@dataclass(frozen=True, kw_only=True)
class NativeOptions:
    """What a model that is not ONNX needs to be exported."""

    trust_model_code: Annotated[
        bool,
        flag(
            "--trust-model-code",
            help="Let a model that is not ONNX run the code it brings; needed to load one.",
        ),
    ]
    python: Annotated[
        str | None,
        option(
            "--python",
            type=click.Path(exists=True, dir_okay=False),
            metavar="PATH",
            help="Interpreter that has the model's framework.  [default: the one ban-gate runs in]",
        ),
    ]

    @property
    def interpreter(self) -> str:
        """The interpreter to export with."""
        return self.python or sys.executable


@dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """The settings of a command that neither draws nor chooses a device."""

    config: ConfigFile
    overrides: Overrides
    output_name: OutputName

    def scan_config(self) -> ScanConfig:
        """The settings from the file and the options.

        Raises:
            ConfigError: one is unknown or wrong, or the file cannot be read.
        """
        from pipeline.config import load_config  # noqa: PLC0415 (see `main`)

        return load_config(self.config, self.overrides, output=self.output_name)


@dataclass(frozen=True, kw_only=True)
class SettingsOptions:
    """The settings of a scan."""

    seed: Annotated[
        int | None,
        option(
            "--seed",
            type=click.IntRange(min=0),
            help="Seed of all randomness.  [default: 0]",
        ),
    ]
    device: Annotated[
        str | None,
        option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            help="Where to compute; auto takes a GPU if there is one.  [default: auto]",
        ),
    ]
    config: ConfigFile
    overrides: Overrides
    output_name: OutputName

    def scan_config(self) -> ScanConfig:
        """The settings from the file and the options, which win.

        Raises:
            ConfigError: one is unknown or wrong, or the file cannot be read.
        """
        from pipeline.config import load_config  # noqa: PLC0415 (see `main`)

        return load_config(
            self.config,
            self.overrides,
            seed=self.seed,
            device=self.device,
            output=self.output_name,
        )


@dataclass(frozen=True, kw_only=True)
class TrackingOptions:
    """Which MLflow run keeps the evidence."""

    tracking_uri: TrackingUri
    experiment: Annotated[
        str | None,
        option(
            "--experiment",
            metavar="NAME",
            help="MLflow experiment of the run.  [default: $MLFLOW_EXPERIMENT_NAME, else ban-gate]",
        ),
    ]

    def target(self) -> Target:
        """Where the run is recorded."""
        from mlflow_project.connection import Target  # noqa: PLC0415 (heavy: see `main`)

        return Target(uri=self.tracking_uri, experiment=self.experiment)


@dataclass(frozen=True, kw_only=True)
class ExtentOptions:
    """How long a scan may take."""

    quick: Annotated[
        bool,
        flag(
            "--quick",
            help="A first look, a third of the work at most: it blocks what the whole scan would"
            " block, or ends inconclusive, and never passes a model.",
        ),
    ]
    budget: Annotated[
        float | None,
        option(
            "--budget",
            metavar="TIME",
            callback=_read_budget,
            help="Time for one model, such as 90s, 10m or 1h30m. A scan that needs more ends"
            " inconclusive and says how much; the next call goes on from there.",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class JudgingOptions:
    """How a model is judged and where the evidence goes: what `scan` and `gate` share."""

    references: References
    extent: ExtentOptions
    native: NativeOptions
    output: OutputFolder
    pictures: PictureOptions
    settings: SettingsOptions
    tracking: TrackingOptions
    ray: Ray

    def call(self, model: str, samples: str, config: ScanConfig, *, fresh: bool) -> ScanCall:
        """The scan of this model, with these settings."""
        from mlflow_project.commands import ScanCall  # noqa: PLC0415 (heavy: see `main`)

        return ScanCall(
            model=model,
            uri=model,
            samples=samples,
            config=config,
            preparation=self.pictures.preparation(config.seed),
            trusted=self.native.trust_model_code,
            python=self.native.interpreter,
            references=self.references,
            output=self.output,
            target=self.tracking.target(),
            fresh=fresh,
            environment=os.environ,
            quick=self.extent.quick,
            budget=self.extent.budget,
            ray=self.ray,
        )
