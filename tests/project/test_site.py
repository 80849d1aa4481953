"""The documentation becomes a site that is whole, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mlflow_project.cli.main import COMMANDS
from tests.support.places import ROOT

LOADED = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?(https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make site` builds it: every warning is an error."""
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place


def test_every_page_is_built(site: Path) -> None:
    """A page that no menu leads to, or a link that leads nowhere, ends the build."""
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}

    for page in pages:
        name = "index.html" if page.name == "README.md" else f"{page.stem}.html"
        assert page.with_name(name) in built


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """So that it can be read inside a firewall, and tells nobody who reads it."""
    guilty = [path.name for path in site.rglob("*.html") if LOADED.search(path.read_text())]

    assert not guilty


def test_the_references_are_those_of_the_code(site: Path) -> None:
    """Every command with its options, and every public name of `ban_gate` with what it is."""
    import ban_gate  # noqa: PLC0415 (loads torch)

    commands, python = (site / "cli.html").read_text(), (site / "python.html").read_text()

    assert "Sentinel" not in commands, "an option without a default has none"
    for command in COMMANDS:
        assert f'id="ban-gate-{command.name}"' in commands
        options = [each for each in command.params if isinstance(each, click.Option)]
        assert all(name in commands for each in options for name in each.opts)
    for name in ban_gate.__all__:
        assert f'id="ban_gate.{name}"' in python
        assert getattr(ban_gate, name).__doc__.splitlines()[0].split("`")[0] in python, name
