"""Sweeps: plans and results built by hand, and the commands run in this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner
from click.testing import Result as Called

from mlflow_project.cli import main as cli
from pipeline.sweep.plan import Head, Line, Plan, Samples, Settings, id_of, write_plan
from pipeline.sweep.results import RESULTS, Result, made_with, write_result
from pipeline.versions import versions_of

HEAD = Head(
    scanner=versions_of(("ban-gate",))["ban-gate"],
    time="2026-03-04T05:06:07+00:00",
    sources=("models",),
    settings=Settings(),
    settings_digest="ab" * 32,
    false_alarm_rate=0.05,
    samples=(Samples(path="clean.npz", digest="cd" * 32),),
)


def line(name: str, version: int = 0, **changes: object) -> Line:
    """A version of a plan, with samples unless others are given."""
    source = f"models:/{name}/{version}" if version else name
    made = Line(
        id=id_of(source, None),
        name=name,
        version=version,
        source=source,
        samples=0,
        samples_path="clean.npz",
        samples_digest="cd" * 32,
    )
    return replace(made, **changes)  # type: ignore[arg-type] # tests name real fields


def result(of: Line, **changes: object) -> Result:
    """The result of a version: clean, with p 0.5, unless fields are given."""
    made = Result(
        id=of.id,
        name=of.name,
        version=of.version,
        source=of.source,
        state="judged",
        made_with=made_with(Plan(head=HEAD), of),
        verdict="clean",
        action="pass",
        anomaly_score=1.0,
        critical_value=4.0,
        p_value=0.5,
        key=f"key-{of.id}",
    )
    return replace(made, **changes)  # type: ignore[arg-type] # tests name real fields


def blocked(of: Line, p: float = 0.001, **changes: object) -> Result:
    """The result of a version that seems to hide a backdoor."""
    found = {"verdict": "backdoored", "action": "block", "anomaly_score": 9.0, "p_value": p}
    return result(of, **{**found, "reasons": ("class 3 stands out",), **changes})


def sweep_folder(folder: Path, lines: Iterable[Line], results: Iterable[Result]) -> Path:
    """A folder with this plan and these results."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULTS).mkdir(exist_ok=True)
    write_plan(Plan(head=HEAD, lines=tuple(lines)), folder)
    for each in results:
        write_result(folder, each)
    return folder


def call(*arguments: object) -> Called:
    """What `ban-gate sweep` says to these arguments."""
    return CliRunner().invoke(cli.main, ["sweep", *map(str, arguments)])
