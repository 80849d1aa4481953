"""The command line: options, help, what is printed, and the exit code.

Heavy imports wait until a command runs, so that help is quick and a broken installation ends with
the code of an internal error, not with Python's 1, which would read as "backdoored".
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_project import gate_cli, options
from mlflow_project.exits import EXIT_CODES, failures_as_exits
from mlflow_project.logs import log_to_stderr
from pipeline import isolation
from pipeline.printable import printable

if TYPE_CHECKING:
    from mlflow_project.job_queue import Job
    from pipeline.native import ExportResult
    from pipeline.result import ScanResult, TwinSummary
    from pipeline.untrusted import Description


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
    """Find backdoors in classifiers by shaking their neurons with adversarial noise.

    \b
    Try it:     ban-gate demo
    Look:       ban-gate inspect model.onnx
    Judge:      ban-gate scan model.onnx --samples clean.npz
    Gate:       ban-gate gate models:/digits/3 --samples clean.npz --promote champion
    Verify:     ban-gate verify models:/digits@champion
    Calibrate:  ban-gate calibrate v1.onnx v2.onnx --samples clean.npz --output profile.json
    Listen:     ban-gate listen --config listen.toml
    Convert:    ban-gate export model.pt2 --output model.onnx --trust-model-code

    The verdict goes to stdout, to verdict.json and to an MLflow run; progress goes to stderr.

    \b
    Exit codes:
      0    clean: no backdoor found by these tests at this false-alarm rate; passed
      1    backdoored, or blocked by the policy
      2    wrong usage: option, path or setting
      3    cannot judge: model unsupported or refused, samples unfit, verdict inconclusive
      4    MLflow failed: the verdict could not be recorded, nothing was promoted
      70   internal error
    """  # noqa: D301 (click wants the backspace character itself)


@main.command(short_help="Judge a model and record the verdict.")
@options.model_or_uri_argument
@options.options(
    options.samples_option,
    options.reference_option,
    *options.native_options,
    options.output_option,
    *options.settings_options,
    *options.tracking_options,
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever the verdict is.")
@options.options(options.json_option, options.fresh_option, options.verbose_option)
def scan(  # noqa: PLR0913 (one parameter per option, as click hands them over)
    *,
    model: str,
    samples: str,
    references: tuple[str, ...],
    trust_model_code: bool,
    python: str | None,
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
    """Judge the classifier MODEL and record the verdict in MLflow.

    MODEL is an ONNX file, or a native model that is exported first: a file of PyTorch (.pt, .pth,
    .pt2), Keras (.keras, .h5) or scikit-learn (.pkl, .joblib, .skops), a folder of MLflow,
    TensorFlow (SavedModel), PaddlePaddle or transformers, or FILE.py:FUNCTION, a function that
    builds the model; or what MLflow keeps: models:/NAME/3, models:/NAME@ALIAS, models:/m-ID,
    runs:/RUN/PATH. Samples and references may lie there, too. Loading a native model runs code of
    its author: say --trust-model-code.

    \b
    A few hundred clean samples, balanced over the classes, are enough:
      ban-gate scan model.onnx --samples clean.npz --output report
    A model that is not ONNX yet:
      ban-gate scan model.pt2 --samples clean.npz --trust-model-code
    Beside earlier versions that are known to be clean, which makes the verdict far surer:
      ban-gate scan model.onnx --samples clean.npz --reference v2.onnx --reference v1.onnx
    In a pipeline, with a server and a fixed setting:
      ban-gate scan model.onnx --samples clean.npz --tracking-uri http://host:5000 \\
        --experiment gate --set judge.false_alarm_rate=0.01

    DIR also gets junit.xml, verdict.sarif, summary.md and bom.cdx.json for CI systems; in a job of
    GitHub Actions the summary, the step's outputs and an annotation are written as well.

    stdout gets one line, or verdict.json with --json. Exit code 0: clean, 1: backdoored, 3: cannot
    judge; 2, 4 and 70 are failures, see `ban-gate --help`.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(verbose)
    isolation.warm_up()
    from mlflow_project import commands, track  # noqa: PLC0415 (heavy: see the module's docstring)
    from pipeline.config import load_config  # noqa: PLC0415 (same)

    call = commands.ScanCall(
        model=model,
        uri=model,
        samples=samples,
        config=load_config(config, overrides, seed=seed, device=device),
        trusted=trust_model_code,
        python=python or sys.executable,
        references=references,
        output=output,
        target=track.Target(uri=tracking_uri, experiment=experiment),
        fresh=fresh,
        environment=os.environ,
    )
    result = commands.scan(call, _tell_document if as_json else _tell_line)
    sys.exit(0 if exit_zero else EXIT_CODES[result.verdict.label])


@main.command(short_help="Show what an ONNX file is, without judging it.")
@options.model_argument
@options.options(*options.limit_options, options.json_option, options.verbose_option)
def inspect(
    *, model: str, config: Path | None, overrides: tuple[str, ...], as_json: bool, verbose: bool
) -> None:
    """Show what the ONNX file MODEL is and where noise can enter, without judging it.

    MODEL may also be a folder that MLflow wrote for an ONNX model. Exit code 3 if the file is
    refused or cannot be converted.
    """
    log_to_stderr(verbose)
    isolation.warm_up()
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see the module's docstring)
    from pipeline.config import load_config  # noqa: PLC0415 (same)

    told = commands.inspect(model, load_config(config, overrides))
    if as_json:
        click.echo(json.dumps(_inspection_document(model, told), indent=2))
    else:
        click.echo("\n".join(map(printable, _inspection_lines(model, told))))


@main.command(short_help="Turn a native model into a proven ONNX file.")
@options.model_argument
@click.option(
    "--output",
    required=True,
    cls=options.GivenOption,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.onnx",
    help="The ONNX file to write.",
)
@click.option(
    "--samples",
    cls=options.GivenOption,
    type=options.EXISTING,
    metavar="FILE.npz",
    help="Samples to compare native model and ONNX on, as for `scan`.",
)
@click.option(
    "--input-shape",
    cls=options.GivenOption,
    metavar="SIZES",
    callback=options.read_shape,
    help="Shape of one image, such as 3,32,32, where there are no samples and the model does not"
    " tell.",
)
@options.options(*options.native_options, *options.limit_options, options.verbose_option)
def export(  # noqa: PLR0913 (one parameter per option, as click hands them over)
    *,
    model: str,
    output: Path,
    samples: Path | None,
    input_shape: tuple[int, ...] | None,
    trust_model_code: bool,
    python: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    verbose: bool,
) -> None:
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
    log_to_stderr(verbose)
    isolation.warm_up()
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see the module's docstring)
    from pipeline.config import load_config  # noqa: PLC0415 (same)

    call = commands.ExportCall(
        model=model,
        output=output,
        config=load_config(config, overrides),
        samples=samples,
        shape=input_shape,
        trusted=trust_model_code,
        python=python or sys.executable,
    )
    click.echo(_export_line(commands.export(call), output))


@main.command(short_help="Measure models known to be clean, for later scans.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--output",
    required=True,
    cls=options.GivenOption,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PROFILE.json",
    help="The profile to write.",
)
@options.options(
    options.samples_option,
    *options.native_options,
    *options.settings_options,
    *options.tracking_options,
    options.fresh_option,
    options.verbose_option,
)
def calibrate(  # noqa: PLR0913 (one parameter per option, as click hands them over)
    *,
    models: tuple[str, ...],
    output: Path,
    samples: str,
    trust_model_code: bool,
    python: str | None,
    seed: int | None,
    device: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    tracking_uri: str | None,
    experiment: str | None,
    fresh: bool,
    verbose: bool,
) -> None:
    """Measure every MODEL, all known to be clean and of one task, and write one profile of them.

    Some classes are reached more easily than others in every clean model of a task. A scan that
    knows this cries wolf less and finds more. Architectures may differ.

    \b
      ban-gate calibrate v1.onnx v2.onnx --samples clean.npz --output profile.json
      ban-gate scan v3.onnx --samples clean.npz --reference profile.json

    With --tracking-uri or --experiment the profile is logged to an MLflow run as well. Exit code 3
    if no model can be measured; models that cannot are named on stderr.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(verbose)
    isolation.warm_up()
    from mlflow_project import commands, track  # noqa: PLC0415 (heavy: see the module's docstring)
    from pipeline.config import load_config  # noqa: PLC0415 (same)

    logged = bool(tracking_uri or experiment)
    call = commands.CalibrateCall(
        models=models,
        samples=samples,
        output=output,
        config=load_config(config, overrides, seed=seed, device=device),
        trusted=trust_model_code,
        python=python or sys.executable,
        target=track.Target(uri=tracking_uri, experiment=experiment) if logged else None,
        fresh=fresh,
    )
    written = commands.calibrate(call)
    for remark in written.remarks:
        click.echo(printable(remark), err=True)
    click.echo(printable(f"calibrated  {written.path}  {len(written.models)} model(s)"))


@main.command(short_help="Scan three small models whose truth is known.")
@options.options(
    options.output_option, *options.settings_options, options.fresh_option, options.verbose_option
)
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
    log_to_stderr(verbose)
    isolation.warm_up()
    from mlflow_project import commands  # noqa: PLC0415 (heavy: see the module's docstring)
    from pipeline.config import load_config  # noqa: PLC0415 (same)
    from pipeline.report import summary  # noqa: PLC0415 (same)

    settings = load_config(config, overrides, seed=seed, device=device)
    agreed = []
    for line in commands.demo(settings, output, fresh):
        click.echo(f"{summary(line.result)}   truth: {line.truth}")
        agreed.append(line.agrees)
    click.echo(f"{sum(agreed)} of {len(agreed)} verdicts agree with the truth.")


@main.command(short_help="Gate every new model version that MLflow tells of.")
@options.options(*options.listen_options, options.json_option, options.verbose_option)
def listen(
    *,
    config: Path | None,
    host: str,
    port: int,
    database: Path | None,
    status: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Take MLflow's webhooks at /webhook, and gate each new version of the models configured.

    A delivery is taken if it is signed with the webhook's secret, in BAN_GATE_WEBHOOK_SECRET or the
    configuration's `secret_file`, and not old. It is answered once it is on disk: a listener that
    dies goes on where it was.

    \b
      ban-gate listen --config listen.toml --host 0.0.0.0
      ban-gate listen --status

    Ends with 0 on SIGTERM, after the gate that runs was stopped and queued again. Exit code 2: the
    configuration, the address or the queue cannot be used.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(verbose)
    from mlflow_project import home, job_queue, listener  # noqa: PLC0415 (heavy: see above)

    queue = database or home.home() / listener.DATABASE
    if status:
        _tell_jobs(job_queue.jobs_in(queue), as_json)
    elif config is None:
        raise click.UsageError("Missing option '--config'.")
    else:
        listener.listen(config, queue, listener.Address(host=host, port=port))


def _tell_jobs(jobs: list[Job], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"schema": 1, "jobs": [asdict(each) for each in jobs]}, indent=2))
    for job in [] if as_json else jobs:
        click.echo(printable(_job_line(job)))


def _job_line(job: Job) -> str:
    when = datetime.fromtimestamp(job.changed, UTC).isoformat(timespec="seconds")
    ended = "" if job.exit_code is None else f"exit {job.exit_code}"
    facts = f"{job.state:<9} {ended:<8} attempts {job.attempts}  {when}"
    return f"{facts}  {job.name}/{job.version}  {job.said}".rstrip()


for command in (gate_cli.gate, gate_cli.verify, gate_cli.rollback, gate_cli.keygen):
    main.add_command(command)


def _tell_line(result: ScanResult) -> None:
    from pipeline.report import summary  # noqa: PLC0415 (heavy: see the module's docstring)

    click.echo(summary(result))


def _tell_document(result: ScanResult) -> None:
    from pipeline.report import verdict_document, verdict_text  # noqa: PLC0415 (same)

    click.echo(verdict_text(verdict_document(result)), nl=False)


def _export_line(result: ExportResult, output: Path) -> str:
    made = ", ".join(f"{name} {number}" for name, number in result.packages.items())
    gap = f"differs from the native model by {result.parity.max_rel:.1g}"
    return printable(f"exported  {output}  {result.framework} ({made})  {gap}")


def _inspection_document(model: str, told: Description) -> dict[str, object]:
    return {
        "schema": 1,
        "model": {**asdict(told.artifact), "path": model},
        "parity": {"max_rel": told.parity.max_rel, "tolerance": told.parity.tolerance},
        "twin": asdict(told.twin),
    }


def _inspection_lines(model: str, told: Description) -> list[str]:
    artifact = told.artifact
    facts = {
        "file": model,
        "sha256": artifact.digest,
        "framework": f"{artifact.framework} ({artifact.producer})",
        "opset": artifact.opset,
        "parameters": f"{artifact.parameters:,}",
        "input": _spec(artifact.input.name, artifact.input.shape, artifact.input.dtype),
        "output": _spec(artifact.output.name, artifact.output.shape, artifact.output.dtype),
        "parity": f"{told.parity.max_rel:.1g} of {told.parity.tolerance:g} allowed",
        **_twin_facts(told.twin),
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
