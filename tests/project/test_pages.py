"""Every command and every Python block of the pages is run, or says why it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.pages import (
    CONSOLE,
    PYTHON,
    RUNNABLE,
    Block,
    blocks,
    commands,
    run_commands,
    run_python,
)
from tests.support.places import ROOT
from tests.support.workplace import fill

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
)
TESTS_OF_THEIR_OWN = {
    "CONTRIBUTING.md": "project/test_add_a_search.py",
    "docs/frameworks.md": "stages/export/test_frameworks.py",
    "docs/quickstart.md": "project/test_quickstart.py",
    "docs/samples.md": "mlflow_project/cli/test_samples.py",
}
NOT_RUN = {"docs/results.md": "each command trains or measures models for hours"}
REGISTRY = ("README.md", "docs/ci.md", "docs/gate.md")
"""Pages that presume registered versions."""
REGISTERING = """
import mlflow, numpy as np, onnx
from mlflow.models import infer_signature
signature = infer_signature(np.zeros((2, 1, 16, 16), np.float32), np.zeros((2, 10), np.float32))
for name, copies in (("digits", 3), ("digits-prod", 1)):
    for _ in range(copies):
        mlflow.onnx.log_model(
            onnx.load("model.onnx"), name="model", registered_model_name=name,
            save_as_external_data=False, pip_requirements=["onnxruntime"], signature=signature,
        )
"""


def runnable(page: str) -> list[Block]:
    """The blocks of a page that its own test does not run, and none that says why it is not run."""
    if page in TESTS_OF_THEIR_OWN or page in NOT_RUN:
        return []
    return [each for each in blocks(page) if each.language in RUNNABLE and not each.reason]


RUN = [page for page in PAGES if runnable(page)]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One cache and one key for all pages, which scan the same models again and again."""
    return str(tmp_path_factory.mktemp("home"))


@pytest.mark.nightly
@pytest.mark.parametrize("page", RUN)
def test_its_blocks_do_what_it_says(
    page: str, child: dict[str, str], home: str, sqlite_store: str, tmp_path: Path
) -> None:
    """In their order, in a folder with what the page presumes: first commands, then Python."""
    fill(folder := tmp_path / "work")
    environment = child | {"BAN_GATE_HOME": home, "MLFLOW_TRACKING_URI": sqlite_store}
    if page in REGISTRY:
        environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        _register(folder, environment)
    found = runnable(page)
    todo = [each for block in found if block.language == CONSOLE for each in commands(block)]
    program = "\n".join(block.text for block in found if block.language == PYTHON)

    faults = run_commands(todo, folder, environment) if todo else []
    faults += run_python(program, folder, environment) if program else []

    assert not faults, "\n".join(faults)


def _register(folder: Path, environment: Mapping[str, str]) -> None:
    assert not run_python(REGISTERING, folder, environment)


def test_no_block_is_forgotten() -> None:
    """Each is of a language that is run here; what a reader may type stands in no other block."""
    for page in PAGES:
        for block in blocks(page):
            if page not in TESTS_OF_THEIR_OWN and block.language in RUNNABLE:
                assert block.language in (CONSOLE, PYTHON), block
            if block.language == CONSOLE:
                assert list(commands(block)), block
                assert block.text.startswith("$ "), block
            if block.language in ("", "text"):
                assert not re.search(r"^(\$ |ban-gate \w|pip install )", block.text, re.MULTILINE)


def test_the_lists_above_name_what_there_is() -> None:
    """Pages with blocks, and tests that read the page."""
    for page, test in TESTS_OF_THEIR_OWN.items():
        assert any(each.language in RUNNABLE for each in blocks(page)), page
        assert (ROOT / "tests" / test).exists()
    assert {*NOT_RUN, *REGISTRY} <= {*PAGES}


def test_a_wrong_page_is_found_out(child: dict[str, str], tmp_path: Path) -> None:
    """Another exit code, or a line that is not printed, is a fault; `…` stands for anything."""
    text = "$ echo one two\none …\n$ false   # exit code 1\n$ false\n$ echo yes\nno\n"

    faults = run_commands([*commands(Block("", 1, CONSOLE, text, None))], tmp_path, child)

    assert [fault.split(":")[0] for fault in faults] == ["false", "echo yes"]
