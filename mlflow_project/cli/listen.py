"""`ban-gate listen`: gate every new version that MLflow's webhooks report."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.options import EXISTING_FILE, FILE, AsJson, Verbose
from mlflow_project.cli.parameters import flag, option, taking
from pipeline.printable import printable

if TYPE_CHECKING:
    from mlflow_project.listener.job_queue import Job


@dataclass(frozen=True, kw_only=True)
class ListenOptions:
    """The options of `listen`."""

    config: Annotated[
        Path | None,
        option(
            "--config",
            type=EXISTING_FILE,
            metavar="FILE.toml",
            help="Whom to believe, and how each registered model is gated: see docs/listen.md.",
        ),
    ]
    host: Annotated[
        str,
        option(
            "--host",
            cls=click.Option,
            default="127.0.0.1",
            show_default=True,
            help="Address to listen at.",
        ),
    ]
    port: Annotated[
        int,
        option(
            "--port",
            cls=click.Option,
            default=8765,
            show_default=True,
            type=click.IntRange(0, 65535),
            help="Port to listen at; 0 takes a free one and says which.",
        ),
    ]
    database: Annotated[
        Path | None,
        option(
            "--database",
            type=FILE,
            metavar="FILE",
            help="Where the queue is kept.  [default: listen.db in $BAN_GATE_HOME, else in"
            " the user's folder of data]",
        ),
    ]
    status: Annotated[bool, flag("--status", help="Print the queue and exit; needs no --config.")]
    as_json: AsJson
    verbose: Verbose


@click.command(short_help="Gate every new model version that MLflow tells of.")
@taking(ListenOptions)
def listen(options: ListenOptions) -> None:
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
    log_to_stderr(options.verbose)
    from mlflow_project import home  # noqa: PLC0415 (heavy: see `main`)
    from mlflow_project.listener import http, job_queue  # noqa: PLC0415 (same)

    database = options.database or home.moved_here(home.data_folder() / http.DATABASE)
    if options.status:
        _print_jobs(job_queue.jobs_in(database), options.as_json)
    elif options.config is None:
        raise click.UsageError("Missing option '--config'.")
    else:
        address = http.Address(host=options.host, port=options.port)
        http.listen(options.config, database, address)


def _print_jobs(jobs: list[Job], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"schema": 1, "jobs": [asdict(each) for each in jobs]}, indent=2))
    for job in [] if as_json else jobs:
        click.echo(printable(_job_line(job)))


def _job_line(job: Job) -> str:
    code = "" if job.exit_code is None else f"exit {job.exit_code}"
    facts = f"{job.state:<9} {code:<8} attempts {job.attempts}  {_moment(job.changed)}"
    again = f"again at {_moment(job.due)}" if job.state == "queued" and job.attempts else ""
    model = f"{job.workspace}:{job.name}" if job.workspace else job.name
    return f"{facts}  {model}/{job.version}  {job.said}  {again}".rstrip()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
