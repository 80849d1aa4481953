"""Which policy is that of a registered model here, and whose attestations count under it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlflow_project.connection import Target
from mlflow_project.gate import default_key
from mlflow_project.registry.model_policy import policy_for
from pipeline.gate.keys import PublicKey
from pipeline.gate.policy import Policy
from pipeline.gate.rules import read_rules
from pipeline.gate.verification import trusted_keys


def rules_of(policy: Path | None, name_or_uri: str, target: Target) -> Policy:
    """The policy of a registered model, by its name or the URI of a version, out of a file.

    Raises:
        ConfigError: the file cannot be read or holds none.
        TrackingError, RegistryError: its rules need tags, and the server does not answer.
    """
    return policy_for(read_rules(policy), name_or_uri, target)


def keys_of(rules: Policy, public_keys: Sequence[str]) -> tuple[PublicKey, ...]:
    """The policy's keys and these, else the own one.

    Raises:
        ConfigError: a key cannot be read, or there is none.
    """
    return trusted_keys(rules, *default_key.known_keys(rules, tuple(public_keys)))
