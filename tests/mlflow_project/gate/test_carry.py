"""A version that passed is carried to another place, where its old verdict must be enough."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from mlflow import MlflowClient

from pipeline.gate import keys
from pipeline.gate.attestation import Attestation, attest, file_digests
from tests.support.attestations import claim
from tests.support.gating import call
from tests.support.mlflow_servers import serving

pytestmark = pytest.mark.usefixtures("mlflow_settings")

CLEAN = {"verdict": "clean", "action": "pass", "outcome": "PASSED", "p_value": 0.4}
FILES = {"MLmodel": "flavors: {}", "model.onnx": "the bytes", "data/weights": "more bytes"}


class Passed:
    """A version that passed an hour ago, and the options under which it is carried."""

    def __init__(self, folder: Path) -> None:
        self.client, self.name = MlflowClient(), f"dev {uuid4().hex[:8]}"
        self.folder = folder / "model"
        for path, text in FILES.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        self.client.create_registered_model(self.name)
        self.client.create_model_version(self.name, self.folder.as_uri(), tags={"owner": "me"})
        self.uri = f"models:/{self.name}/1"
        self.key = keys.make_key(folder / "gate.pem")
        self.judged = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=120)
        self.policy = folder / "policy.toml"
        self.require("")
        self.mark()

    def require(self, policy: str) -> None:
        """Writes the policy of the destination."""
        self.policy.write_text(f"trusted_keys = ['gate.pub.pem']\n{policy}\n")

    def mark(self, **changes: object) -> None:
        """Attests the version."""
        facts = {**CLEAN, "model": self.name, "version": 1, "time": self.judged.isoformat()}
        made = replace(claim(**facts), **changes)  # type: ignore[arg-type] # fields of a claim
        envelope = attest(Attestation(claim=made, files=file_digests(self.folder)), self.key)
        self.client.set_model_version_tag(self.name, "1", "ban.attestation", envelope)

    def carry(self, to: str, *options: object) -> tuple[int, str]:
        """What `promote` answers."""
        trust = ("--policy", self.policy, "--signing-key", self.policy.parent / "gate.pem")
        done = call("promote", self.uri, to, *trust, *options)
        return done.exit_code, done.stdout or done.stderr


@pytest.fixture
def passed(sqlite_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Passed:
    """A version in a registry in a database, whose runs record into the test's folder."""
    mlflow.set_tracking_uri(sqlite_store)
    made = mlflow.create_experiment(tmp_path.name, str(tmp_path / "artifacts"))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", made)
    return Passed(tmp_path)


def test_a_copy_stands_by_the_old_verdict(passed: Passed, tmp_path: Path) -> None:
    """Same bytes, own attestation, as old as the verdict, and promoted; a copy of it likewise."""
    place, again = f"prod {uuid4().hex[:8]}", f"edge {uuid4().hex[:8]}"
    options = ("--experiment", tmp_path.name)

    code, line = passed.carry(f"models:/{place}@champion", *options)

    assert code == 0, line
    assert line.startswith(f"copied    {passed.uri} → models:/{place}/1  sha256 ")
    assert line.endswith("champion: none → 1\n")
    copy = passed.client.get_model_version_by_alias(place, "champion")
    assert copy.tags["owner"] == "me"
    assert copy.tags["ban.copied_from"].startswith(f"{passed.uri} sha256:")
    assert call("verify", f"models:/{place}/1", "--policy", passed.policy).exit_code == 0
    passed.uri = f"models:/{place}/1"
    assert passed.carry(f"models:/{again}", *options)[0] == 0
    passed.require("max_age = '1h'\nnot_before = " + datetime.now(UTC).isoformat())
    for name in (place, again):
        late = call("verify", f"models:/{name}/1", "--policy", passed.policy)
        assert late.exit_code == 1
        assert f"the verdict was made at {passed.judged.isoformat()}" in late.stdout


@pytest.mark.parametrize(
    ("policy", "changes", "reason"),
    [
        ("", {"verdict": "backdoored", "action": "block"}, "the verdict is `backdoored`"),
        ("least_samples = 1000000", {}, "the policy requires 1000000"),
        ("scanner_versions = '>=99'", {}, "accepted is >=99"),
        ("samples = ['" + "0" * 64 + "']", {}, "the samples have the digest"),
        ("false_alarm_rate = 0.5", {}, "the policy requires more than its false-alarm rate 0.5"),
    ],
)
def test_what_the_destination_does_not_accept_is_gated_anew(
    passed: Passed, policy: str, changes: dict[str, object], reason: str
) -> None:
    """Nothing is made there."""
    passed.require(policy)
    passed.mark(**changes)
    place = f"prod {uuid4().hex[:8]}"

    code, line = passed.carry(f"models:/{place}")

    assert code == 1, line
    assert line.startswith(f"refused   `{passed.uri}` does not meet the policy (")
    assert reason in line
    assert "gate the version anew where it shall be used" in line
    assert not passed.client.search_registered_models(f"name = '{place}'")


def test_changed_bytes_are_not_carried(passed: Passed) -> None:
    """What was judged is what goes."""
    (passed.folder / "model.onnx").write_text("other bytes")

    code, line = passed.carry("models:/prod")

    assert code == 1
    assert "1 file(s) are not those that were judged, such as `model.onnx`" in line


@pytest.mark.parametrize("to", ["latest", "models:/x@v3", "my alias", "models:/", "models:/a/3"])
def test_a_place_that_cannot_be_is_wrong_usage(passed: Passed, to: str) -> None:
    """Before anything is fetched."""
    assert passed.carry(to)[0] == 2


@pytest.mark.nightly
def test_a_version_goes_to_another_server(passed: Passed, tmp_path: Path) -> None:
    """Bytes, attestation and run are there, and the first server is needed no more."""
    with serving(tmp_path / "prod") as (url, _):
        code, line = passed.carry("models:/digits@champion", "--to-tracking-uri", url)
        assert code == 0, line
        (passed.folder / "model.onnx").unlink()
        options = ("--policy", passed.policy, "--tracking-uri", url)
        found = call("verify", "models:/digits@champion", *options)
    assert found.exit_code == 0, found.output
