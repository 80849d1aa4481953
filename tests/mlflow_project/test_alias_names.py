"""What may be an alias is what MLflow itself takes for one."""

from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_alias_name_reserved,
)

from mlflow_project.alias_names import require_alias
from stages.errors import ConfigError

NAMES = [
    *("champion", "a-b_c", "7", "vault", "v", "v3x", "über", "x" * 255),
    *("latest", "LATEST", "v3", "V12", "my alias", "a/b", "a.b", "", "x" * 256, "a@b"),
]


def _fits(name: str) -> bool:
    try:
        require_alias(name)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_it_is_mlflows_own_rule(name: str) -> None:
    """Otherwise a gate would be refused after its scan, or before it for nothing."""
    try:
        _validate_model_alias_name(name)
        _validate_model_alias_name_reserved(name)
        taken = True
    except MlflowException:
        taken = False

    assert _fits(name) is taken
