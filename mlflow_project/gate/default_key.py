"""The key a gate signs with: one that is given, or one of its own that is made once."""

from __future__ import annotations

import logging
from pathlib import Path

from mlflow_project.home import key_folder, moved_here
from pipeline.gate import signing
from pipeline.gate.policy import Policy
from pipeline.gate.signing import PrivateKey, PublicKey
from stages.errors import ConfigError

NAME = "signing-key.pem"

logger = logging.getLogger(__name__)


def signing_key(given: Path | None) -> PrivateKey:
    """The private key in the file given, else ban-gate's own, made if missing.

    Raises:
        ConfigError: the key cannot be read or made.
    """
    if given:
        return signing.read_private(given)
    path = _own_path()
    if not path.exists():
        try:
            made = signing.make_key(path)
        except ConfigError:
            if not path.exists():  # else another process was faster
                raise
        else:
            public = signing.public_path(path)
            logger.warning("made the signing key %s; who verifies needs %s", path, public)
            return made
    return signing.read_private(path)


def known_keys(policy: Policy, given: tuple[Path, ...]) -> tuple[PublicKey, ...]:
    """The public keys given, else the own one where neither they nor the policy name any.

    Raises:
        ConfigError: a key cannot be read, or none is known.
    """
    if given or policy.trusted_keys:
        return tuple(signing.read_public(each) for each in given)
    path = _own_path()
    if not path.exists():
        raise ConfigError(
            "no key is trusted here; give `--public-key`, or `trusted_keys` in a policy"
        )
    return (signing.read_private(path).public_key(),)


def _own_path() -> Path:
    path = key_folder() / NAME
    return moved_here(path, signing.public_path(path))
