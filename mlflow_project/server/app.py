"""`mlflow server --app-name ban-gate`: a tracking server that enforces the gate's policy.

MLflow imports this module before it starts its workers. A wrong setting ends it there, with one
sentence: a server never starts unguarded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from mlflow.environment_variables import _MLFLOW_SGI_NAME
from mlflow.server import app as flask_app

from mlflow_project.server.guard import Guard, protect
from pipeline.gate.keys import public_at
from pipeline.gate.rules import read_rules
from pipeline.gate.verification import trusted_keys
from stages.errors import ConfigError

POLICY_VARIABLE = "BAN_GATE_POLICY"
KEY_VARIABLE = "BAN_GATE_VERIFY_KEY"


class CannotStart(click.ClickException):
    """The server's settings are wrong; exit 2, like any wrong usage."""

    exit_code = 2


def guard_from_environment() -> Guard:
    """The guard that the environment asks for.

    Raises:
        CannotStart: the policy or the key is missing or wrong, or there is nothing to protect.
    """
    try:
        return _guard()
    except ConfigError as error:
        raise CannotStart(f"the server does not start unguarded: {error}") from error


def create_app() -> Any:
    """MLflow's own application, with its model registry guarded."""
    protect(GUARD)
    if _MLFLOW_SGI_NAME.get() != "uvicorn":
        return flask_app
    from mlflow.server import fastapi_app  # noqa: PLC0415 (another server does without)

    return fastapi_app.app


def _guard() -> Guard:
    path = os.environ.get(POLICY_VARIABLE)
    if not path:
        raise ConfigError(f"`{POLICY_VARIABLE}` is not set; set it to the policy's TOML file")
    rules = read_rules(Path(path))
    if not any(each.protected_aliases for each in rules.policies):
        raise ConfigError(f"policy `{path}` protects no alias; name some in `protected_aliases`")
    key = os.environ.get(KEY_VARIABLE)
    keys = (public_at(key),) if key else ()
    if not all(trusted_keys(each, *keys) for each in rules.policies):
        raise ConfigError(
            f"no key is trusted; set `{KEY_VARIABLE}` to the gate's public key, or name keys in"
            f" `trusted_keys` of policy `{path}`"
        )
    return Guard(rules=rules, given_keys=keys)


GUARD = guard_from_environment()
