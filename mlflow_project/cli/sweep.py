"""`ban-gate sweep`: judge a whole registry, a folder or a list of models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.parameters import taking
from mlflow_project.cli.sweep_options import PlanOptions, ReportOptions, RunOptions, StatusOptions
from pipeline.printable import printable

if TYPE_CHECKING:
    from pipeline.sweep.rows import Sweep


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
            requests=options.requests,
            trust_model_code=options.native.trust_model_code,
            python=str(Path(python).absolute()) if (python := options.native.python) else None,
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
