"""A real MLflow server with basic-auth, and workspaces if asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import requests
from werkzeug.security import generate_password_hash

from tests.support.mlflow_servers import serving

ADMIN = ("admin", "a long password of the admin")
READER = ("reader", "a-password-of-the-reader")


@contextmanager
def with_basic_auth(folder: Path) -> Iterator[str]:
    """The URL of a server that lets `READER` read and nothing else."""
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    settings = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for tests",
    }
    with serving(folder / "server", ("--app-name", "basic-auth"), settings) as (url, _):
        hash_quickly(folder / "auth.db", ADMIN)
        made = requests.post(
            f"{url}/api/2.0/mlflow/users/create",
            json={"username": READER[0], "password": READER[1]},
            auth=ADMIN,
            timeout=60,
        )
        made.raise_for_status()
        hash_quickly(folder / "auth.db", READER)
        yield url


def hash_quickly(users: Path, user: tuple[str, str]) -> None:
    """Stores a password under a hash that is checked at once: every request checks it."""
    quick = generate_password_hash(user[1], method="pbkdf2:sha256:1")
    with closing(sqlite3.connect(users)) as database, database:
        database.execute("UPDATE users SET password_hash = ? WHERE username = ?", (quick, user[0]))
