"""Several models in one call: each judged for itself, one table, one exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import mlflow
import pytest
from click.testing import Result
from mlflow.entities import Run

from mlflow_project import commands
from mlflow_project.cli.exit_codes import EXIT_CODES, WORST_FIRST, worst
from mlflow_project.several import folders_for

pytestmark = pytest.mark.usefixtures("mlflow_settings")

MODEL = commands.DEMO / "clean.onnx"
Call = Callable[..., Result]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with two models that can be read, and one that cannot."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("a", "c"):
        shutil.copy(MODEL, folder / f"{name}.onnx")
    (folder / "b.onnx").write_text("no model")
    return folder


def test_a_folder_is_judged_model_by_model(
    call: Call, few: Path, models: Path, tmp_path: Path
) -> None:
    """A bad one does not stop the others; each has its own report, run and row, in order."""
    result = call("scan", models, "--samples", few, "--output", tmp_path / "out")

    header, *rows = result.stdout.splitlines()
    assert result.exit_code == 3
    assert header.split() == ["model", "verdict", "class", "p", "score", "report"]
    assert [row.split()[:2] for row in rows] == [
        [str(models / name), "inconclusive"] for name in ("a.onnx", "b.onnx", "c.onnx")
    ]
    assert [row.split()[-1] for row in rows] == [
        str(tmp_path / "out" / name / "report.html") for name in "abc"
    ]
    assert all(Path(row.split()[-1]).is_file() for row in rows)
    assert all(f"model {number} of 3" in result.stderr for number in (1, 2, 3))
    assert "`b.onnx` is not an ONNX file" in result.stderr


def test_each_model_has_a_run_inside_one(call: Call, few: Path, models: Path) -> None:
    """The parent holds the table; the children are what a scan of one model records."""
    known = {run.info.run_id for run in _runs()}

    call("scan", models / "a.onnx", models / "b.onnx", "--samples", few)

    runs = [run for run in _runs() if run.info.run_id not in known]
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert len(children) == 2
    assert all(r.data.tags["mlflow.parentRunId"] == parent.info.run_id for r in children)
    assert all(run.data.tags["ban.verdict"] == "inconclusive" for run in children)
    assert all(run.info.status == "FINISHED" for run in runs)
    assert parent.data.tags["ban.models"] == "2"
    table = mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/models.txt")
    assert table.count("inconclusive") == 2


def test_json_is_a_line_for_each(call: Call, few: Path, models: Path) -> None:
    """A verdict document, or the failure of a model that came to none."""
    result = call("scan", models / "a.onnx", models / "gone.onnx", "--samples", few, "--json")

    first, second = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 3
    assert (first["verdict"], first["schema"]) == ("inconclusive", 2)
    assert first["model"]["uri"] == str(models / "a.onnx")
    assert second["verdict"] is None
    assert second["exit_code"] == 2
    assert "does not exist" in second["error"]
    assert "ban-gate: model" in result.stderr


def test_a_job_of_github_is_told_the_worst_last(
    call: Call, few: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a name that is written twice the last value counts there."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))

    call("scan", models / "a.onnx", models / "gone.onnx", "--samples", few)

    lines = (tmp_path / "output").read_text().splitlines()
    assert [line for line in lines if line.startswith("gate=")][-1] == "gate=block"


def test_exit_zero_is_about_verdicts_alone(call: Call, few: Path, models: Path) -> None:
    """A failure keeps its code."""
    arguments = ("--samples", few, "--exit-zero")

    assert call("scan", models / "a.onnx", models / "b.onnx", *arguments).exit_code == 0
    assert call("scan", models / "a.onnx", models / "gone.onnx", *arguments).exit_code == 2


def test_the_order_of_codes_is_whole() -> None:
    """Every code that a scan may end with has its place: known bad, not known, failed, clean."""
    codes = {code for code in EXIT_CODES.values() if code != 130}

    assert codes == set(WORST_FIRST)
    assert WORST_FIRST[0] == 1
    assert WORST_FIRST[-1] == 0
    for first, second in pairwise(WORST_FIRST):
        assert worst([0, second, first, second]) == first
    assert worst([]) == 0


def test_reports_never_share_a_folder(tmp_path: Path) -> None:
    """Names that collide, also where letters differ in case alone, get numbers; no name leads out
    of the output folder.
    """
    names = ["x/m.onnx", "y/m.onnx", "M.onnx", "m-2.onnx", "models:/m/1", "../..", "/", "m"]
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
    given = [str(tmp_path / name) if name.endswith(".onnx") else name for name in names]
    for place in given:
        if place.endswith(".onnx"):
            Path(place).touch()

    folders = folders_for(given, tmp_path / "out")

    assert len({str(each).lower() for each in folders}) == len(names)
    assert all(each and each.parent == tmp_path / "out" for each in folders)
    assert folders[0] == tmp_path / "out" / "m"
    assert folders_for(given, None) == [None] * len(names)


def test_inspect_shows_each(call: Call, models: Path) -> None:
    """A bad one does not stop the others, and the worst counts."""
    told = call("inspect", models)
    lines = call("inspect", models, "--json").stdout.splitlines()

    assert told.exit_code == 3
    assert told.stdout.count("sha256") == 2
    assert "`b.onnx` is not an ONNX file" in told.stderr
    assert [json.loads(line)["model"]["path"] for line in lines] == [
        str(models / "a.onnx"), str(models / "c.onnx"),
    ]  # fmt: skip


def _runs() -> list[Run]:
    """All runs of all experiments."""
    client = mlflow.MlflowClient()
    experiments = [each.experiment_id for each in client.search_experiments()]
    return list(client.search_runs(experiments))
