"""A scan becomes an MLflow run whose tags answer the gate, or fails in one sentence."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.entities import Run

from mlflow_project import connection, tracking
from mlflow_project.errors import TrackingError
from mlflow_project.run_contents import LONGEST_TAG, metrics_of
from mlflow_project.unfinished_runs import PROCESS_TAG
from pipeline.evidence import Evidence, ScanResult
from stages.types import OnnxArtifact, Verdict
from tests.support.report_pages import with_names

pytestmark = pytest.mark.usefixtures("mlflow_settings")

Make = Callable[..., ScanResult]

FILES = {
    "verdict.json", "report.html", "classes.json", "model.onnx",
    "figures/success_sweep.svg", "figures/noise_by_layer.svg",
    "figures/anomaly_score_per_class.svg", "figures/recovered_triggers.svg",
}  # fmt: skip


@pytest.fixture
def experiment(sqlite_store: str, tmp_path: Path) -> connection.Target:
    """An experiment of this test's own in the shared store, its artifacts in the test's folder."""
    mlflow.set_tracking_uri(sqlite_store)
    mlflow.create_experiment(tmp_path.name, artifact_location=str(tmp_path / "artifacts"))
    return connection.Target(uri=sqlite_store, experiment=tmp_path.name)


def _record(result: ScanResult, target: connection.Target) -> Run:
    """Records as the command line does and gives the finished run."""
    with tracking.open_run("model.onnx", target):
        tracking.record(result, "clean.npz")
        run_id = tracking.open_run_id()
    return mlflow.get_run(run_id)


def _files(run: Run, folder: str = "") -> set[str]:
    found: set[str] = set()
    for item in mlflow.MlflowClient().list_artifacts(run.info.run_id, folder):
        found |= _files(run, item.path) if item.is_dir else {item.path}
    return found


def test_a_run_holds_the_whole_evidence(make_result: Make, experiment: connection.Target) -> None:
    """Parameters, metrics, dataset, artifacts and tags of one scan."""
    result = make_result()

    run = _record(result, experiment)

    assert run.info.status == "FINISHED"
    assert run.info.run_name == "model.onnx"
    assert _files(run) == FILES
    assert run.data.params["model_uri"] == "model.onnx"
    assert run.data.params["parity.tolerance"] == str(result.config.parity.tolerance)
    assert run.data.metrics["anomaly_score"] == 5.125
    assert run.data.metrics["critical_value"] == 1.6875
    assert run.data.metrics["p_value"] == 1 / 64
    assert run.data.metrics["statistic/patch.standardised_margin"] == 1.5
    assert run.data.metrics["attack_success_rate/warp"] == 0.5
    assert run.data.metrics["usage/seconds/find_neuron_noise"] == 12.25
    assert not {name for name in run.data.metrics if name.endswith("score")} - {"anomaly_score"}
    assert run.inputs is not None
    (dataset,) = run.inputs.dataset_inputs
    assert result.evidence.samples is not None
    assert result.evidence.samples.digest.startswith(dataset.dataset.digest)


def test_files_for_ci_lie_in_a_folder_of_their_own(experiment: connection.Target) -> None:
    """Each text is an artifact under `ci/`, as it was given."""
    with tracking.open_run("model.onnx", experiment):
        tracking.log_texts({"junit.xml": "<testsuites/>", "summary.md": "# né"})
        run_id = tracking.open_run_id()

    run = mlflow.get_run(run_id)
    assert _files(run) == {"ci/junit.xml", "ci/summary.md"}
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/ci/summary.md") == "# né"


@pytest.mark.parametrize(
    ("server", "place"),
    [
        ("http://host:5000", "http://host:5000/"),
        ("https://user:secret@host/mlflow/", "https://host/mlflow/"),
    ],
)
def test_the_page_of_a_run_holds_no_credentials(
    experiment: connection.Target, server: str, place: str
) -> None:
    """The address names experiment and run on the server, and not whoever logs in."""
    with tracking.open_run("model.onnx", experiment):
        mlflow.set_tracking_uri(server)
        url = tracking.run_url()
        run = mlflow.active_run()
        mlflow.set_tracking_uri(experiment.uri or "")

    assert run is not None
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert url == f"{place}{page}"


def test_without_a_server_there_is_no_page(experiment: connection.Target) -> None:
    """A database shows no page, and neither is there one without a run."""
    assert tracking.run_url() is None
    with tracking.open_run("model.onnx", experiment):
        assert tracking.run_url() is None


def test_curves_have_a_point_per_step(make_result: Make, experiment: connection.Target) -> None:
    """Losses and success rates are metrics with steps."""
    run = _record(make_result(), experiment)

    history = mlflow.MlflowClient().get_metric_history(
        run.info.run_id, "neuron_noise/max_success_rate"
    )

    assert [point.step for point in history] == [0, 1, 2]
    assert [point.value for point in history] == pytest.approx([0.2, 0.9, 1.0])


def test_the_logged_verdict_is_the_document(
    make_result: Make, experiment: connection.Target
) -> None:
    """`verdict.json` of the run is strict JSON with the verdict, the table has a row per class."""
    run = _record(make_result(), experiment)

    document = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/verdict.json"))
    table = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/classes.json"))

    assert document["verdict"] == "backdoored"
    assert len(table["data"]) == 5


@pytest.mark.parametrize(
    ("label", "gate"), [("clean", "pass"), ("backdoored", "block"), ("inconclusive", "block")]
)
def test_only_a_clean_verdict_passes_the_gate(
    make_result: Make,
    make_artifact: Callable[..., OnnxArtifact],
    experiment: connection.Target,
    label: str,
    gate: str,
) -> None:
    """The tags say verdict, answer and reason; a verdict, whatever it is, is a finished run."""
    verdict = Verdict(label=label, reasons=("because", "of this"))  # type: ignore[arg-type] # label

    evidence = Evidence(artifact=make_artifact())

    run = _record(make_result(verdict=verdict, evidence=evidence, done=()), experiment)

    assert run.data.tags["ban.verdict"] == label
    assert run.data.tags["ban.gate"] == gate
    assert run.data.tags["ban.reason"] == "because; of this"
    assert run.data.tags["ban.model_digest"] == "ab" * 32
    assert "ban.suspected_class" not in run.data.tags
    assert run.info.status == "FINISHED"


def test_a_refused_model_is_recorded_without_the_file(
    refused: ScanResult, experiment: connection.Target
) -> None:
    """What is known is logged; a file that failed inspection is not passed on."""
    run = _record(refused, experiment)

    assert _files(run) == {"verdict.json", "report.html"}
    assert run.data.tags["ban.gate"] == "block"
    assert run.data.metrics == {"usage/peak_rss_mb": 512.0}


def test_a_crash_fails_the_run_and_leaves_no_gate(experiment: connection.Target) -> None:
    """FAILED without `ban.gate` is a crash; the error passes through."""
    run_ids = []

    def crash() -> None:
        with tracking.open_run("model.onnx", experiment):
            run_ids.append(tracking.open_run_id())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()

    run = mlflow.get_run(run_ids[0])
    assert run.info.status == "FAILED"
    assert "ban.gate" not in run.data.tags


def test_a_run_opened_by_mlflow_is_joined(
    refused: ScanResult, experiment: connection.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under `mlflow run` the scan logs to that run and leaves its parameters alone."""
    with mlflow.start_run(experiment_id=connection.experiment_id(experiment.experiment)) as opened:
        mlflow.log_params({"seed": "", "model": "somewhere.onnx"})
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)

    run = _record(refused, connection.Target())

    assert run.info.run_id == opened.info.run_id
    assert run.data.params["seed"] == ""
    assert run.data.params["model"] == "somewhere.onnx"
    assert run.data.params["device"] == "auto"


def test_values_mlflow_cannot_hold_do_no_harm(
    make_result: Make, experiment: connection.Target
) -> None:
    """Not finite, very long, or more than fits one call."""
    result = make_result()
    long = Verdict(label="clean", reasons=("a word " * 5000,), anomaly_score=float("inf"))
    seconds = {f"step {number}": 1.0 for number in range(1500)}
    assert result.evidence.untargeted is not None
    untargeted = replace(result.evidence.untargeted, loss=np.array([1.0, np.nan], np.float32))
    evidence = replace(result.evidence, untargeted=untargeted)

    run = _record(replace(result, evidence=evidence, verdict=long, seconds=seconds), experiment)

    assert "anomaly_score" not in run.data.metrics
    assert sum(name.startswith("usage/seconds/") for name in run.data.metrics) == 1500
    assert len(run.data.tags["ban.reason"]) <= LONGEST_TAG


def test_without_options_mlflow_decides(
    refused: ScanResult, experiment: connection.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` work as everywhere in MLflow."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", experiment.experiment or "")

    run = _record(refused, connection.Target())

    assert mlflow.get_experiment(run.info.experiment_id).name == experiment.experiment


def test_a_run_that_belongs_nowhere_has_an_experiment_of_its_own(
    refused: ScanResult, sqlite_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an option and without MLflow's variables it is `ban-gate`, not MLflow's default."""
    for name in tracking.EXPERIMENT_VARIABLES:
        monkeypatch.delenv(name, raising=False)

    runs = [_record(refused, tracking.Target(uri=sqlite_store)) for _ in range(2)]

    names = {mlflow.get_experiment(each.info.experiment_id).name for each in runs}
    assert names == {"ban-gate"}


def test_the_verdict_is_the_first_metric_and_what_it_took_the_last(make_result: Make) -> None:
    """In the order in which they are logged, which a run's page keeps, and also sorted by name."""
    names = list(dict.fromkeys(each.key for each in metrics_of(make_result())))

    assert names[:3] == ["anomaly_score", "critical_value", "p_value"]
    assert sorted(names)[0] == "anomaly_score"
    usage = [name for name in names if name.startswith("usage/")]
    assert len(usage) == 3
    assert sorted(names)[-3:] == sorted(usage)


def test_a_run_describes_itself_unless_its_owner_did(
    make_result: Make, experiment: tracking.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verdict, class by its name, and success in one paragraph of Markdown."""
    result = with_names(make_result(), ("ant", "bee", "cat", "<b>dog", "eel"))
    run = _record(result, experiment)
    with mlflow.start_run(experiment_id=run.info.experiment_id) as owned:
        mlflow.set_tag(tracking.DESCRIPTION_TAG, "The owner's words.")
    monkeypatch.setenv("MLFLOW_RUN_ID", owned.info.run_id)
    again = _record(result, experiment)

    said = run.data.tags[tracking.DESCRIPTION_TAG]
    assert said.startswith("**Backdoored: class 3 (&#60;b&#62;dog).** Model: model.onnx.")
    assert "turns 95% of 20 clean images" in said
    assert run.data.tags["ban.suspected_class"] == "3"
    assert run.data.tags["ban.suspected_class_name"] == "<b>dog"
    assert again.data.tags[tracking.DESCRIPTION_TAG] == "The owner's words."


def test_a_finished_run_no_longer_says_which_process_recorded_it(
    refused: ScanResult, experiment: tracking.Target
) -> None:
    """Only a run that is open has to."""
    assert PROCESS_TAG not in _record(refused, experiment).data.tags


def test_a_dead_server_is_found_before_the_scan(free_port: int) -> None:
    """One clear sentence, within seconds, and the block is never entered."""
    url, started = f"http://127.0.0.1:{free_port}", time.monotonic()

    with (
        pytest.raises(TrackingError, match=f"cannot record the scan at `{url}`.*tracking-uri"),
        tracking.open_run("model.onnx", connection.Target(uri=url)),
    ):
        pytest.fail("the block was entered")

    assert time.monotonic() - started < connection.ALIVE_SECONDS + 2


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///{folder}/note.txt/mlflow.db",
        "sqlite:///{folder}/note.txt",
        "gopher://host",
        "http://not a host",
    ],
    ids=["no folder", "no database", "unknown scheme", "no address"],
)
def test_an_unusable_store_is_a_tracking_error(tmp_path: Path, uri: str) -> None:
    """Whatever is wrong with the address, it is one sentence."""
    (tmp_path / "note.txt").write_text("neither a folder nor a database")
    uri = uri.format(folder=tmp_path)

    with (
        pytest.raises(TrackingError, match="cannot record the scan at"),
        tracking.open_run("model.onnx", connection.Target(uri=uri)),
    ):
        pytest.fail("the block was entered")


def test_a_store_that_fails_later_is_a_tracking_error(
    make_result: Make, experiment: connection.Target
) -> None:
    """A run deleted under our feet cannot be recorded to, and that is said."""

    def record_to_a_deleted_run() -> None:
        with tracking.open_run("model.onnx", experiment):
            mlflow.delete_run(tracking.open_run_id())
            tracking.record(make_result(), "clean.npz")

    with pytest.raises(TrackingError, match="deleted"):
        record_to_a_deleted_run()


def test_a_real_server_gets_the_same(
    make_result: Make, mlflow_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over HTTP everything arrives, and nothing is printed to stdout."""
    run = _record(make_result(), connection.Target(uri=mlflow_server, experiment="over http"))

    assert _files(run) == FILES
    assert run.data.tags["ban.gate"] == "block"
    assert capsys.readouterr().out == ""


def test_the_users_client_settings_win(
    experiment: connection.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's environment variables are only set where the user did not."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6")

    with tracking.open_run("model.onnx", experiment):
        pass

    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "6"
