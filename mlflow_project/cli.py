"""The command line: options, help, what is printed, and the exit code.

Heavy imports wait until a command runs, so that help is quick and a broken installation ends with
the code of an internal error, not with Python's 1, which would read as "backdoored".
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_project.exits import EXIT_CODES, failures_as_exits
from pipeline.printable import printable

if TYPE_CHECKING:
    from pipeline.result import ScanResult, TwinSummary
    from stages.types import OnnxArtifact

PROJECT_LOGGERS = ("mlflow_project", "pipeline", "stages")


class GivenOption(click.Option):
    """An option for which the empty string means "not given", as MLproject passes it."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        """Drops empty strings before the default is looked up."""
        given = opts.get(self.name or "")
        if self.multiple and given:
            given = [value for value in given if value]
        if not given:
            opts = {key: value for key, value in opts.items() if key != self.name}
        else:
            opts = {**opts, self.name or "": given}
        return super().consume_value(ctx, opts)


class OneLine(logging.Formatter):
    """Log lines that a name in a model file can neither break nor colour."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the parent's name)
        """The message on one line; a traceback, which follows it, keeps its lines."""
        return printable(super().formatMessage(record))


class Commands(click.Group):
    """A group whose commands end with the exit code of their failure."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command with failures turned into exits."""
        with failures_as_exits():
            return super().invoke(ctx)


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    try:
        number = version("ban-gate")
    except PackageNotFoundError:
        number = "(not installed)"
    click.echo(f"ban-gate {number} from {Path(__file__).parent.parent}")
    ctx.exit()


EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

output_option = click.option(
    "--output",
    cls=GivenOption,
    type=FOLDER,
    metavar="DIR",
    help="Folder for verdict.json and the figures; created if missing.",
)
settings_options = (
    click.option(
        "--seed",
        cls=GivenOption,
        type=click.IntRange(min=0),
        help="Seed of all randomness.  [default: 0]",
    ),
    click.option(
        "--device",
        cls=GivenOption,
        type=click.Choice(["auto", "cpu", "cuda"]),
        help="Where to compute; auto takes a GPU if there is one.  [default: auto]",
    ),
    click.option(
        "--config",
        cls=GivenOption,
        type=EXISTING_FILE,
        metavar="FILE.toml",
        help="Settings, one section per stage.",
    ),
    click.option(
        "--set",
        "overrides",
        cls=GivenOption,
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting, such as noise.steps=10, or several separated by `;`; wins over --config."
        " May be repeated.",
    ),
)
tracking_options = (
    click.option(
        "--tracking-uri",
        cls=GivenOption,
        metavar="URI",
        help="MLflow server or store.  [default: $MLFLOW_TRACKING_URI, else ./mlflow.db]",
    ),
    click.option(
        "--experiment",
        cls=GivenOption,
        metavar="NAME",
        help="MLflow experiment of the run.  [default: MLflow's own]",
    ),
)
fresh_option = click.option(
    "--fresh", is_flag=True, help="Compute everything; neither use nor keep earlier results."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a line.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Log every detail on stderr.")


def _with(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Puts several options on a command, in the order given."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and where it is installed.",
)
def main() -> None:
    """Find backdoors in ONNX classifiers by shaking their neurons with adversarial noise.

    \b
    Try it:     ban-gate demo
    Look:       ban-gate inspect model.onnx
    Judge:      ban-gate scan model.onnx --samples clean.npz

    The verdict goes to stdout, to verdict.json and to an MLflow run; progress goes to stderr.

    \b
    Exit codes:
      0    clean: no backdoor found by these tests at this false-alarm rate
      1    backdoored
      2    wrong usage: option, path or setting
      3    cannot judge: model unsupported or refused, samples unfit, verdict inconclusive
      4    the verdict could not be recorded in MLflow
      70   internal error
    """  # noqa: D301 (click wants the backspace character itself)


@main.command(short_help="Judge a model and record the verdict.")
@click.argument("model", type=EXISTING_FILE)
@click.option(
    "--samples",
    cls=GivenOption,
    required=True,
    type=EXISTING,
    metavar="FILE.npz",
    help="Clean samples: images float32 (N, *input shape), preprocessed; labels int64 (N,).",
)
@_with(output_option, *settings_options, *tracking_options)
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever the verdict is.")
@_with(json_option, fresh_option, verbose_option)
def scan(  # noqa: PLR0913 (one parameter per option, as click hands them over)
    *,
    model: Path,
    samples: Path,
    output: Path | None,
    seed: int | None,
    device: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    tracking_uri: str | None,
    experiment: str | None,
    exit_zero: bool,
    as_json: bool,
    fresh: bool,
    verbose: bool,
) -> None:
    """Judge the classifier MODEL, an ONNX file, and record the verdict in MLflow.

    \b
    A few hundred clean samples, balanced over the classes, are enough:
      ban-gate scan model.onnx --samples clean.npz --output report
    In a pipeline, with a server and a fixed setting:
      ban-gate scan model.onnx --samples clean.npz --tracking-uri http://host:5000 \\
        --experiment gate --set judge.false_alarm_rate=0.01

    stdout gets one line, or verdict.json with --json. Exit code 0: clean, 1: backdoored, 3: cannot
    judge; 2, 4 and 70 are failures, see `ban-gate --help`.
    """  # noqa: D301 (click wants the backspace character itself)
    _log_to_stderr(verbose)
    from mlflow_project import commands, track  # noqa: PLC0415 (heavy: see the module's docstring)
    from pipeline.config import load_config  # noqa: PLC0415 (same)

    call = commands.ScanCall(
        model=model,
        uri=str(model),
        samples=samples,
        config=load_config(config, overrides, seed=seed, device=device),
        output=output,
        target=track.Target(uri=tracking_uri, experiment=experiment),
        fresh=fresh,
    )
    result = commands.scan(call, _tell_document if as_json else _tell_line)
    sys.exit(0 if exit_zero else EXIT_CODES[result.verdict.label])


@main.command(short_help="Show what an ONNX file is, without judging it.")
@click.argument("file", type=EXISTING_FILE)
@_with(json_option, verbose_option)
def inspect(file: Path, as_json: bool, verbose: bool) -> None:
    """Show what the ONNX FILE is and where noise can enter, without judging it.

    Exit code 3 if the file is refused or cannot be converted.
    """
    _log_to_stderr(verbose)
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see the module's docstring)

    artifact, twin = commands.inspect(file)
    if as_json:
        click.echo(json.dumps(_inspection_document(artifact, twin), indent=2))
    else:
        click.echo("\n".join(map(printable, _inspection_lines(artifact, twin))))


@main.command(short_help="Scan three small models whose truth is known.")
@_with(output_option, *settings_options, fresh_option, verbose_option)
def demo(
    *,
    output: Path | None,
    seed: int | None,
    device: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    fresh: bool,
    verbose: bool,
) -> None:
    """Scan three small models that come with ban-gate, one clean and two backdoored.

    Prints each verdict beside the truth. Nothing is recorded in MLflow.
    """
    _log_to_stderr(verbose)
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see the module's docstring)
    from pipeline.config import load_config  # noqa: PLC0415 (same)
    from pipeline.report import summary  # noqa: PLC0415 (same)

    settings = load_config(config, overrides, seed=seed, device=device)
    agreed = []
    for line in commands.demo(settings, output, fresh):
        click.echo(f"{summary(line.result)}   truth: {line.truth}")
        agreed.append(line.agrees)
    click.echo(f"{sum(agreed)} of {len(agreed)} verdicts agree with the truth.")


def _tell_line(result: ScanResult) -> None:
    from pipeline.report import summary  # noqa: PLC0415 (heavy: see the module's docstring)

    click.echo(summary(result))


def _tell_document(result: ScanResult) -> None:
    from pipeline.report import verdict_document, verdict_text  # noqa: PLC0415 (same)

    click.echo(verdict_text(verdict_document(result)), nl=False)


def _inspection_document(artifact: OnnxArtifact, twin: TwinSummary) -> dict[str, object]:
    return {
        "schema": 1,
        "model": {**asdict(artifact), "path": str(artifact.path)},
        "twin": asdict(twin),
    }


def _inspection_lines(artifact: OnnxArtifact, twin: TwinSummary) -> list[str]:
    facts = {
        "file": artifact.path,
        "sha256": artifact.digest,
        "framework": f"{artifact.framework} ({artifact.producer})",
        "opset": artifact.opset,
        "parameters": f"{artifact.parameters:,}",
        "input": _spec(artifact.input.name, artifact.input.shape, artifact.input.dtype),
        "output": _spec(artifact.output.name, artifact.output.shape, artifact.output.dtype),
        **_twin_facts(twin),
    }
    lines = [f"{name:<12}{value}" for name, value in facts.items()]
    return lines + [f"{each.severity:<12}{each.message}" for each in artifact.findings]


def _spec(name: str, shape: tuple[int | None, ...], dtype: str) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"{name} {dtype} ({sizes})"


def _twin_facts(twin: TwinSummary) -> dict[str, object]:
    channels = sum(site.channels for site in twin.sites)
    return {
        "classes": twin.classes,
        "sites": f"{len(twin.sites)} with {channels:,} channels",
        "features": twin.features,
        "classifier": twin.classifier,
    }


def _log_to_stderr(verbose: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(levelname)-7s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in PROJECT_LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)
