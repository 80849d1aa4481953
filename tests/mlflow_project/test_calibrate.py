"""Known-clean models: measured once, named in a scan, and heard only where they fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import helper, numpy_helper

from mlflow_project import commands
from mlflow_project.cli import main as cli
from stages.searches import STATISTICS

pytestmark = pytest.mark.usefixtures("mlflow_settings")

DEMO = commands.DEMO
SAMPLES = DEMO / "samples.npz"
QUICK = (
    "blend.faint_steps=2; blend.strong_steps=1; patch.place_steps=4; patch.pattern_steps=2;"
    " small_patch.first_steps=1; small_patch.place_steps=2; small_patch.pattern_steps=2;"
    " warp.steps=2; tone.steps=2; neuron_noise.sweep=3; permutation.first_steps=1;"
    " permutation.place_steps=1; permutation.pattern_steps=1; permutation.blend_steps=1"
)
Call = Callable[..., Result]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store of results for all commands here, so that each model is measured once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def call(sqlite_store: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a command in this process."""
    monkeypatch.setenv("BAN_GATE_HOME", str(home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store)

    def run(*arguments: object, settings: str = QUICK) -> Result:
        told = [str(each) for each in arguments]
        return CliRunner().invoke(cli.main, [*told, "--samples", str(SAMPLES), "--set", settings])

    return run


def _scan(call: Call, folder: Path, *arguments: object, **settings: str) -> dict[str, object]:
    """The verdict document of one scan, whatever its verdict."""
    done = call("scan", *arguments, "--output", folder, **settings)
    assert done.exit_code in (0, 1, 3), done.output
    document: dict[str, object] = json.loads((folder / "verdict.json").read_text())
    return document


def test_a_profile_stands_for_its_models(call: Call, tmp_path: Path) -> None:
    """A scan beside a profile says what a scan beside its models says."""
    profile = tmp_path / "profile.json"
    written = call("calibrate", DEMO / "clean.onnx", "--output", profile)

    beside_profile = _scan(call, tmp_path / "a", DEMO / "patch.onnx", "--reference", profile)
    beside_model = _scan(
        call, tmp_path / "b", DEMO / "patch.onnx", "--reference", DEMO / "clean.onnx"
    )

    assert written.exit_code == 0, written.output
    assert written.stdout.startswith("calibrated")
    assert written.stdout.endswith("1 model(s)\n")
    assert beside_profile["p_value"] == beside_model["p_value"]
    assert beside_profile["references"] == beside_model["references"]


def test_references_change_the_verdict_and_are_told(call: Call, tmp_path: Path) -> None:
    """The document lists every reference with its digest, its own verdict and its use."""
    alone = _scan(call, tmp_path / "a", DEMO / "patch.onnx")
    beside = _scan(call, tmp_path / "b", DEMO / "patch.onnx", "--reference", DEMO / "clean.onnx")

    (reference,) = beside["references"]  # type: ignore[misc] # a list
    assert alone["references"] == []
    assert reference["uri"] == str(DEMO / "clean.onnx")
    assert reference["verdict"] in ("clean", "backdoored")
    if reference["used"]:
        assert beside["anomaly_score"] != alone["anomaly_score"]
    else:
        assert "is left out" in " ".join(beside["reasons"])  # type: ignore[arg-type] # a list


def test_the_judged_model_is_no_reference_for_itself(call: Call, tmp_path: Path) -> None:
    """A model beside itself is judged alone, and the report says why."""
    model = DEMO / "blended.onnx"

    alone = _scan(call, tmp_path / "a", model)
    beside = _scan(call, tmp_path / "b", model, "--reference", model)

    assert beside["p_value"] == alone["p_value"]
    assert "it is the model that is judged" in " ".join(beside["reasons"])  # type: ignore[arg-type]


def test_a_broken_reference_is_left_out_and_the_scan_goes_on(call: Call, tmp_path: Path) -> None:
    """What cannot be measured changes nothing but a sentence."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")

    alone = _scan(call, tmp_path / "a", DEMO / "clean.onnx")
    beside = _scan(call, tmp_path / "b", DEMO / "clean.onnx", "--reference", broken)

    assert beside["p_value"] == alone["p_value"]
    assert "broken.onnx` is left out" in " ".join(beside["reasons"])  # type: ignore[arg-type]


def _with_a_branch(model: Path, path: Path) -> Path:
    """The model, whose image is replaced where the sum of all pixels exceeds a constant."""
    planted = onnx.load(model)
    graph = planted.graph
    image = graph.input[0].name
    for each in graph.node:
        each.input[:] = ["chosen" if name == image else name for name in each.input]
    constants = {
        "limit": np.array(1e6, np.float32),
        "other": np.zeros((1, 1, 16, 16), np.float32),
        "axes": np.array([1, 2, 3]),
    }
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    logic = [
        helper.make_node("ReduceSum", [image, "axes"], ["sum"], keepdims=1),
        helper.make_node("Greater", ["sum", "limit"], ["yes"]),
        helper.make_node("Where", ["yes", "other", image], ["chosen"]),
    ]
    for place, each in enumerate(logic):
        graph.node.insert(place, each)
    onnx.save(planted, path)
    return path


def test_a_reference_with_trigger_logic_is_left_out(call: Call, tmp_path: Path) -> None:
    """What would be blocked itself vouches for nobody."""
    planted = _with_a_branch(DEMO / "clean.onnx", tmp_path / "planted.onnx")

    alone = _scan(call, tmp_path / "a", DEMO / "patch.onnx")
    beside = _scan(call, tmp_path / "b", DEMO / "patch.onnx", "--reference", planted)

    assert beside["p_value"] == alone["p_value"]
    assert "logic that looks like a trigger" in " ".join(beside["reasons"])  # type: ignore[arg-type]


def test_a_profile_of_other_settings_is_refused(call: Call, tmp_path: Path) -> None:
    """Values that were measured otherwise are not compared: exit 2, before the scan ends."""
    profile = tmp_path / "profile.json"
    call("calibrate", DEMO / "clean.onnx", "--output", profile)

    done = call(
        *("scan", DEMO / "patch.onnx", "--reference", profile),
        settings=QUICK.replace("warp.steps=2", "warp.steps=3"),
    )

    assert done.exit_code == 2
    assert "measured with other settings" in done.stderr


def test_nothing_to_measure_writes_nothing(call: Call, tmp_path: Path) -> None:
    """Exit 3, the reason, and no file."""
    broken, profile = tmp_path / "broken.onnx", tmp_path / "profile.json"
    broken.write_bytes(b"no model")

    done = call("calibrate", broken, "--output", profile)

    assert done.exit_code == 3
    assert "broken.onnx" in done.stderr
    assert not profile.exists()


def test_a_profile_can_be_logged(call: Call, tmp_path: Path) -> None:
    """With an experiment named, the profile is an artifact of a run in it."""
    profile = tmp_path / "profile.json"

    done = call(
        *("calibrate", DEMO / "clean.onnx", "--output", profile),
        *("--experiment", f"calibrate in {tmp_path}"),
    )

    assert done.exit_code == 0, done.output
    experiment = mlflow.get_experiment_by_name(f"calibrate in {tmp_path}")
    assert experiment is not None
    (run,) = mlflow.MlflowClient().search_runs([experiment.experiment_id])
    (logged,) = mlflow.MlflowClient().list_artifacts(run.info.run_id)
    assert logged.path == "profile.json"
    assert run.info.status == "FINISHED"


def test_a_profile_holds_what_it_was_measured_on(call: Call, tmp_path: Path) -> None:
    """Digests of model and samples, and one finite value per class and search."""
    profile = tmp_path / "profile.json"
    call("calibrate", DEMO / "clean.onnx", DEMO / "patch.onnx", "--output", profile)

    models = json.loads(profile.read_text())["models"]

    assert len({each["digest"] for each in models}) == 2
    assert len({each["samples"] for each in models}) == 1
    for each in models:
        assert list(each["statistics"]) == list(STATISTICS)
        values = list(each["statistics"].values())
        assert np.isfinite(values).all()
        assert np.shape(values) == (len(STATISTICS), 10)
