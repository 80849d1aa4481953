"""`mlflow run` works in the project's folder, and its environment matches what is declared."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner, Result
from mlflow.entities import Run
from mlflow.projects import _project_spec
from mlflow.utils.environment import _PythonEnv

from mlflow_project import commands
from stages.searches import SEARCHES, STATISTICS
from tests.support.demo_samples import TOO_FEW, save_samples
from tests.support.places import ROOT
from tests.support.verdict_schema import faults

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]

MlflowRun = Callable[..., Result]


def _project(folder: Path) -> Any:
    """The entry points as MLflow reads them."""
    return _project_spec.load_project(str(folder))._entry_points  # type: ignore[no-untyped-call]


def _dependencies(path: Path) -> Any:
    """The requirements as MLflow reads them."""
    return _PythonEnv.from_conda_yaml(path).dependencies  # type: ignore[no-untyped-call]


@pytest.fixture
def mlflow_run(child: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> MlflowRun:
    """`mlflow run` of this checkout's entry point `scan` or another, called in the test's folder.

    The command itself runs in this process, the entry point in a child's.
    """
    from mlflow.cli import cli  # noqa: PLC0415 (takes seconds, and warns of MLflow's own)

    for name, value in child.items():
        monkeypatch.setenv(name, value)

    def run(
        uri: str | None, parameters: Mapping[str, object], *options: str, entry: str = "scan"
    ) -> Result:
        mlflow.set_tracking_uri(uri)  # type: ignore[arg-type] # None is MLflow's own store
        given = [part for key, value in parameters.items() for part in ("-P", f"{key}={value}")]
        command = ["run", str(ROOT), "-e", entry, *given, *options, "--env-manager", "local"]
        return CliRunner().invoke(cli, command)

    return run


def test_every_entry_point_runs_this_checkout() -> None:
    """The commands name the module, never an installed script, and leave out nothing."""
    points = _project(ROOT)

    assert set(points) == {"main", "scan", "scan-native", "gate", "sweep", "demo"}
    assert points["main"].command == points["scan"].command
    for point in points.values():
        assert point.command.startswith("python -m mlflow_project ")
        assert all(f"{{{name}}}" in point.command for name in point.parameters)
        assert {each.type for each in point.parameters.values()} == {"string"}


def test_the_environment_is_the_lock() -> None:
    """MLflow installs what `requirements.txt` names, and never the project itself."""
    assert _dependencies(ROOT / "conda.yaml") == ["-r requirements.txt"]


def test_mlflow_run_leaves_the_answer_in_its_run(
    tmp_path: Path, sqlite_store: str, mlflow_run: MlflowRun
) -> None:
    """Under `mlflow run` every non-zero code is 1 and the run FAILED; the tags say which it was."""
    client = mlflow.MlflowClient(tracking_uri=sqlite_store)
    experiment = client.create_experiment("project", artifact_location=str(tmp_path / "artifacts"))
    parameters = {
        "model": commands.DEMO / "clean.onnx",
        "samples": save_samples(tmp_path / "few.npz", TOO_FEW),
        "output": tmp_path / "out",
    }

    done = mlflow_run(sqlite_store, parameters, "--experiment-id", experiment)

    (run,) = client.search_runs([experiment])
    assert done.exit_code == 1
    assert run.data.tags["ban.verdict"] == "inconclusive"
    assert run.data.tags["ban.gate"] == "block"
    assert run.data.tags["mlflow.source.type"] == "PROJECT"
    assert run.info.status == "FAILED"
    assert (tmp_path / "out" / "verdict.json").exists()


@pytest.mark.nightly
def test_mlflow_run_sweeps_a_folder(
    tmp_path: Path, sqlite_store: str, mlflow_run: MlflowRun
) -> None:
    """The run has a nested one for each model, the report, and the numbers of all."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("one", "two"):
        (models / f"{name}.onnx").write_text(f"{name} is no model")
    client = mlflow.MlflowClient(tracking_uri=sqlite_store)
    experiment = client.create_experiment("sweeps", artifact_location=str(tmp_path / "artifacts"))
    parameters = {
        "source": models,
        "samples": commands.DEMO / "samples.npz",
        "folder": tmp_path / "sweep",
    }

    done = mlflow_run(
        sqlite_store, parameters, "--experiment-id", experiment, "--run-name", "all", entry="sweep"
    )

    runs = {each.info.run_name: each for each in client.search_runs([experiment])}
    parent = runs.pop("all")
    assert done.exit_code == 1  # 3, as `mlflow run` says it
    assert parent.data.tags["ban.sweep_exit_code"] == "3"
    assert parent.data.metrics["versions/inconclusive"] == 2
    assert set(runs) == {"one.onnx", "two.onnx"}
    for run in runs.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (run.data.tags["ban.verdict"], run.data.tags["ban.gate"]) == (
            "inconclusive",
            "block",
        )
    assert "report.html" in {each.path for each in client.list_artifacts(parent.info.run_id)}


SWITCHES = [
    ("gate", "trust_model_code", "--trust-model-code"),
    *((entry, "quick", "--quick") for entry in ("scan", "scan-native", "gate")),
]


@pytest.mark.parametrize("switch", SWITCHES, ids="-".join)
@pytest.mark.parametrize(("said", "given"), [("yes", True), ("", False), ("no; true", False)])
def test_a_switch_is_given_only_where_told(
    switch: tuple[str, str, str], said: str, given: bool
) -> None:
    """`yes` adds the option, anything else does not, whatever the shell could make of it."""
    entry, name, option = switch
    parameters = {"model": "models:/net/1", "samples": "clean.npz", name: said}
    command = _project(ROOT)[entry].compute_command(parameters, None)
    echoed = command.replace("python -m mlflow_project", "printf '%s\\n'", 1)

    told = subprocess.run(["bash", "-c", echoed], capture_output=True, text=True, check=True)

    words = told.stdout.splitlines()
    assert (option in words) == given
    assert "--ray=" in words
    assert words[words.index("--budget") + 1] == ""


FIGURES = {"anomaly_score_per_class", "success_sweep", "noise_by_layer", "recovered_triggers"}
STEPS = {
    "fetch", "inspect_onnx", "read_samples", "prove_conversion", "build_twin",
    "choose_arithmetic", "measure_sites",
    "check_preconditions", "choose_classes", *(f"find_{search.name}" for search in SEARCHES),
    "compare_decisions", "compare_found",
    "find_untargeted_noise", "find_mask", "judge",
}  # fmt: skip
SETTINGS = (
    "untargeted_noise.steps=3; neuron_noise.sweep=4;neuron_noise.samples=20;"
    " feature_mask.epochs=3; feature_mask.batches=2; feature_mask.enabled=true"
)
CURVES = {
    "neuron_noise/epsilon": 4, "neuron_noise/median_success_rate": 4,
    "neuron_noise/max_success_rate": 4, "untargeted/loss": 3,
    "mask/benign_loss": 3, "mask/other_loss": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough samples for a verdict, and no more."""
    return save_samples(tmp_path_factory.mktemp("samples") / "clean.npz", 200)


@contextmanager
def _downloaded(client: mlflow.MlflowClient, run_id: str, folder: Path) -> Iterator[Path]:
    """The artifacts of a run, fetched as any other client would."""
    folder.mkdir()
    yield Path(client.download_artifacts(run_id, "", str(folder)))


@pytest.mark.nightly
@pytest.mark.parametrize("where", ["default store", "server"])
def test_the_run_holds_everything(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    mlflow_run: MlflowRun,
    balanced: Path,
    where: str,
) -> None:
    """One `mlflow run` leaves all an auditor needs, in MLflow's own store or on a server."""
    uri = request.getfixturevalue("mlflow_server") if where == "server" else None
    model, output = commands.DEMO / "patch.onnx", tmp_path / "out"
    before = {path.name for path in ROOT.iterdir()}
    parameters = {
        "model": model, "samples": balanced, "set": SETTINGS, "seed": 3, "output": output
    }  # fmt: skip

    done = mlflow_run(uri, parameters, "--run-name", where)

    client = mlflow.MlflowClient(tracking_uri=uri or f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs(["0"], f"attributes.run_name = '{where}'")
    verdict = run.data.tags["ban.verdict"]
    assert verdict in ("clean", "backdoored")
    _check_answer(run, done.exit_code)
    _check_params(run.data.params)
    _check_metrics(client, run)
    _check_dataset(run, balanced)
    with _downloaded(client, run.info.run_id, tmp_path / "artifacts") as artifacts:
        assert (artifacts / "model.onnx").read_bytes() == model.read_bytes()
        document = json.loads((artifacts / "verdict.json").read_text())
        table = json.loads((artifacts / "classes.json").read_text())
        figures = {path.stem: path.read_text() for path in (artifacts / "figures").iterdir()}
    assert not faults(document)
    assert document == json.loads((output / "verdict.json").read_text())
    assert document["verdict"] == verdict
    assert len(table["data"]) == 10
    assert {"class", "anomaly_score", *STATISTICS, "recall"} <= set(table["columns"])
    assert set(figures) >= FIGURES
    assert all(content.startswith("<svg ") for content in figures.values())
    assert {path.name for path in ROOT.iterdir()} == before, "nothing is left in the project"


def _check_answer(run: Run, returned: int) -> None:
    """The status of the run, the code of `mlflow run` and the tags say the same."""
    clean = run.data.tags["ban.verdict"] == "clean"
    assert returned == (0 if clean else 1)
    assert run.info.status == ("FINISHED" if clean else "FAILED")
    assert run.data.tags["ban.gate"] == ("pass" if clean else "block")
    assert run.data.tags["ban.reason"]
    assert len(run.data.tags["ban.model_digest"]) == 64
    assert run.data.tags["mlflow.project.entryPoint"] == "scan"


def _check_params(params: Mapping[str, str]) -> None:
    """Both what was asked for and what came of it."""
    assert params["set"].strip("'") == SETTINGS  # MLflow logs it quoted for the shell
    assert params["seed"] == "3"
    assert params["untargeted_noise.steps"] == params["feature_mask.epochs"] == "3"
    assert params["neuron_noise.sweep"] == "4"
    assert params["judge.false_alarm_rate"] == "0.05"
    assert params["model_uri"].endswith("patch.onnx")
    assert len(params["model_digest"]) == len(params["samples_digest"]) == 64


def _check_metrics(client: mlflow.MlflowClient, run: Run) -> None:
    """A time per stage, the peak of memory, the statistics, and curves step by step."""
    metrics = run.data.metrics
    seconds = {name: value for name, value in metrics.items() if name.startswith("usage/seconds/")}
    assert {name.removeprefix("usage/seconds/") for name in seconds} == STEPS
    assert all(value >= 0 for value in seconds.values())
    assert metrics["usage/peak_rss_mb"] > 50
    assert 0 <= metrics["p_value"] <= 1
    assert metrics["clean_accuracy"] > 0.9
    assert metrics["parity_max_rel"] < 1e-4
    assert any(name.startswith("statistic/") for name in metrics)
    for name, steps in CURVES.items():
        history = client.get_metric_history(run.info.run_id, name)
        assert sorted(point.step for point in history) == list(range(steps)), name


def _check_dataset(run: Run, samples: Path) -> None:
    """The digest of the clean samples, as an input of the run."""
    assert run.inputs is not None
    (given,) = run.inputs.dataset_inputs
    assert run.data.params["samples_digest"].startswith(given.dataset.digest)
    assert given.dataset.name == samples.name
    assert [tag.value for tag in given.tags if tag.key == "mlflow.data.context"] == ["scan"]
