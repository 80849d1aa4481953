"""A gate judges everything that can be served of a version, or lets none of it pass."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import onnx
import pytest
import yaml
from mlflow import MlflowClient

from tests.support.gating import MODELS, call, gate
from tests.support.places import DEMO

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clean model of the demo as MLflow writes it, its weights beside it."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    model = onnx.load(DEMO / MODELS["clean"])
    mlflow.onnx.save_model(model, folder, pip_requirements=["onnxruntime"])
    assert any(folder.glob("*.data"))
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def version_of(registry: MlflowClient, name: str, source: Path) -> str:
    """The URI of a new version whose source is this folder, or this file."""
    if not registry.search_registered_models(f"name = '{name}'"):
        registry.create_registered_model(name)
    run = registry.create_run("0").info
    if source.is_dir():
        registry.log_artifacts(run.run_id, str(source), source.name)
    else:
        registry.log_artifact(run.run_id, str(source))
    made = registry.create_model_version(name, f"{run.artifact_uri}/{source.name}", run.run_id)
    return f"models:/{name}/{made.version}"


def state(folder: Path, **options: Any) -> None:
    """States options of `python_function` in `MLmodel`."""
    document = yaml.safe_load((folder / "MLmodel").read_text())
    document["flavors"]["python_function"].update(options)
    (folder / "MLmodel").write_text(yaml.safe_dump(document))


def serve_another_net(folder: Path) -> None:
    """The judged flavour keeps the clean net, and MLflow serves a backdoored one."""
    shutil.copy(DEMO / MODELS["backdoored"], folder / "other.onnx")
    state(folder, data="other.onnx")


def serve_by_own_code(folder: Path) -> None:
    """The judged flavour keeps the clean net, and MLflow runs its author's code."""
    (folder / "code").mkdir()
    (folder / "code" / "loader.py").write_text("def _load_pyfunc(path): ...")
    state(folder, loader_module="loader", code="code")


def add_a_second_net(folder: Path) -> None:
    """Nothing names it, and whoever downloads the folder may serve it."""
    shutil.copy(DEMO / MODELS["backdoored"], folder / "model2.onnx")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (serve_another_net, "has `data: other.onnx`"),
        (serve_by_own_code, "has `loader_module: loader`"),
        (add_a_second_net, "the file `model2.onnx`"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_else_is_served_than_was_judged(
    change: Change, told: str, folder: Path, registry: MlflowClient
) -> None:
    """Exit 3 before anything is scanned, no alias, the reason in a tag; no leniency helps."""
    change(folder)
    name = f"served-{change.__name__}"
    uri = version_of(registry, name, folder)
    Path("policy.toml").write_text("inconclusive = 'warn'\nrequired_verdict = 'any'")
    lenient = ("--policy", "policy.toml")

    for options in ((), lenient):
        found = gate(uri, "--promote", "champion", *options)

        assert found.exit_code == 3, found.output
        assert "more than `model.onnx` can be served" in found.stdout
        assert told in found.stdout
        tags = registry.get_model_version(name, "1").tags
        assert (tags["ban.gate"], tags["ban.judged"]) == ("block", "model.onnx")
        assert told in tags["ban.reason"]
    assert call("verify", uri, *lenient).exit_code == 1
    assert registry.get_registered_model(name).aliases == {}


def test_a_scan_of_a_folder_is_of_all_of_it(folder: Path, tmp_path: Path) -> None:
    """`scan` says so as well, with exit 3 and in `verdict.json`; of the file it says what it is."""
    add_a_second_net(folder)
    options = ("--samples", DEMO / "samples.npz", "--output", tmp_path / "out")

    found = call("scan", folder, *options)

    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert (found.exit_code, verdict["verdict"]) == (3, "inconclusive")
    assert "can be served: the file `model2.onnx`; remove" in verdict["reasons"][0]
    assert "scan `model.onnx` by itself" in verdict["reasons"][0]


def test_a_lone_onnx_file_is_a_version(registry: MlflowClient, tmp_path: Path) -> None:
    """Judged, attested and tagged without an `MLmodel`, as a file and in a folder.

    A policy accepts another file in the folder by its digest, for whoever verifies by this policy;
    a file that comes later ends it.
    """
    alone, readme = tmp_path / "alone", b"What this model is for."
    alone.mkdir()
    shutil.copy(DEMO / MODELS["clean"], alone)
    (alone / "README").write_bytes(readme)
    digest = hashlib.sha256(readme).hexdigest()
    Path("policy.toml").write_text(f"accepted_files = ['{digest}']\nreferences = 0")
    accepting = ("--policy", "policy.toml")
    uris = [version_of(registry, "lone", each) for each in (alone, alone / MODELS["clean"])]

    passed = [gate(uri, "--promote", "champion", *accepting) for uri in uris]

    for uri, each in zip(uris, passed, strict=True):
        assert each.exit_code == 0, each.output
        tags = registry.get_model_version("lone", uri.rpartition("/")[2]).tags
        assert tags["ban.judged"] == "clean.onnx"
        assert call("verify", uri, *accepting).exit_code == 0
    strict = [call("verify", uri) for uri in uris]
    assert [each.exit_code for each in strict] == [1, 0]
    assert f"sha256 {digest} in `accepted_files`" in strict[0].stdout
    run_id = registry.get_model_version("lone", "1").run_id
    registry.log_text(str(run_id), "def evil(): ...", "alone/code/evil.py")
    late = call("verify", uris[0], *accepting)
    assert (late.exit_code, "such as `code/evil.py`" in late.stdout) == (1, True)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "no `MLmodel` and 0 ONNX files"),
        (("a.onnx", "b.onnx"), "no `MLmodel` and 2 ONNX files"),
        (("a.onnx", "weights.pt"), "the file `weights.pt`"),
        (("saved_model.pb",), "no `MLmodel` and 0 ONNX files"),
    ],
)
def test_a_version_that_cannot_be_judged_says_why(
    names: tuple[str, ...], told: str, registry: MlflowClient, tmp_path: Path
) -> None:
    """Exit 3 and the reason in a tag, also with trust in the code of native models."""
    source = tmp_path / "files"
    source.mkdir()
    for name in (*names, "registered_model_meta"):
        shutil.copy(DEMO / MODELS["clean"], source / name)
    uri = version_of(registry, "unjudged", source)

    found = gate(uri, "--trust-model-code")

    assert found.exit_code == 3, found.output
    tags = registry.get_model_version("unjudged", uri.rpartition("/")[2]).tags
    assert told in tags["ban.reason"]
    assert tags["ban.gate"] == "block"


@pytest.mark.parametrize("source", ["http://127.0.0.1:9/model", "https://h/m", "gopher://h/m"])
def test_a_source_elsewhere_is_one_sentence(
    source: str, sqlite_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 3 without a connection: nobody vouches for what such a place serves next time."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store)
    mlflow.set_tracking_uri(sqlite_store)
    client, name = MlflowClient(), f"elsewhere-{source.partition(':')[0]}"
    client.create_registered_model(name)
    client.create_model_version(name, source)

    found = gate(f"models:/{name}/1")

    assert found.exit_code == 3, found.output
    assert f"lies at `{source}`, expected a local path or one of the schemes" in found.stderr
    assert found.stderr.count("ban-gate: ") == 1
