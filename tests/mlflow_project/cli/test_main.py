"""What a caller sees: a line on stdout, the rest on stderr, an exit code that means something."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from click.testing import Result

from mlflow_project import commands
from tests.support.few_classes import with_classes

pytestmark = pytest.mark.usefixtures("mlflow_settings")

MODEL = commands.DEMO / "clean.onnx"
Call = Callable[..., Result]


def test_an_inconclusive_scan_says_why(call: Call, few: Path, tmp_path: Path) -> None:
    """Exit 3, one line on stdout, and the verdict in the output folder."""
    result = call("scan", MODEL, "--samples", few, "--output", tmp_path / "deep" / "out")

    assert result.exit_code == 3
    assert result.stdout.startswith("inconclusive  only 20 clean samples")
    assert result.stdout.count("\n") == 1
    document = json.loads((tmp_path / "deep" / "out" / "verdict.json").read_text())
    assert (
        "only 20 clean samples" in (tmp_path / "deep" / "out" / "report.html").read_text().lower()
    )
    assert document["verdict"] == "inconclusive"
    assert document["model"]["sites"] > 0


def test_a_refused_model_leaves_a_verdict_too(
    call: Call, few: Path, trial: dict[str, Path], tmp_path: Path
) -> None:
    """A file that is no model is exit 3 with the reason, on stdout, in the file and in the run."""
    result = call("scan", trial["text"], "--samples", few, "--output", tmp_path / "out")

    assert result.exit_code == 3
    assert result.stdout.startswith("inconclusive")
    document = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert document["reasons"]
    assert "No verdict" in (tmp_path / "out" / "report.html").read_text()
    assert mlflow.last_active_run().data.tags["ban.gate"] == "block"  # type: ignore[union-attr] # ran


CI_FILES = {"junit.xml", "verdict.sarif", "summary.md", "bom.cdx.json"}


def test_every_scan_leaves_files_for_ci(
    call: Call, few: Path, trial: dict[str, Path], tmp_path: Path
) -> None:
    """Beside the verdict and in the run, also where a file is refused or the verdict open."""
    for model in (MODEL, trial["text"]):
        output = tmp_path / f"{model.stem} out"

        result = call("scan", model, "--samples", few, "--output", output)

        run = mlflow.last_active_run()
        assert run is not None
        assert result.exit_code == 3
        assert {path.name for path in output.iterdir()} >= CI_FILES | {"verdict.json"}
        assert list(output.glob(".*")) == []
        logged = mlflow.MlflowClient().list_artifacts(run.info.run_id, "ci")
        assert {item.path for item in logged} == {f"ci/{name}" for name in CI_FILES}
        for name in CI_FILES:
            text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/ci/{name}")
            assert text == (output / name).read_text(encoding="utf-8")


def test_a_github_job_is_told(
    call: Call, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Summary and outputs are appended, the annotation goes to stderr, stdout keeps its line."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))

    result = call("scan", MODEL, "--samples", few)

    assert result.exit_code == 3
    assert "not judged" in (tmp_path / "summary").read_text()
    assert "verdict=inconclusive\ngate=block\n" in (tmp_path / "output").read_text()
    assert "\n::error file=" in result.stderr
    assert result.stdout.count("\n") == 1
    assert "::" not in result.stdout


def test_a_github_job_with_a_wrong_file_is_told_first(
    call: Call, few: Path, trial: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2 before the scan, with a sentence that names the variable."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(trial["under"]))

    result = call("scan", MODEL, "--samples", few)

    assert result.exit_code == 2
    assert "named by $GITHUB_OUTPUT, cannot be written" in result.stderr
    assert "inspect_onnx" not in result.stderr
    assert result.stdout == ""


def test_unfit_samples_are_named(call: Call, trial: dict[str, Path]) -> None:
    """Samples that cannot be read make the verdict inconclusive, never a pass."""
    result = call("scan", MODEL, "--samples", trial["text"])

    assert result.exit_code == 3
    assert "not an `.npz` file" in result.stdout


def test_json_is_the_verdict_document(call: Call, few: Path) -> None:
    """With --json stdout is what stands in verdict.json."""
    result = call("scan", MODEL, "--samples", few, "--json")

    assert json.loads(result.stdout)["schema"] == 2
    assert result.exit_code == 3


def test_exit_zero_reports_without_stopping(call: Call, few: Path) -> None:
    """With --exit-zero the verdict is told and the code is 0."""
    result = call("scan", MODEL, "--samples", few, "--exit-zero")

    assert result.exit_code == 0
    assert result.stdout.startswith("inconclusive")


def test_exit_zero_does_not_hide_mistakes(call: Call, few: Path) -> None:
    """It is about verdicts: a wrong setting stays exit 2."""
    result = call("scan", MODEL, "--samples", few, "--exit-zero", "--set", "neuron_noise.nothing=1")

    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Missing argument 'MODEL...'"),
        (["{model}"], "Missing option '--samples'"),
        (["{model}", "--samples", ""], "Missing option '--samples'"),
        (["{missing}", "--samples", "{few}"], "does not exist"),
        (["{folder}", "--samples", "{few}"], "holds no model that is known"),
        (["{model}", "--samples", "{missing}"], "does not exist"),
        (["{model}", "--samples", "{few}", "--seed", "one"], "'--seed'"),
        (["{model}", "--samples", "{few}", "--seed", "-1"], "'--seed'"),
        (["{model}", "--samples", "{few}", "--device", "tpu"], "'--device'"),
        (["{model}", "--samples", "{few}", "--config", "{missing}"], "does not exist"),
        (["{model}", "--samples", "{few}", "--config", "{text}"], "cannot be read"),
        (["{model}", "--samples", "{few}", "--set", "noise"], "expected KEY=VALUE"),
        (["{model}", "--samples", "{few}", "--set", "neuron_noise.nothing=1"], "unknown setting"),
        (["{model}", "--samples", "{few}", "--output", "{text}"], "is a file"),
        (["{model}", "--samples", "{few}", "--output", "{under}"], "cannot be written"),
        (["{model}", "--samples", "{few}", "--frobnicate"], "No such option"),
    ],
)
def test_wrong_usage_is_exit_2(
    call: Call, few: Path, trial: dict[str, Path], arguments: list[str], sentence: str
) -> None:
    """One sentence on stderr names the mistake, before anything is computed or printed."""
    paths = {name: str(path) for name, path in trial.items()}
    given = [each.format(model=MODEL, few=few, **paths) for each in arguments]

    result = call("scan", *given)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_empty_options_are_not_given(call: Call, few: Path) -> None:
    """The empty string, which MLproject passes for what is left out, means the default."""
    names = ("--output", "--seed", "--device", "--config", "--set", "--tracking-uri")
    empty = [part for name in (*names, "--experiment") for part in (name, "")]

    result = call("scan", MODEL, "--samples", few, "--json", *empty)

    document = json.loads(result.stdout)
    assert document["seed"] == 0
    assert document["config"]["device"] == "auto"


def test_a_dead_server_stops_the_scan_before_it_starts(
    call: Call, few: Path, free_port: int, tmp_path: Path
) -> None:
    """Exit 4, one sentence, nothing on stdout, nothing written."""
    uri = f"http://127.0.0.1:{free_port}"

    result = call(
        "scan", MODEL, "--samples", few, "--tracking-uri", uri, "--output", tmp_path / "o"
    )

    assert result.exit_code == 4
    assert f"cannot record the scan at `{uri}`" in result.stderr
    assert result.stdout == ""
    assert list((tmp_path / "o").iterdir()) == []


def test_a_verdict_is_written_and_told_before_it_is_recorded(
    call: Call, few: Path, tmp_path: Path, sqlite_store: str
) -> None:
    """When the artifact store fails after the scan the verdict is not lost, and the code is 4."""
    (tmp_path / "note").write_text("not a folder")
    mlflow.set_tracking_uri(sqlite_store)
    mlflow.create_experiment("broken", artifact_location=str(tmp_path / "note" / "artifacts"))
    output = tmp_path / "out"

    result = call("scan", MODEL, "--samples", few, "--experiment", "broken", "--output", output)

    assert result.exit_code == 4
    assert result.stdout.startswith("inconclusive")
    assert (output / "verdict.json").exists()


def test_inspect_shows_what_a_model_is(call: Call) -> None:
    """Framework, shapes, digest, sites and the split, as lines or as JSON."""
    lines = call("inspect", MODEL)
    document = json.loads(call("inspect", MODEL, "--json").stdout)

    assert lines.exit_code == 0
    assert document["model"]["digest"] in lines.stdout
    assert len(document["twin"]["sites"]) > 0
    assert document["parity"]["max_rel"] <= document["parity"]["tolerance"] == 1e-4
    assert document["model"]["path"] == str(MODEL)


def test_inspect_says_of_few_classes_how_they_are_judged(call: Call, tmp_path: Path) -> None:
    """That a scan needs a reference: in the line of the classes, in the JSON, and by the exit code
    and sentence of such a scan.
    """
    model = with_classes("clean", [1, 4], tmp_path / "two.onnx")

    lines, told = call("inspect", model), json.loads(call("inspect", model, "--json").stdout)
    of_ten = json.loads(call("inspect", MODEL, "--json").stdout)

    assert lines.exit_code == 3
    assert lines.stderr.startswith("ban-gate: the model has 2 classes")
    assert "classes     2, judged only beside a reference" in lines.stdout
    assert told["only_beside_a_reference"] is True
    assert of_ten["only_beside_a_reference"] is False


def test_inspect_refuses_with_exit_3(call: Call, trial: dict[str, Path]) -> None:
    """A file that is no model is refused in a sentence."""
    result = call("inspect", trial["text"])

    assert result.exit_code == 3
    assert result.stderr.startswith("ban-gate: ")
    assert result.stdout == ""


def test_a_demo_without_its_models_says_so(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken installation is named."""
    monkeypatch.setattr(commands, "DEMO", tmp_path)

    result = call("demo")

    assert result.exit_code == 2
    assert "install ban-gate again" in result.stderr
