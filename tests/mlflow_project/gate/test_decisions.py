"""What people decide about a gated version, in a real registry: revoke, approve, promote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_project.registry.recorded import ATTESTATION_FILE, VERSION_TAG, version_mark
from pipeline.gate import keys
from pipeline.gate.attestation import Attestation, attest, file_digests, verify
from pipeline.gate.provenance import ChangedSetting
from tests.support.attestations import claim, provenance
from tests.support.gating import call

pytestmark = pytest.mark.usefixtures("mlflow_settings")

CLEAN = {"verdict": "clean", "action": "pass", "outcome": "PASSED", "p_value": 0.4}


class Version:
    """A version that a gate has judged, with the gate's own key and a second one."""

    def __init__(self, folder: Path) -> None:
        self.client, self.name = MlflowClient(), f"it's a net {uuid4().hex[:8]}"
        self.gate, self.second = (keys.make_key(folder / f"{n}.pem") for n in ("gate", "second"))
        self.folder = folder / "model"
        self.folder.mkdir()
        (self.folder / "MLmodel").write_text("flavors: {}")
        self.client.create_registered_model(self.name)
        self.client.create_model_version(self.name, self.folder.as_uri())
        self.uri = f"models:/{self.name}/1"
        (folder / "policy.toml").write_text(
            "trusted_keys = ['gate.pub.pem', 'second.pub.pem']\napprovals = 0"
        )
        self.policy = folder / "policy.toml"
        self.trust = ("--policy", self.policy)

    def decided(self, seconds_ago: float, **changes: object) -> str:
        """What the gate signed so many seconds ago, as it stands in the run."""
        time = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()
        made = replace(claim(**CLEAN, model=self.name, version=1, time=time), **changes)  # type: ignore[arg-type] # fields of a claim
        envelope = attest(Attestation(claim=made, files=file_digests(self.folder)), self.gate)
        with mlflow.start_run():
            mlflow.log_text(envelope, ATTESTATION_FILE)
            mlflow.set_tag(VERSION_TAG, version_mark(self.name, 1))
        return envelope

    def mark(self, envelope: str) -> None:
        """Sets the tag, as anybody may."""
        self.client.set_model_version_tag(self.name, "1", "ban.attestation", envelope)

    @property
    def holders(self) -> dict[str, str]:
        """The aliases of the model."""
        held = self.client.get_registered_model(self.name).aliases
        return {alias: str(number) for alias, number in held.items()}


@pytest.fixture
def version(sqlite_store: str, tmp_path: Path) -> Iterator[Version]:
    """A version in a registry in a database, which passed two minutes ago."""
    mlflow.set_tracking_uri(sqlite_store)
    made = Version(tmp_path)
    made.mark(made.decided(120))
    return made


def test_a_version_that_passes_verification_is_promoted(version: Version) -> None:
    """And one whose settings were not the shipped ones is refused by their name."""
    passed = call("promote", version.uri, "champion", *version.trust)
    changed = ChangedSetting(name="blend.rate", value="0.9", shipped="0.2")
    version.mark(version.decided(60, provenance=provenance(changed_settings=(changed,))))
    refused = call("promote", version.uri, "production", *version.trust)

    assert (passed.exit_code, refused.exit_code) == (0, 1), passed.output
    assert passed.stdout == f"promoted  {version.name}  champion: none → 1\n"
    assert "the setting `blend.rate` is 0.9, the policy accepts 0.2" in refused.stdout
    assert version.holders == {"champion": "1"}


def test_an_old_pass_put_back_is_no_pass(version: Version) -> None:
    """The block stays in its run, and so does a newer pass."""
    old = version.client.get_model_version(version.name, "1").tags["ban.attestation"]
    version.mark(version.decided(60, verdict="backdoored", action="block", outcome="FAILED"))
    version.mark(old)

    replayed = call("verify", version.uri, *version.trust)
    version.decided(30)
    renewed = call("verify", version.uri, *version.trust)

    assert (replayed.exit_code, renewed.exit_code) == (1, 0), renewed.output
    assert "the verdict is `backdoored`" in replayed.stdout


def test_a_revocation_stands_until_a_newer_pass(version: Version) -> None:
    """Its line has the digest for policies, and the aliases that are still held."""
    old = version.client.get_model_version(version.name, "1").tags["ban.attestation"]
    digest = verify(old, [version.gate.public_key]).digest
    version.client.set_registered_model_alias(version.name, "champion", "1")
    revoking = ("--signing-key", "second.pem", "--reason", "the data was poisoned")

    revoked = call("revoke", version.uri, *revoking, *version.trust)
    after = call("verify", version.uri, *version.trust)
    tags = version.client.get_model_version(version.name, "1").tags
    version.mark(old)
    replayed = call("verify", version.uri, *version.trust)
    version.decided(-2)
    renewed = call("verify", version.uri, *version.trust)

    assert revoked.exit_code == 0, revoked.output
    told = f"revoked   {version.uri}  sha256 {digest}; it still holds champion\n"
    assert revoked.stdout == told
    for found in (after, replayed):
        assert (found.exit_code, "the data was poisoned" in found.stdout) == (1, True)
    assert tags["ban.gate"] == "block"
    assert "the data was poisoned" in tags["ban.reason"]
    assert renewed.exit_code == 0, renewed.output


def test_a_digest_revoked_by_policy_does_not_count(version: Version) -> None:
    """Without any server knowing of it."""
    envelope = version.client.get_model_version(version.name, "1").tags["ban.attestation"]
    digest = verify(envelope, [version.gate.public_key]).digest
    with version.policy.open("a") as policy:
        policy.write(f"\nrevoked = ['{digest}']")

    found = call("verify", version.uri, *version.trust)

    assert (found.exit_code, f"has revoked the attestation `{digest}`" in found.stdout) == (1, True)


def test_a_second_key_approves(version: Version) -> None:
    """Not the first one, and not without a reason; then the version may be promoted."""
    version.policy.write_text(version.policy.read_text().replace("approvals = 0", "approvals = 1"))
    approving = ("approve", version.uri, *version.trust, "--signing-key")

    before = call("promote", version.uri, "champion", *version.trust)
    own = call(*approving, "gate.pem", "--reason", "looked at")
    silent = call(*approving, "second.pem", "--reason", " ")
    approved = call(*approving, "second.pem", "--reason", "looked at")
    after = call("promote", version.uri, "champion", *version.trust)

    assert (before.exit_code, "0 of 1 approvals" in before.stdout) == (1, True)
    assert (own.exit_code, "this key signed the attestation" in own.stdout) == (1, True)
    assert (silent.exit_code, "the reason is empty" in silent.stderr) == (2, True)
    assert approved.exit_code == 0, approved.output
    assert after.exit_code == 0, after.output
    assert version.holders == {"champion": "1"}


def test_a_block_is_not_approved(version: Version) -> None:
    """Nor a version that was never gated revoked or approved."""
    version.mark(version.decided(60, verdict="backdoored", action="block", outcome="FAILED"))
    word = ("--signing-key", "second.pem", "--reason", "why", *version.trust)

    blocked = call("approve", version.uri, *word)
    version.client.delete_model_version_tag(version.name, "1", "ban.attestation")
    never = [call(command, version.uri, *word) for command in ("approve", "revoke")]

    assert (blocked.exit_code, "is a block" in blocked.stdout) == (1, True)
    assert [each.exit_code for each in never] == [3, 3], never[0].output
    assert all("was never gated" in each.stderr for each in never)
