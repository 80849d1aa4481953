"""The gate in front of a real registry: an MLflow server over HTTP, real models, real verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Barrier, Thread

import mlflow
import pytest
import requests
from click.testing import Result
from mlflow import MlflowClient

from mlflow_project import tracking
from mlflow_project.gate import gate as gating
from mlflow_project.gate.card import END
from mlflow_project.registry import alias
from pipeline.gate import keys
from tests.support.gating import MODELS, call, gate, logged, register

pytestmark = [
    pytest.mark.usefixtures("mlflow_settings"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow's own
]


@pytest.fixture(scope="module")
def digits(mlflow_server: str, home: Path) -> tuple[Result, Result]:
    """Version 1 of `digits` is clean, version 2 backdoored; both were gated for `champion`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAN_GATE_HOME", str(home))
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        mlflow.set_tracking_uri(mlflow_server)
        for model in MODELS:
            register("digits", logged(model))
        MlflowClient().update_model_version("digits", "1", "The owner's words.")
        return (
            gate("models:/digits/1", "--promote", "champion"),
            gate("models:/digits/2", "--promote", "champion", "--json"),
        )


def test_only_the_clean_version_is_promoted(
    digits: tuple[Result, Result], registry: MlflowClient
) -> None:
    """One line and exit 0 for it, JSON and exit 1 for the other; the alias moved once."""
    passed, blocked = digits

    assert passed.exit_code == 0, passed.stderr
    assert passed.stdout.startswith("pass   clean")
    assert passed.stdout.endswith("models:/digits/1  champion: none → 1\n")
    assert blocked.exit_code == 1, blocked.stderr
    document = json.loads(blocked.stdout)
    assert (document["gate"], document["verdict"]) == ("block", "backdoored")
    assert document["suspected_class"] == 7
    assert not document["moved"]
    assert registry.get_registered_model("digits").aliases == {"champion": "1"}


def test_an_accepted_version_becomes_a_reference(digits: tuple[Result, Result]) -> None:
    """The second gate compared with the first version, under its registry's name."""
    document = json.loads(digits[1].stdout)

    assert [each.split(" sha256:")[0] for each in document["references"]] == ["models:/digits/1"]


def test_the_version_carries_the_answer(
    digits: tuple[Result, Result], registry: MlflowClient
) -> None:
    """Tags, a card behind the owner's words, metrics on the LoggedModel, evidence in the run."""
    assert digits
    one, two = (registry.get_model_version("digits", number) for number in ("1", "2"))

    assert (one.tags["ban.gate"], one.tags["ban.verdict"]) == ("pass", "clean")
    assert (two.tags["ban.gate"], two.tags["ban.verdict"]) == ("block", "backdoored")
    assert two.tags["ban.suspected_class"] == "7"
    assert {"ban.digest", "ban.policy", "ban.gated_at", "ban.p_value", "ban.anomaly_score"} <= set(
        one.tags
    )
    assert one.description.startswith("The owner's words.\n\nban-gate: ")
    assert one.description.endswith(END)
    assert "](#/experiments/" in one.description
    model = registry.get_logged_model(one.source.removeprefix("models:/"))
    assert {"p_value", "anomaly_score", "critical_value"} <= {
        each.key for each in model.metrics or ()
    }
    run = registry.get_run(one.tags["ban.run_id"])
    assert run.data.tags["ban.gate"] == "pass"
    files = {each.path for each in registry.list_artifacts(run.info.run_id)}
    assert {"verdict.json", "attestation.json", "policy.json", "report.html", "ci"} <= files


def test_the_evidence_tells_the_decision(
    digits: tuple[Result, Result], registry: MlflowClient, tmp_path: Path
) -> None:
    """Report and files for CI name the version and what the gate decided, not the verdict alone."""
    assert digits
    run = registry.get_model_version("digits", "2").tags["ban.run_id"]

    report = registry.download_artifacts(run, "report.html", str(tmp_path))
    cases = registry.download_artifacts(run, "ci/junit.xml", str(tmp_path))

    assert "digits, version 2" in Path(report).read_text()
    assert 'classname="ban-gate.gate"' in Path(cases).read_text()


def test_the_cache_holds_no_verdict_and_no_key(digits: tuple[Result, Result], home: Path) -> None:
    """What is kept of the searches is marked with a secret that lies elsewhere."""
    assert digits
    kept = [each.parent for each in (home / "cache").glob("*/*/stage.json")]

    assert {"find_blend", "measure_sites"} <= {each.parent.name for each in kept}
    assert "judge" not in {each.parent.name for each in kept}
    assert all((each / "seal").is_file() for each in kept)
    assert {"cache", "cache-secret", "signing-key.pem"} <= {each.name for each in home.iterdir()}


def test_verify_tells_the_standing(digits: tuple[Result, Result], registry: MlflowClient) -> None:
    """By alias and by number; an unknown key makes it invalid, no attestation is exit 3."""
    assert digits
    register("untested", "models:/digits/1")
    keys.make_key(Path("other.pem"))

    assert call("verify", "models:/digits@champion").exit_code == 0
    assert call("verify", "models:/digits/2").exit_code == 1
    stranger = call("verify", "models:/digits/1", "--public-key", "other.pub.pem")
    assert (stranger.exit_code, "not signed by a trusted key" in stranger.stdout) == (1, True)
    never = call("verify", "models:/untested/1", "--json")
    assert (never.exit_code, json.loads(never.stdout)["valid"]) == (3, False)
    assert registry.get_model_version("untested", "1").tags == {}


def test_copied_tags_do_not_count(digits: tuple[Result, Result], registry: MlflowClient) -> None:
    """Neither by copying the version, nor set by hand on another version."""
    assert digits
    registry.copy_model_version("models:/digits/1", "copied")
    register("digits-by-hand", "models:/digits/2")
    for key, value in registry.get_model_version("digits", "1").tags.items():
        registry.set_model_version_tag("digits-by-hand", "1", key, value)

    for name in ("copied", "digits-by-hand"):
        told = call("verify", f"models:/{name}/1")
        assert told.exit_code == 1
        assert "it was copied" in told.stdout


@pytest.mark.parametrize(
    ("version", "policy", "code", "told"),
    [
        (1, "max_age = '1h'", 0, ""),
        (1, "false_alarm_rate = 0.9", 1, "the policy requires more"),
        (2, "required_verdict = 'any'", 0, "with this remark"),
        (2, "{waiver}2999-01-01", 0, "let pass by the waiver"),
        (2, "{waiver}2020-01-01", 1, "expired on 2020-01-01 and ignored"),
        (3, "", 4, "not found"),
    ],
)
def test_the_policy_of_now_decides(
    digits: tuple[Result, Result],
    registry: MlflowClient,
    version: int,
    policy: str,
    code: int,
    told: str,
) -> None:
    """Rate, waivers valid and expired, and a version that is not there."""
    assert digits
    assert registry
    waiver = "[[waiver]]\nmodel='digits'\nversion=2\nreason='known'\nexpires="
    Path("policy.toml").write_text(policy.format(waiver=waiver))

    found = call("verify", f"models:/digits/{version}", "--policy", "policy.toml")

    assert found.exit_code == code, found.output
    assert told in found.output


def test_a_pass_from_outside_of_the_calibration_is_promoted_by_policy_alone(
    registry: MlflowClient,
) -> None:
    """The gate blocks it, signs in which respect it is outside, and lets it pass where accepted.

    So does whoever verifies, whatever the gate's policy was.
    """
    register("outside", logged("clean"))
    settings = ("--set", "calibration.range.fewest_classes=11; judge.false_alarm_rate=0.001")
    accepted = "['calibration.range.fewest_classes=11', 'judge.false_alarm_rate=0.001']"
    Path("lax.toml").write_text(f"outside_calibration = true\nsettings = {accepted}")
    uri = "models:/outside/1"

    blocked = gate(uri, *settings, "--promote", "champion")
    refused = call("verify", uri)
    passed = gate(uri, *settings, "--promote", "champion", "--policy", "lax.toml")
    strict, lax = call("verify", uri), call("verify", uri, "--policy", "lax.toml")

    assert blocked.exit_code == 1, blocked.output
    assert passed.exit_code == 0, passed.output
    for told in (refused, strict):
        assert "unlike this one (10 classes)" in told.output
    assert (refused.exit_code, strict.exit_code, lax.exit_code) == (1, 1, 0)
    assert registry.get_registered_model("outside").aliases == {"champion": "1"}


def test_changed_settings_are_blocked_by_name(
    digits: tuple[Result, Result], registry: MlflowClient
) -> None:
    """By the gate and by whoever verifies, but for a policy that names the digest of all settings;
    a newer gate with shipped settings passes.
    """
    assert digits
    register("changed", "models:/digits/1")
    uri, changed, accepting = "models:/changed/1", ("--set", "judge.near=2"), ("--policy", "d.toml")
    digest = call("settings", "--digest", *changed).stdout.strip()
    Path("d.toml").write_text(f"settings = ['{digest}']")

    blocked, refused = gate(uri, *changed, "--promote", "champion"), call("verify", uri)
    accepted = gate(uri, *changed, *accepting), call("verify", uri, *accepting)
    passed, valid = gate(uri), call("verify", uri)

    for found in (blocked, refused):
        assert found.exit_code == 1, found.output
    assert "the setting `judge.near` is 2.0, the policy accepts 3.0" in refused.stdout
    assert [each.exit_code for each in accepted] == [0, 0], accepted[0].output
    assert (passed.exit_code, valid.exit_code) == (0, 0), passed.output + valid.output
    assert registry.get_registered_model("changed").aliases == {}


def test_a_dry_run_changes_nothing(digits: tuple[Result, Result], registry: MlflowClient) -> None:
    """It says what would happen; version and model stay as they were, and a run tells of it."""
    assert digits
    register("rehearsed", "models:/digits/1")
    before = registry.get_model_version("rehearsed", "1")

    found = gate("models:/rehearsed/1", "--promote", "champion", "--dry-run")

    assert found.exit_code == 0, found.stderr
    assert "champion: none → 1  (dry run)" in found.stdout
    after = registry.get_model_version("rehearsed", "1")
    assert (after.tags, after.description) == (before.tags, before.description)
    assert registry.get_registered_model("rehearsed").aliases == {}
    own = registry.get_experiment_by_name(tracking.EXPERIMENT)
    assert own is not None
    (run,) = registry.search_runs([own.experiment_id], "tags.`ban.dry_run` = 'true'")
    assert run.data.tags["ban.gate"] == "pass"


def test_a_waiver_promotes_and_a_rollback_returns(
    digits: tuple[Result, Result], registry: MlflowClient
) -> None:
    """The verdict stays, the waiver is named everywhere, an older version cannot take the alias,
    and the alias goes back once.
    """
    assert digits
    for number in (1, 2):
        register("waived", f"models:/digits/{number}")
    registry.set_registered_model_alias("waived", "champion", "1")
    Path("policy.toml").write_text(
        "references = 0\n[[waiver]]\nmodel='waived'\nversion=2\nreason='known'\nexpires=2999-01-01"
    )
    options = ("--policy", "policy.toml", "--promote", "champion")

    waived = gate("models:/waived/2", *options)
    older = gate("models:/waived/1", *options)
    returned = call("rollback", "waived", "champion", "--policy", "policy.toml")
    again = call("rollback", "waived", "champion")

    assert waived.exit_code == 0, waived.stderr
    assert "backdoored" in waived.stdout
    assert "until 2999-01-01: known" in waived.stdout
    assert "champion: 1 → 2" in waived.stdout
    tags = registry.get_model_version("waived", "2").tags
    assert (tags["ban.verdict"], tags["ban.gate"]) == ("backdoored", "pass")
    assert "known" in tags["ban.waiver"]
    assert older.exit_code == 1
    assert "overtaken by version 2" in older.stdout
    assert (returned.exit_code, returned.stdout) == (0, "returned  waived  champion: 2 → 1\n")
    assert again.exit_code == 1
    assert "no earlier holder" in again.stdout
    assert registry.get_registered_model("waived").aliases == {"champion": "1"}


def test_a_rollback_to_a_bad_version_needs_force_and_a_reason(
    digits: tuple[Result, Result], registry: MlflowClient
) -> None:
    """Refused with a sentence; forced, the reason is noted."""
    assert digits
    register("forced", "models:/digits/1")
    registry.set_registered_model_tag("forced", "ban.previous.champion", "1")

    refused = call("rollback", "forced", "champion")
    silent = call("rollback", "forced", "champion", "--force")
    forced = call("rollback", "forced", "champion", "--force", "--reason", "outage")

    assert (refused.exit_code, "never gated" in refused.stdout) == (1, True)
    assert silent.exit_code == 2
    assert forced.exit_code == 0, forced.stderr
    note = json.loads(registry.get_registered_model("forced").tags["ban.rollback.champion"])
    assert (note["to"], note["reason"]) == (1, "outage")


def test_files_changed_after_the_verdict_end_it(
    digits: tuple[Result, Result],
    registry: MlflowClient,
    mlflow_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the tags and the alias: no promotion, exit 1, and the standing is gone."""
    assert digits
    register("tampered", logged("clean"))
    place = registry.get_model_version_download_uri("tampered", "1").split(":/", 1)[1]
    mark = gating.mark

    def mark_and_tamper(*arguments: object) -> None:
        mark(*arguments)  # type: ignore[arg-type] # handed on
        url = f"{mlflow_server}/api/2.0/mlflow-artifacts/artifacts/{place}/model.onnx"
        requests.put(url, data=b"another model", timeout=10).raise_for_status()

    monkeypatch.setattr(gating, "mark", mark_and_tamper)
    found = gate("models:/tampered/1", "--promote", "champion")

    assert found.exit_code == 1, found.stderr
    assert "not those that were judged, such as `model.onnx`" in found.stdout
    assert registry.get_registered_model("tampered").aliases == {}
    assert call("verify", "models:/tampered/1").exit_code == 1


def test_racing_for_an_alias_leaves_one_of_the_racers(
    digits: tuple[Result, Result], registry: MlflowClient
) -> None:
    """Whoever is told that it holds the alias, or was overtaken, is told the truth."""
    assert digits
    for _ in range(2):
        register("raced", "models:/digits/1")
    barrier, told = Barrier(2), dict[int, alias.Promotion]()

    def race(version: int) -> None:
        barrier.wait()
        told[version] = alias.promote(registry, "raced", version, "champion")

    racers = [Thread(target=race, args=(version,)) for version in (1, 2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert registry.get_registered_model("raced").aliases["champion"] in ("1", "2")
    assert told[2].moved, "nobody newer could overtake it"
    assert told[1].overtaken_by in (None, 2)
    assert not alias.promote(registry, "raced", 1, "other").overtaken_by
    registry.set_registered_model_alias("raced", "champion", "2")
    assert alias.promote(registry, "raced", 1, "champion").overtaken_by == 2


@pytest.mark.parametrize(
    ("uri", "code", "sentence"),
    [
        ("models:/nobody/1", 4, "Registered Model with name=nobody not found|not found"),
        ("models:/digits/99", 4, "not found"),
        ("models:/digits@nobody", 4, "alias nobody not found"),
        ("models:/nobody/latest", 4, "nobody"),
        ("models:/m-0123", 2, "names no version of a registered model"),
        ("models:/digits/Production", 2, "names no version of a registered model"),
        ("model.onnx", 2, "names no version of a registered model"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    digits: tuple[Result, Result], registry: MlflowClient, uri: str, code: int, sentence: str
) -> None:
    """Exit 4 where the registry says so, 2 where the URI cannot name a version."""
    assert digits
    assert registry

    found = gate(uri)

    assert found.exit_code == code, found.output
    assert any(each in found.stderr for each in sentence.split("|"))
    assert found.stderr.count("ban-gate: ") == 1
    assert found.stdout == ""


def test_a_dead_registry_is_found_before_the_scan(
    registry: MlflowClient, free_port: int, tmp_path: Path
) -> None:
    """Exit 4, one sentence, nothing written."""
    assert registry
    dead = ("--tracking-uri", f"http://127.0.0.1:{free_port}", "--output", tmp_path / "out")

    found = gate("models:/digits/1", *dead)

    assert found.exit_code == 4
    assert found.stdout == ""
    assert list((tmp_path / "out").iterdir()) == []
