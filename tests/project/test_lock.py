"""Every package is installed by its sha256, in the versions that were tried together."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # stubs are not worth a dependency
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.places import ROOT

RUN, DEV = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"}
PROVIDERS = {"awskms", "azurekms", "gcpkms", "hsm", "vault"}
"""Extras whose packages nobody needs who keeps keys in files."""


@dataclass(frozen=True)
class Locked:
    """A package of a lock, and the sha256 of each of its files."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        """The one version that is installed."""
        (only,) = self.requirement.specifier
        assert only.operator == "=="
        return only.version


def locked(path: Path) -> Iterator[Locked]:
    """Everything that a lock names; whatever else it holds ends in an error."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for entry in re.split(r"\n(?=\S)", text.strip()):
        requirement, *hashes = entry.split(" \\\n    --hash=")
        yield Locked(Requirement(requirement), tuple(each.strip() for each in hashes))


def by_name(path: Path) -> dict[str, Locked]:
    """The packages of a lock by their names."""
    found = list(locked(path))
    names: dict[str, Locked] = {canonicalize_name(each.requirement.name): each for each in found}
    assert len(names) == len(found), "each once"
    return names


def asked(*extras: str) -> Iterator[Requirement]:
    """What the project asks for itself, and by extras, those of extras of its own among them."""
    wanted = [*PROJECT["dependencies"]]
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    for each in map(Requirement, wanted):
        if each.name == PROJECT["name"]:
            yield from asked(*each.extras)
        else:
            yield each


@pytest.mark.parametrize("path", [RUN, DEV], ids=lambda path: path.name)
def test_every_package_is_hashed(path: Path) -> None:
    """One version, by the sha256 of each of its files; none is named by an address or unhashed."""
    found = by_name(path)

    assert len(found) > 100
    for each in found.values():
        assert each.version
        assert each.requirement.url is None
        assert each.hashes, each.requirement
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", found) for found in each.hashes)


@pytest.mark.parametrize(("path", "extras"), [(RUN, ()), (DEV, ("dev",))])
def test_the_lock_holds_what_the_project_asks_for(path: Path, extras: tuple[str, ...]) -> None:
    """Every requirement, in a version it allows; else run `make lock`."""
    found = by_name(path)

    for each in asked(*extras):
        pinned = found[canonicalize_name(each.name)]
        assert each.specifier.contains(pinned.version, prereleases=True), each


def test_both_locks_name_the_same_files() -> None:
    """What runs is what was tested."""
    run, dev = by_name(RUN), by_name(DEV)

    assert {name: (each.version, each.hashes) for name, each in run.items()} == {
        name: (dev[name].version, dev[name].hashes) for name in run
    }


def test_every_extra_is_locked_for_tests() -> None:
    """But for those of keys' providers, which no test can reach."""
    extras = set(PROJECT["optional-dependencies"]) - PROVIDERS
    dev = by_name(DEV)

    assert {canonicalize_name(each.name) for each in asked(*extras)} <= set(dev)


def test_torch_is_the_one_that_was_tried() -> None:
    """On Linux with what it needs for GPUs, each by its sha256 as well."""
    found = by_name(RUN)
    cuda = [each for name, each in found.items() if name.startswith(("nvidia-", "triton", "cuda-"))]

    assert (found["torch"].version, found["torchvision"].version) == ("2.14.1", "0.29.1")
    assert len(cuda) > 10
    for each in cuda:
        assert each.requirement.marker is not None
        assert each.requirement.marker.evaluate(LINUX)


def test_whoever_installs_asks_for_hashes() -> None:
    """`make`, and so CI and the examples, in parts; and `mlflow run`, for which pip sees a hash in
    each line.

    ban-gate itself comes without its requirements, which are there, and without fetching a builder.
    """
    make, conda = (ROOT / "Makefile").read_text(), yaml.safe_load((ROOT / "conda.yaml").read_text())

    installs = re.findall(r"pip install (.*)", make)
    assert "part-*.txt" in make
    assert "--quiet --require-hashes --no-compile --no-deps --requirement {}" in installs
    assert len(installs) == 3  # these, ban-gate, and what other frameworks need
    assert "install --quiet --no-deps --no-build-isolation --editable ." in make
    assert conda["dependencies"][-1] == {"pip": ["-r requirements.txt"]}
    assert "setuptools" in by_name(DEV)


def test_packages_that_hold_the_same_file_are_unpacked_one_after_another(tmp_path: Path) -> None:
    """Or one takes away what the other has just written, now and then."""
    venv = tmp_path / "venv"
    venv.mkdir()
    recipe = subprocess.run(
        ["make", "--dry-run", f"VENV={venv}", f"{venv}/.installed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", "")
    (share_out,) = re.findall(r"^awk .*$", recipe, re.MULTILINE)
    subprocess.run(["sh", "-c", share_out], cwd=ROOT, check=True)
    part = {name: path.name for path in venv.glob("part-*.txt") for name in by_name(path)}
    holders: dict[str, set[str]] = {}
    for package in metadata.distributions():
        if (name := canonicalize_name(package.metadata["Name"])) in part:
            for file in package.files or ():
                holders.setdefault(str(file), set()).add(name)

    assert set(part) == set(by_name(DEV))
    assert len(set(part.values())) > 1
    assert len(holders["mlflow/__init__.py"]) > 1
    assert not [
        (file, names) for file, names in holders.items() if len({part[each] for each in names}) > 1
    ]
