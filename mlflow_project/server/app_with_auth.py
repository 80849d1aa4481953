"""`mlflow server --app-name ban-gate-basic-auth`: MLflow's basic-auth, and the guard below it.

MLflow decides first whether this user may change this model at all, then the guard whether the
version may have the alias.
"""

from __future__ import annotations

import os
from typing import Any

from mlflow.environment_variables import _MLFLOW_AUTH_ADMIN_BOOTSTRAPPED
from mlflow.exceptions import MlflowException

from mlflow_project.server.app import GUARD, CannotStart
from mlflow_project.server.guard import protect


def create_app() -> Any:
    """MLflow's application with basic-auth, with its model registry guarded."""
    from mlflow.server import auth  # noqa: PLC0415 (an extra of MLflow)

    protect(GUARD)
    return auth.create_app()


def _bootstrap() -> None:
    """Makes the admin once, before the workers start, as MLflow does for its own app only.

    Raises:
        CannotStart: an extra of MLflow, the secret key, or the admin's password is missing.
    """
    if _MLFLOW_AUTH_ADMIN_BOOTSTRAPPED.get():
        return
    try:
        from mlflow.server import auth  # noqa: PLC0415 (an extra of MLflow)

        auth.get_flask_server_secret_key()
        auth.bootstrap_admin_user()
    except (ImportError, MlflowException) as error:
        raise CannotStart(
            f"basic-auth cannot be used: {' '.join(str(error).split())}; it needs `mlflow[auth]`"
        ) from error
    os.environ[_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED.name] = "true"


_bootstrap()
