"""The commands about models that are not to be promoted: inspect, export, calibrate and demo."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from mlflow_project.cli.exit_codes import code_of, worst
from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.options import (
    EXISTING,
    FILE,
    AsJson,
    ConfigOptions,
    Fresh,
    Model,
    Models,
    NativeOptions,
    OutputFolder,
    Samples,
    SettingsOptions,
    TrackingOptions,
    Verbose,
)
from mlflow_project.cli.parameters import argument, option, taking
from mlflow_project.cli.pictures import PictureOptions
from pipeline.intake import sandbox
from pipeline.printable import printable
from stages.class_names import name_of
from stages.errors import BanGateError, CannotJudge

NAMED = 20
"""Classes whose names `inspect` shows on its line; `--json` has all."""

if TYPE_CHECKING:
    from pipeline.intake.native import ExportResult
    from pipeline.intake.untrusted import Description
    from stages.twin.summary import TwinSummary
    from stages.types import OnnxArtifact


def _read_shape(
    _ctx: click.Context, _option: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """The shape in a text such as 3,32,32."""
    if text is None:
        return None
    sizes = text.split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise click.BadParameter(f"'{text}' is no shape, expected sizes such as 3,32,32.")
    return tuple(map(int, sizes))


InputShape = Annotated[
    tuple[int, ...] | None,
    option(
        "--input-shape",
        metavar="SIZES",
        callback=_read_shape,
        help="Shape of one image, such as 3,32,32, if there are no samples and the model does not"
        " say.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class InspectOptions:
    """The options of `inspect`."""

    models: Models
    input_shape: InputShape
    settings: ConfigOptions
    as_json: AsJson
    verbose: Verbose


@click.command(short_help="Show what an ONNX file is, without judging it.")
@taking(InspectOptions)
def inspect(options: InspectOptions) -> None:
    """Show what the ONNX file MODEL is and where noise can enter, without judging it.

    MODEL may also be a folder that MLflow wrote for an ONNX model. Of several models, or a folder
    of ONNX files, each is shown, with --json as a line of JSON. Exit code 3 if a file is refused or
    cannot be converted, or if it can only be judged beside a reference.
    """
    log_to_stderr(options.verbose)
    config = options.settings.scan_config()
    sandbox.warm_up()
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see `main`)
    from pipeline.samples.model_names import (  # noqa: PLC0415 (same)
        folder_beside,
        names_in_model,
    )
    from stages.verdict.decide import only_beside_a_reference  # noqa: PLC0415 (same)

    several, codes = len(options.models) > 1, []
    for model in options.models:
        try:
            description = commands.inspect(model, config, options.input_shape)
        except BanGateError as error:
            if not several:
                raise
            click.echo(printable(f"ban-gate: {error}"), err=True)
            codes.append(code_of(error))
            continue
        names = names_in_model(description.artifact, folder_beside(model))
        few = config.calibration.is_few(description.twin.classes)
        if options.as_json:
            document = _inspection_document(model, description, names, few=few)
            click.echo(json.dumps(document, indent=None if several else 2))
        else:
            lines = _inspection_lines(model, description, names, few=few)
            click.echo("\n".join(map(printable, lines)))
            click.echo("\n" * several, nl=False)
        if few:
            reason = only_beside_a_reference(description.twin.classes)
            click.echo(f"ban-gate: {reason}", err=True)
            codes.append(code_of(CannotJudge(reason)))
    sys.exit(worst(codes))


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of `export`."""

    model: Model
    output: Annotated[
        Path,
        option(
            "--output",
            required=True,
            type=FILE,
            metavar="FILE.onnx",
            help="The ONNX file to write.",
        ),
    ]
    samples: Annotated[
        Path | None,
        option(
            "--samples",
            type=EXISTING,
            metavar="FILE.npz",
            help="Samples to compare native model and ONNX on, as for `scan`.",
        ),
    ]
    input_shape: InputShape
    native: NativeOptions
    settings: ConfigOptions
    verbose: Verbose


@click.command(short_help="Turn a native model into a proven ONNX file.")
@taking(ExportOptions)
def export(options: ExportOptions) -> None:
    """Turn the native MODEL into one ONNX file that is proven to give the same scores.

    \b
    MODEL is what `ban-gate scan` takes, but for ONNX itself:
      ban-gate export model.pt2 --output model.onnx --trust-model-code
      ban-gate export net.py:build --input-shape 3,32,32 --output model.onnx --trust-model-code
    A framework that lives in an environment of its own:
      ban-gate export saved_model/ --python tf-env/bin/python --output model.onnx \\
        --trust-model-code

    Exit code 3 if the model cannot be exported or its ONNX gives other scores.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(options.verbose)
    config = options.settings.scan_config()
    sandbox.warm_up()
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see `main`)

    call = commands.ExportCall(
        model=options.model,
        output=options.output,
        config=config,
        samples=options.samples,
        shape=options.input_shape,
        trusted=options.native.trust_model_code,
        python=options.native.interpreter,
    )
    click.echo(_export_line(commands.export(call), options.output))


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
    """The options of `calibrate`."""

    models: Annotated[tuple[str, ...], argument(nargs=-1, required=True, metavar="MODEL...")]
    output: Annotated[
        Path,
        option(
            "--output",
            required=True,
            type=FILE,
            metavar="PROFILE.json",
            help="The profile to write.",
        ),
    ]
    samples: Samples
    pictures: PictureOptions
    native: NativeOptions
    settings: SettingsOptions
    tracking: TrackingOptions
    fresh: Fresh
    verbose: Verbose


@click.command(short_help="Measure models known to be clean, for later scans.")
@taking(CalibrateOptions)
def calibrate(options: CalibrateOptions) -> None:
    """Measure every MODEL, all known to be clean and of one task, and write one profile of them.

    Some classes are easier to reach than others in every clean model of a task. A scan that knows
    which raises fewer false alarms and finds more. Architectures may differ.

    \b
      ban-gate calibrate v1.onnx v2.onnx --samples clean.npz --output profile.json
      ban-gate scan v3.onnx --samples clean.npz --reference profile.json

    With --tracking-uri or --experiment the profile is logged to an MLflow run as well. Exit code 3
    if no model can be measured; those that cannot are named on stderr.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(options.verbose)
    config = options.settings.scan_config()
    sandbox.warm_up()
    from mlflow_project import calibrating  # noqa: PLC0415 (heavy: see `main`)

    tracking = options.tracking
    logged = bool(tracking.tracking_uri or tracking.experiment)
    call = calibrating.CalibrateCall(
        models=options.models,
        samples=options.samples,
        output=options.output,
        config=config,
        preparation=options.pictures.preparation(config.seed),
        trusted=options.native.trust_model_code,
        python=options.native.interpreter,
        target=tracking.target() if logged else None,
        fresh=options.fresh,
    )
    written = calibrating.calibrate(call)
    for remark in written.remarks:
        click.echo(printable(remark), err=True)
    click.echo(printable(f"calibrated  {written.path}  {len(written.models)} model(s)"))


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The options of `demo`."""

    output: OutputFolder
    settings: SettingsOptions
    fresh: Fresh
    verbose: Verbose


@click.command(short_help="Scan three small models whose truth is known.")
@taking(DemoOptions)
def demo(options: DemoOptions) -> None:
    """Scan three small models that come with ban-gate, one clean and two backdoored.

    Prints each verdict next to the truth. Nothing is recorded in MLflow.
    """
    log_to_stderr(options.verbose)
    config = options.settings.scan_config()
    sandbox.warm_up()
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see `main`)
    from pipeline.report.verdict_json import summary  # noqa: PLC0415 (same)

    agreed = []
    for line in commands.demo(config, options.output, options.fresh):
        click.echo(f"{summary(line.result)}   truth: {line.truth}")
        agreed.append(line.agrees)
    click.echo(f"{sum(agreed)} of {len(agreed)} verdicts agree with the truth.")


def _export_line(result: ExportResult, output: Path) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result.packages.items())
    difference = f"differs from the native model by {result.parity.max_rel:.1g}"
    return printable(f"exported  {output}  {result.framework} ({versions})  {difference}")


def _inspection_document(
    model: str, description: Description, names: tuple[str, ...], *, few: bool
) -> dict[str, object]:
    parity = description.parity
    return {
        "schema": 1,
        "only_beside_a_reference": few,
        "model": {**asdict(description.artifact), "path": model, "class_names": names},
        "parity": {"max_rel": parity.max_rel, "tolerance": parity.tolerance},
        "twin": asdict(description.twin),
    }


def _inspection_lines(
    model: str, description: Description, names: tuple[str, ...], *, few: bool
) -> list[str]:
    artifact, parity = description.artifact, description.parity
    facts = {
        "file": model,
        "sha256": artifact.digest,
        "framework": f"{artifact.framework} ({artifact.producer})",
        "opset": artifact.opset,
        "parameters": f"{artifact.parameters:,}",
        "input": _tensor(artifact.input.name, artifact.input.shape, artifact.input.dtype),
        "output": _tensor(artifact.output.name, artifact.output.shape, artifact.output.dtype),
        **_looked_through(artifact),
        "parity": f"{parity.max_rel:.1g} of {parity.tolerance:g} allowed",
        **_twin_facts(description.twin, few=few),
        **_names(names),
    }
    lines = [f"{name:<12}{value}" for name, value in facts.items()]
    return lines + [f"{each.severity:<12}{each.message}" for each in artifact.findings]


def _names(names: tuple[str, ...]) -> dict[str, object]:
    """The names of the first classes, where the model or files beside it state any."""
    if not names:
        return {}
    shown = [name_of(number, names) or str(number) for number in range(min(NAMED, len(names)))]
    return {"names": ", ".join([*shown, *(["…"] if len(names) > NAMED else [])])}


def _looked_through(artifact: OnnxArtifact) -> dict[str, object]:
    """What stands behind the raw scores, and which outputs do not follow from them."""
    facts: dict[str, object] = {}
    if artifact.peeled:
        facts["behind"] = ", ".join(artifact.peeled)
    if artifact.unscanned:
        facts["unscanned"] = ", ".join(artifact.unscanned)
    return facts


def _tensor(name: str, shape: tuple[int | None, ...], dtype: str) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"{name} {dtype} ({sizes})"


def _twin_facts(twin: TwinSummary, *, few: bool) -> dict[str, object]:
    channels = sum(site.channels for site in twin.sites)
    return {
        "classes": f"{twin.classes}, judged only beside a reference" if few else twin.classes,
        "sites": f"{len(twin.sites)} with {channels:,} channels",
        "features": twin.features or "several layers read them",
        "classifier": twin.classifier or "several last layers: the head probe says nothing",
    }
