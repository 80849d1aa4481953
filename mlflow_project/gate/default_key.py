"""The key a gate signs with: one that is given, or one of its own that is made once."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from mlflow_project.home import key_folder, moved_here
from pipeline.gate import keys
from pipeline.gate.keys import PublicKey, Signer
from pipeline.gate.policy import Policy
from stages.errors import ConfigError

NAME = "signing-key.pem"

logger = logging.getLogger(__name__)


def signing_key(given: str | None) -> Signer:
    """What signs with the key at the place given, else with ban-gate's own, made if missing.

    Raises:
        ConfigError: the key cannot be read or made.
    """
    if given:
        return keys.signer_at(given, secret)
    path = _own_path()
    if not path.exists():
        try:
            made = keys.make_key(path)
        except ConfigError:
            if not path.exists():  # else another process was faster
                raise
        else:
            public = keys.public_path(path)
            logger.warning("made the signing key %s; who verifies needs %s", path, public)
            return made
    return keys.read_private(path)


def secret(name: str) -> str:
    """A secret that a key needs, from the environment.

    Raises:
        ConfigError: it is not there.
    """
    variable = f"BAN_GATE_KEY_{name.upper()}"
    if not os.environ.get(variable):
        raise ConfigError(f"the key needs a {name}; set `{variable}`, never an option")
    return os.environ[variable]


def known_keys(policy: Policy, given: tuple[str, ...]) -> tuple[PublicKey, ...]:
    """The public keys given, else the own one where neither they nor the policy name any.

    Raises:
        ConfigError: a key cannot be read, or none is known.
    """
    if given or policy.trusted_keys:
        return tuple(keys.public_at(each, secret=secret) for each in given)
    path = _own_path()
    if not path.exists():
        raise ConfigError(
            "no key is trusted here; give `--public-key`, or `trusted_keys` in a policy"
        )
    return (keys.read_private(path).public_key,)


def _own_path() -> Path:
    path = key_folder() / NAME
    return moved_here(path, keys.public_path(path))
