"""A search is added as CONTRIBUTING says, in a copy of the project, and nothing else is touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import DEMO, ROOT

pytestmark = pytest.mark.nightly

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## How to add a search") :]
NAME = "bold"
COPIED = ("stages", "pipeline", "mlflow_project", "benchmarks", "tests", "docs")
SCAN = """
import json, sys, tempfile
from pathlib import Path
from pipeline.cache.store import Store
from pipeline.ci_formats.all_files import output_texts
from pipeline.ci_formats.checks import Outcome
from pipeline.config import load_config
from pipeline.report.html_page import render
from pipeline.report.figures import write_figures
from pipeline.report.verdict_json import class_table, verdict_document
from pipeline.request import ScanRequest
from pipeline.scan import scan

if __name__ == "__main__":
    demo, output = Path(sys.argv[1]), Path(sys.argv[2])
    config = load_config(None, ["bold.faint_steps=6", "calibration.bold.margin.alone.least=0.1"])
    request = ScanRequest(
        model=str(demo / "blended.onnx"), samples=demo / "samples.npz", uri="m", config=config
    )
    with tempfile.TemporaryDirectory() as place:
        result = scan(request, Store(None), Path(place))
    texts = output_texts(Outcome(result=result, moment=result.ended))
    (output / "verdict.json").write_text(json.dumps(verdict_document(result)))
    (output / "columns.json").write_text(json.dumps(list(class_table(result))))
    (output / "report.html").write_text(render(result))
    (output / "verdict.sarif").write_text(texts["verdict.sarif"])
    write_figures(result, output)
"""


def block(language: str, after: str) -> str:
    """The code block that follows some words of the section."""
    found = re.search(rf"```{language}\n(.*?)```", SECTION[SECTION.index(after) :], re.DOTALL)
    assert found, after
    return found[1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the search of the example added: a file, a line, an entry."""
    place = tmp_path_factory.mktemp("copy")
    for folder in COPIED:
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / file, place / file)
    (place / "stages" / "searches" / f"{NAME}.py").write_text(block("python", "The file `stages"))
    registry = place / "stages" / "searches" / "__init__.py"
    imported, listed = block("python", "Its import in"), block("text", "Its line at")
    replaced(registry, r"\n(?=\nSEARCHES: )", f"\n{imported}")
    replaced(registry, r"(?s)(SEARCHES: .*?\n)(?=\)\n)", lambda found: found[1] + listed)
    replaced(
        place / "pipeline" / "report" / "wording.py",
        r"(?m)^WORDING: .*\n",
        lambda line: line[0] + block("python", "Its entry in"),
    )
    calibrate(place)
    return place


def calibrate(place: Path) -> None:
    """Writes the calibration by the commands of the section, on two small zoos."""
    for name in ("tuning", "calibration"):
        zoo = place / "zoo" / name
        zoo.mkdir(parents=True)
        shutil.copy(DEMO / "samples.npz", zoo / "digits.npz")
        shutil.copy(DEMO / "clean.onnx", zoo / f"{name}.onnx")
        facts = {"task": "digits", "architecture": "vgg", "attack": "clean", "target": 0}
        (zoo / f"{name}.json").write_text(json.dumps({"name": name, **facts}))
    for line in block("console", "The calibration with it").splitlines():
        run(place, *line.removeprefix("$ python ").split())


def replaced(path: Path, pattern: str, replacement: object) -> None:
    """Changes the one place in a file where a pattern is found."""
    text, count = re.subn(pattern, replacement, path.read_text())  # type: ignore[call-overload]
    assert count == 1, pattern
    path.write_text(text)


def run(place: Path, *arguments: str) -> None:
    """Runs Python in the copy, whose packages alone are importable there."""
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_nothing_else_was_touched(copy: Path) -> None:
    """One new file, one line in the registry, one entry of wording, generated calibration."""
    packages = ("stages", "pipeline", "mlflow_project")
    changed = {
        path.relative_to(copy).as_posix()
        for package in packages
        for path in (copy / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
        if not (ROOT / path.relative_to(copy)).exists()
        or (ROOT / path.relative_to(copy)).read_bytes() != path.read_bytes()
    }

    assert changed == {
        "stages/searches/bold.py",
        "stages/searches/__init__.py",
        "stages/verdict/calibration.toml",
        "pipeline/report/wording.py",
    }


def test_it_holds_to_the_contract(copy: Path) -> None:
    """The contract's tests take it up by themselves, and it passes them."""
    contract = "tests/stages/searches/test_contract.py"

    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", NAME, contract)


def test_a_scan_runs_and_shows_it(copy: Path, tmp_path: Path) -> None:
    """Settings, verdict.json, class table, report, SARIF and calibration know it."""
    (tmp_path / "program.py").write_text(SCAN)

    run(copy, str(tmp_path / "program.py"), str(DEMO), str(tmp_path))

    verdict = json.loads((tmp_path / "verdict.json").read_text())
    found = verdict["searches"][NAME]
    assert verdict["config"][NAME]["faint_steps"] == 6
    assert verdict["config"]["calibration"][NAME]["margin"]["alone"]["least"] == 0.1
    assert "find_bold" in verdict["seconds"]
    assert 0 <= found["trigger"]["attack_success_rate"] <= 1
    assert found["trigger"]["samples"] > 0
    assert f"{NAME}.margin" in json.loads((tmp_path / "columns.json").read_text())
    page = (tmp_path / "report.html").read_text()
    assert "Bold pattern: mean margin" in page
    assert "Can one picture, blended into every image at a fifth" in page
    assert NAME in (tmp_path / "verdict.sarif").read_text()
