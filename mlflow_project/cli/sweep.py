"""`ban-gate sweep`: judge a whole registry, a folder or a list of models."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from mlflow_project.cli.gate import PolicyFile, SigningKey
from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.options import (
    AsJson,
    NativeOptions,
    SettingsOptions,
    TrackingOptions,
    TrackingUri,
    Verbose,
)
from mlflow_project.cli.parameters import argument, flag, option, taking
from pipeline.printable import printable

if TYPE_CHECKING:
    from pipeline.sweep.rows import Sweep

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)
_SCALE = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Shard(click.ParamType[tuple[int, int]]):
    """`I/N`: one part of N, I from 0."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The two numbers."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)/(\d+)", value)
        if not found or not int(found[1]) < int(found[2]):
            self.fail(
                f"`{value}` is no shard; give I/N with I from 0 to N-1, such as 0/8", param, ctx
            )
        return int(found[1]), int(found[2])


class Size(click.ParamType[int]):
    """Bytes, such as `20GB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        if not found:
            self.fail(f"`{value}` is no size; give bytes such as 500MB or 20GB", param, ctx)
        return int(float(found[1]) * _SCALE[found[2].upper()])


Folder = Annotated[
    Path, argument(type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER")
]


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """The options of `sweep plan`."""

    sources: Annotated[tuple[str, ...], argument(nargs=-1, required=True, metavar="SOURCE...")]
    output: Annotated[
        Path,
        option(
            "-o",
            "--output",
            required=True,
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="The sweep's folder, for plan, results and reports; made if missing.",
        ),
    ]
    samples: Annotated[
        str | None,
        option(
            "--samples",
            metavar="TABLE.toml|SOURCE",
            help="A table of name patterns and samples, or the clean samples of all models.",
        ),
    ]
    policy: PolicyFile
    public_keys: Annotated[
        tuple[Path, ...],
        option(
            "--public-key",
            multiple=True,
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE.pem",
            help="A key whose attestations count.  May be repeated.  [default: those of the"
            " policy, else the own one]",
        ),
    ]
    models: Annotated[
        tuple[str, ...],
        option(
            "--models",
            multiple=True,
            metavar="PATTERN",
            help="Only registered models whose name fits, such as `fraud-*`.  May be repeated.",
        ),
    ]
    newest: Annotated[
        int,
        option(
            "--newest",
            type=click.IntRange(min=1),
            metavar="N",
            default=None,
            help="Only the newest N versions of each registered model.",
        ),
    ]
    native: NativeOptions
    settings: SettingsOptions
    tracking_uri: TrackingUri
    verbose: Verbose


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """Where a sweep runs if not here, and what each scan asks for."""

    ray: Annotated[
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
    cpus: Annotated[
        float,
        option(
            "--cpus-per-scan",
            cls=click.Option,
            type=click.FloatRange(min=0.1),
            default=1.0,
            show_default=True,
            help="Cores that a scan asks a Ray cluster for.",
        ),
    ]
    gpus: Annotated[
        float,
        option(
            "--gpus-per-scan",
            cls=click.Option,
            type=click.FloatRange(min=0),
            default=0.0,
            show_default=True,
            help="GPUs that a scan asks a Ray cluster for.",
        ),
    ]
    memory: Annotated[
        int,
        option(
            "--memory-per-scan",
            cls=click.Option,
            type=Size(),
            default="0B",
            help="Memory that a scan asks a Ray cluster for, such as 4GB.  [default: no word of"
            " it]",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """What a sweep may change in the registry."""

    write: Annotated[
        bool,
        flag(
            "--write",
            help="Gate registered versions as `ban-gate gate` does: runs, tags, attestations.",
        ),
    ]
    promote: Annotated[
        str | None,
        option("--promote", metavar="ALIAS", help="With --write: move this alias to what passes."),
    ]
    signing_key: SigningKey
    tracking: TrackingOptions


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `sweep run`."""

    folder: Folder
    shard: Annotated[
        tuple[int, int] | None,
        option(
            "--shard",
            type=Shard(),
            metavar="I/N",
            help="Only the versions of part I, from 0, of N, by the hash of their ids.",
        ),
    ]
    workers: Annotated[
        int | None,
        option(
            "--workers",
            type=click.IntRange(min=1),
            help="Scans at once on this machine.  [default: a core each, fewer if memory is short;"
            " on GPUs one each]",
        ),
    ]
    ray: RayOptions
    write: WriteOptions
    requests: Annotated[
        float,
        option(
            "--requests-per-second",
            cls=click.Option,
            type=click.FloatRange(min=0),
            default=20.0,
            show_default=True,
            help="At most so many requests to the server; 0: any number.",
        ),
    ]
    patience: Annotated[
        float,
        option(
            "--patience",
            cls=click.Option,
            type=click.FloatRange(min=0),
            default=600.0,
            show_default=True,
            help="Seconds that the server may be away until the sweep ends with 4.",
        ),
    ]
    seconds: Annotated[
        float,
        option(
            "--seconds-per-scan",
            cls=click.Option,
            type=click.FloatRange(min=1),
            default=14_400.0,
            show_default=True,
            help="Seconds after which a scan is stopped, which counts as a death.",
        ),
    ]
    downloads: Annotated[
        int,
        option(
            "--max-downloads",
            cls=click.Option,
            type=Size(),
            default="20GB",
            show_default=True,
            help="Room for downloaded models that no scan needs now.",
        ),
    ]
    again: Annotated[
        bool, flag("--again", help="Try what was given up once more, its deaths forgotten.")
    ]
    exit_zero: Annotated[
        bool, flag("--exit-zero", help="Exit 0 once all is judged, whatever the verdicts are.")
    ]
    verbose: Verbose


@dataclass(frozen=True, kw_only=True)
class StatusOptions:
    """The options of `sweep status`."""

    folder: Folder
    as_json: AsJson


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The options of `sweep report`."""

    folder: Folder
    write: Annotated[
        bool, flag("--write", help="Record a run in MLflow, with a nested run for each version.")
    ]
    tracking: TrackingOptions
    exit_zero: Annotated[bool, flag("--exit-zero", help="Exit 0 whatever the verdicts are.")]
    verbose: Verbose


@click.group(short_help="Judge a whole registry, a folder or a list of models.")
def sweep() -> None:
    """Judge every version of a registry, or every model of a folder or list.

    \b
    What to judge, with which samples:
      ban-gate sweep plan http://mlflow:5000 --samples samples.toml -o sweep
    Judge it; after a crash the same command goes on:
      ban-gate sweep run sweep
      ban-gate sweep run sweep --ray ray://head:10001
      ban-gate sweep run sweep --shard 3/8
    How far is it, and what came of it:
      ban-gate sweep status sweep
      ban-gate sweep report sweep

    \b
    samples.toml, where the first pattern that fits counts:
      [[samples]]
      models = "fraud-*"
      path = "fraud.npz"

    A sweep only reads the registry, unless `run --write` is given: then it gates each version.

    \b
    Exit codes of `run`, `status` and `report`:
      0  all judged and passing
      1  something is blocked
      3  nothing is blocked, but something cannot be judged: no samples, unsupported, given up
      4  the server failed, or something waits to be judged
    """  # noqa: D301 (click wants the backspace character itself)


@sweep.command(short_help="List what there is to judge.")
@taking(PlanOptions)
def plan(options: PlanOptions) -> None:
    """List what SOURCE holds, in a fixed order, in FOLDER/plan.jsonl.

    SOURCE is the URI of an MLflow server or store (http://host:5000, sqlite:///mlflow.db), a
    version such as models:/NAME/3, a folder of models, or a text file with a path or models:/… on
    each line. Versions never gated or with an attestation that has expired come first; one with a
    valid attestation is judged again only if its files have changed; those without samples are
    listed last, and are never judged.

    Exit code 0: planned, 2: a source, the samples or a setting is wrong, 4: the registry failed.
    """
    log_to_stderr(options.verbose)
    config = options.settings.scan_config()
    from mlflow_project.sweep.planning import PlanCall, make_plan  # noqa: PLC0415 (heavy)
    from pipeline.sweep.plan import Settings  # noqa: PLC0415 (same)

    given = options.settings
    text = given.config.read_text(encoding="utf-8") if given.config else ""
    made = make_plan(
        PlanCall(
            sources=options.sources,
            folder=options.output,
            config=config,
            settings=Settings(
                config=text,
                overrides=given.overrides,
                seed=given.seed,
                device=given.device,
                output_name=given.output_name,
            ),
            samples=options.samples,
            policy=options.policy,
            public_keys=options.public_keys,
            tracking_uri=options.tracking_uri,
            models=options.models,
            newest=options.newest or 0,
            trust_model_code=options.native.trust_model_code,
            python=options.native.python,
        )
    )
    without = sum(each.samples is None for each in made.lines)
    standings = [each.standing for each in made.lines if each.samples is not None]
    parts = [
        f"{len(made.lines)} versions",
        *(f"{standings.count(name)} {name}" for name in ("never gated", "stale", "attested")),
        f"{without} without samples",
    ]
    click.echo(", ".join(parts))


@sweep.command(short_help="Judge what is planned; goes on where it was.")
@taking(RunOptions)
def run(options: RunOptions) -> None:
    """Judge the versions of the plan in FOLDER, each in a process of its own, and write one result
    for each.

    The same bytes with the same samples and settings are judged once. What has a result is not
    judged again, so after any end the same command goes on. A version whose scan takes its process
    with it twice is given up.

    \b
      ban-gate sweep run sweep --workers 4
      ban-gate sweep run sweep --ray --gpus-per-scan 0.5
      ban-gate sweep run sweep --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
      ban-gate sweep run sweep --write --tracking-uri http://mlflow:5000

    Exit code 0: all judged and passing, 1: something is blocked, 3: something cannot be judged, 4:
    the server failed or something is left; only the versions of the shard count.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(options.verbose)
    if options.write.promote and not options.write.write:
        raise click.UsageError("--promote changes the registry; say --write, too")
    from mlflow_project.sweep.running import RunCall, run_plan  # noqa: PLC0415 (heavy: see `main`)

    where, written = options.ray, options.write
    code = run_plan(
        RunCall(
            folder=options.folder,
            shard=options.shard or (0, 1),
            workers=options.workers,
            ray=where.ray,
            cpus=where.cpus,
            gpus=where.gpus,
            memory=where.memory,
            write=written.write,
            promote=written.promote,
            signing_key=written.signing_key,
            tracking_uri=written.tracking.tracking_uri,
            experiment=written.tracking.experiment,
            requests=options.requests,
            patience=options.patience,
            seconds=options.seconds,
            downloads=options.downloads,
            again=options.again,
        )
    )
    sys.exit(0 if options.exit_zero and code in (1, 3) else code)


@sweep.command(short_help="Say how far a sweep is.")
@taking(StatusOptions)
def status(options: StatusOptions) -> None:
    """Say from the files in FOLDER alone how many versions have which result.

    Exit code as of `run`, over the whole plan.
    """
    from pipeline.sweep.rows import sweep_in  # noqa: PLC0415 (heavy: see `main`)

    found = sweep_in(options.folder)
    counts = {**found.counts, "waiting": len(found.waiting)}
    if options.as_json:
        document = {"schema": 1, "versions": len(found.plan.lines), "blocked": found.blocked}
        click.echo(json.dumps({**document, "counts": counts, "exit_code": found.code}, indent=2))
    else:
        parts = [f"{count} {name}" for name, count in counts.items()]
        click.echo(f"{len(found.plan.lines)} versions: {', '.join(parts)}; {found.blocked} blocked")
    sys.exit(found.code)


@sweep.command(short_help="Join the results into one report.")
@taking(ReportOptions)
def report(options: ReportOptions) -> None:
    """Join the results in FOLDER: report.html, report.jsonl, junit.xml and sweep.sarif there.

    Versions are ranked by their anomaly score, with Benjamini–Hochberg q-values beside p, and the
    number of false blocks to expect. With --write or --tracking-uri a run is recorded in MLflow,
    with a nested run for each version.

    Exit code as of `run`, over the whole plan; 4 also where the run cannot be recorded.
    """
    log_to_stderr(options.verbose)
    from pipeline.atomic_files import write_texts  # noqa: PLC0415 (heavy: see `main`)
    from pipeline.sweep.all_files import report_texts  # noqa: PLC0415 (same)
    from pipeline.sweep.rows import sweep_in  # noqa: PLC0415 (same)

    found = sweep_in(options.folder)
    texts = report_texts(found)
    write_texts(texts, options.folder)
    click.echo(_report_line(found, options.folder))
    if options.write or options.tracking.tracking_uri:
        from mlflow_project.sweep.recording import record_sweep  # noqa: PLC0415 (MLflow)

        record_sweep(found, texts, options.folder.absolute(), options.tracking.target())
    sys.exit(0 if options.exit_zero and found.code in (1, 3) else found.code)


def _report_line(found: Sweep, folder: Path) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items()) or "no results"
    expected = f"{found.false_blocks:.1f} false blocks expected among {found.scans} models tested"
    return printable(f"{counts}; {found.blocked} blocked, {expected}  {folder / 'report.html'}")
