"""A guarded server goes by the newest signed decision, and nobody can put an older one back.

The server is a real `mlflow server`, asked over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from pipeline.gate.provenance import ChangedSetting
from tests.support.attestations import provenance
from tests.support.guarded_server import Registry, guarded, is_refused, statement

BLOCK: dict[str, Any] = {"verdict": "backdoored", "action": "block", "outcome": "FAILED"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A guarded server."""
    with guarded("ban-gate", tmp_path_factory.mktemp("guarded")) as registry:
        yield registry


@pytest.fixture
def model(registry: Registry) -> tuple[str, str]:
    """A new model and its first version, which no gate has seen."""
    name = registry.model()
    return name, registry.version(name)


def before(seconds: float) -> str:
    """A moment so many seconds ago."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def promote(registry: Registry, model: tuple[str, str]) -> None:
    registry.client.set_registered_model_alias(model[0], "champion", model[1])


def test_an_old_pass_cannot_be_put_back(registry: Registry, model: tuple[str, str]) -> None:
    """Neither over a block nor after deleting it, in whatever spelling; a newer pass may."""
    old = statement(*model, time=before(60))
    registry.mark(*model, old)
    registry.attest(*model, time=before(30), **BLOCK)

    with pytest.raises(MlflowException, match="holds the decision `block`"):
        registry.mark(*model, old)
    with pytest.raises(MlflowException, match="holds the decision `block`"):
        registry.client.delete_model_version_tag(*model, "ban.attestation")
    with pytest.raises(MlflowException, match="holds the decision `block`"):
        registry.client.set_model_version_tag(*model, "Ban.Attestation", "nothing")
    with pytest.raises(MlflowException, match="the policy requires `clean`"):
        promote(registry, model)

    registry.attest(*model, time=before(0))
    promote(registry, model)


def test_a_block_in_a_run_counts(registry: Registry, model: tuple[str, str]) -> None:
    """Also of a gate that died before it reached the tag, and when its run was deleted."""
    registry.attest(*model, time=before(60))
    run = registry.record(*model, statement(*model, time=before(30), **BLOCK))
    registry.client.delete_run(run)

    with pytest.raises(MlflowException, match="the policy requires `clean`"):
        promote(registry, model)

    registry.record(*model, statement(*model, time=before(0)))
    promote(registry, model)


def test_a_run_that_says_nothing_signed_is_no_decision(
    registry: Registry, model: tuple[str, str]
) -> None:
    """Anybody may log a run; nonsense, too much, and nothing at all change nothing."""
    registry.attest(*model)
    for text in ("no envelope", "x" * 200_000):
        registry.record(*model, text)
    run = registry.client.create_run("0").info.run_id
    registry.client.set_tag(run, "ban.version", f"{model[0]}/{model[1]}")

    promote(registry, model)


def test_a_pass_may_be_withdrawn(registry: Registry, model: tuple[str, str]) -> None:
    """Deleting its tag leaves a version that was never gated."""
    registry.attest(*model)
    registry.client.delete_model_version_tag(*model, "ban.attestation")

    with pytest.raises(MlflowException, match="it was never gated"):
        promote(registry, model)


def test_a_model_made_anew_has_no_past(registry: Registry, model: tuple[str, str]) -> None:
    """Deleting the whole model forgets its tags; the attestation is older than the new version."""
    name, number = model
    old = statement(name, number, time=before(3600))
    registry.attest(name, number, **BLOCK)
    registry.client.delete_registered_model(name)
    registry.client.create_registered_model(name)
    assert registry.version(name) == number
    registry.mark(name, number, old)

    with pytest.raises(MlflowException, match="before the registry made this version"):
        promote(registry, model)


def test_changed_settings_are_refused_by_name(registry: Registry, model: tuple[str, str]) -> None:
    """With what was found and what is accepted."""
    found = provenance(
        changed_settings=(ChangedSetting(name="blend.rate", value="0.9", shipped="0.2"),)
    )
    registry.attest(*model, provenance=found)

    body = {"name": model[0], "alias": "champion", "version": model[1]}
    answer = registry.post("/api/2.0/mlflow/registered-models/alias", body)

    assert is_refused(answer, "the setting `blend.rate` is 0.9, the policy accepts 0.2")
