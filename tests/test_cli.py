"""What a caller sees: a line on stdout, the rest on stderr, an exit code that means something."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import mlflow
import numpy as np
import pytest
from click.testing import CliRunner, Result

from mlflow_project import cli, commands, exits
from mlflow_project.errors import TrackingError
from stages.errors import BanGateError, ConfigError, ConversionError, ModelRefused, SamplesError

pytestmark = pytest.mark.usefixtures("mlflow_settings")

MODEL = commands.DEMO / "clean.onnx"
Call = Callable[..., Result]


@pytest.fixture
def call(sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a command in this process, with its store of results in the test's folder."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli.main, [str(each) for each in arguments])

    return run


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Too few clean samples for a verdict: a scan with them is inconclusive and quick."""
    with np.load(commands.DEMO / "samples.npz") as samples:
        np.savez(tmp_path / "few.npz", images=samples["images"][:20], labels=samples["labels"][:20])
    return tmp_path / "few.npz"


@pytest.fixture
def trial(tmp_path: Path) -> dict[str, Path]:
    """Things a caller may give by mistake."""
    paths = {"folder": tmp_path / "folder", "text": tmp_path / "note.txt"}
    paths["folder"].mkdir()
    paths["text"].write_text("not what you think")
    return paths | {"missing": tmp_path / "missing", "under": paths["text"] / "out"}


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

    assert json.loads(result.stdout)["schema"] == 1
    assert result.exit_code == 3


def test_exit_zero_reports_without_stopping(call: Call, few: Path) -> None:
    """With --exit-zero the verdict is told and the code is 0."""
    result = call("scan", MODEL, "--samples", few, "--exit-zero")

    assert result.exit_code == 0
    assert result.stdout.startswith("inconclusive")


def test_exit_zero_does_not_hide_mistakes(call: Call, few: Path) -> None:
    """It is about verdicts: a wrong setting stays exit 2."""
    result = call("scan", MODEL, "--samples", few, "--exit-zero", "--set", "noise.nothing=1")

    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Missing argument 'MODEL'"),
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
        (["{model}", "--samples", "{few}", "--set", "noise.nothing=1"], "unknown setting"),
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


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a"), 2),
        (ModelRefused("a"), 3),
        (SamplesError("a"), 3),
        (ConversionError("a"), 3),
        (TrackingError("a"), 4),
        (BanGateError("a"), 70),
        (ZeroDivisionError("a"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_failure_has_its_code(error: BaseException, code: int) -> None:
    """The nearest ancestor in the table decides; only what is unexplained shows a traceback."""

    @click.group(cls=cli.Commands)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])

    assert result.exit_code == code
    assert ("Traceback" in result.stderr) == isinstance(error, ZeroDivisionError)
    assert result.stdout == ""


def test_no_failure_looks_like_a_verdict() -> None:
    """0 and 1 are verdicts: no exception may end with them."""
    failures = {code for key, code in exits.EXIT_CODES.items() if not isinstance(key, str)}

    assert not failures & {0, 1}


def test_version_says_what_runs(call: Call) -> None:
    """The version and the folder the code was imported from."""
    result = call("--version")

    assert result.exit_code == 0
    assert str(Path(cli.__file__).parent.parent) in result.stdout


@pytest.mark.parametrize("command", [[], ["scan"], ["inspect"], ["demo"]])
def test_help_teaches(call: Call, command: list[str]) -> None:
    """Every command explains itself; the group lists every exit code."""
    result = call(*command, "--help")

    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) >= 5
    if not command:
        for code in set(exits.EXIT_CODES.values()) - {130}:
            assert f"\n    {code} " in result.stdout


def test_help_does_not_wait_for_heavy_imports() -> None:
    """Help starts without torch and MLflow."""
    script = (
        "import sys; from click.testing import CliRunner; from mlflow_project import cli;"
        "CliRunner().invoke(cli.main, ['--help']);"
        "sys.exit(bool({'torch', 'mlflow'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_child_process_keeps_its_streams_apart(
    few: Path, tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CI runs it: the verdict alone on stdout, no bars on a stderr that is no terminal."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    command = [sys.executable, "-m", "mlflow_project", "scan", str(MODEL), "--samples", str(few)]

    done = subprocess.run(
        [*command, "--tracking-uri", mlflow_server], capture_output=True, text=True, check=False
    )

    assert done.returncode == 3
    assert done.stdout.startswith("inconclusive")
    assert done.stdout.count("\n") == 1
    assert "check_preconditions" in done.stderr
    assert "%" not in done.stderr
    assert "\r" not in done.stderr


QUICK = "noise.steps=2; noise.sweep=3; noise.samples=20; mask.epochs=1; mask.batches=2"


def test_a_server_killed_during_the_scan_costs_only_the_record(
    mortal_server: tuple[str, Callable[[], None]], child: dict[str, str], tmp_path: Path
) -> None:
    """Exit 4 in bounded time; the verdict was told and written whole, and one sentence says why."""
    (url, kill), output = mortal_server, tmp_path / "out"
    command = [sys.executable, "-m", "mlflow_project", "scan", str(MODEL), "--output", str(output)]
    command += ["--samples", str(commands.DEMO / "samples.npz"), "--set", QUICK]
    child["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"  # the default only waits longer

    with subprocess.Popen(
        [*command, "--tracking-uri", url],
        env=child,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as scan:
        assert scan.stderr is not None
        while "inspect_onnx" not in (line := scan.stderr.readline()):
            assert line, "the scan ended before its first step"
        kill()
        killed = time.monotonic()
        stdout, stderr = scan.communicate(timeout=90)

    told = [line for line in stderr.splitlines() if line.startswith("ban-gate: ")]
    assert scan.returncode == 4, stderr
    assert len(told) == 1
    assert f"cannot record the scan at `{url}`" in told[0]
    assert "Traceback" not in stderr
    assert stdout.startswith(("clean  ", "backdoored  "))
    assert stdout.count("\n") == 1
    document = json.loads((output / "verdict.json").read_text(), parse_constant=pytest.fail)
    assert document["verdict"] == stdout.split()[0]
    assert list(output.glob("*.draft")) == []
    assert time.monotonic() - killed < 90
