"""Real storage for tests: S3 by moto's server, and PostgreSQL as an ordinary user runs it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BUCKET = "models"
S3_SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAKEYOFTESTS",
    "AWS_SECRET_ACCESS_KEY": "secret-key-of-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}
STARTS_WITHIN = 120  # seconds
PLACES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/bin")]


def free_port() -> int:
    """A TCP port of this machine where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class S3:
    """An S3 server that can go away and come back; it forgets everything when it goes."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "s3.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serves at its address, with one empty bucket."""
        command = [sys.executable, "-m", "moto.server", "-p", str(self.port)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.port, self._process, self._log)
        import boto3  # noqa: PLC0415 (only where it is wanted)

        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=S3_SECRETS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=S3_SECRETS["AWS_SECRET_ACCESS_KEY"],
            region_name=S3_SECRETS["AWS_DEFAULT_REGION"],
        )
        client.create_bucket(Bucket=BUCKET)

    def stop(self) -> None:
        """Goes away at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


@contextmanager
def s3(folder: Path) -> Iterator[S3]:
    """A running S3 server."""
    server = S3(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def postgres(folder: Path, password: str) -> Iterator[str]:
    """The address of a database `mlflow` of its own PostgreSQL, with user and password."""
    bin_folder = next((each for each in PLACES if (each / "initdb").exists()), None)
    if bin_folder is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    port, data = free_port(), folder / "postgres"
    data.mkdir(mode=0o700)
    (folder / "password").write_text(password)
    user = _ordinary(folder, data)
    options = ["-D", str(data), "-U", "mlflow", "-A", "scram-sha-256", "-E", "UTF8"]
    made = [str(bin_folder / "initdb"), *options, f"--pwfile={folder / 'password'}"]
    subprocess.run(made, check=True, capture_output=True, user=user, cwd=data)
    serve = [str(bin_folder / "postgres"), "-D", str(data), "-p", str(port), "-k", str(data)]
    log = folder / "postgres.log"
    with log.open("w") as opened:
        process = subprocess.Popen(
            [*serve, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
            stdout=opened,
            stderr=opened,
            user=user,
            cwd=data,
        )
    try:
        wait_for_port(port, process, log)
        create = [str(bin_folder / "createdb"), "-h", "127.0.0.1", "-p", str(port)]
        environment = os.environ | {"PGPASSWORD": password}
        _until_done([*create, "-U", "mlflow", "mlflow"], environment)
        yield f"postgresql+psycopg://mlflow:{password}@127.0.0.1:{port}/mlflow"
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def mariadb(folder: Path, password: str) -> Iterator[str]:
    """The address of a database `mlflow` of its own MariaDB, with user and password."""
    if not shutil.which("mariadbd"):
        pytest.skip("MariaDB is not installed (Debian: mariadb-server)")
    port, data = free_port(), folder / "mariadb"
    data.mkdir()
    user, socket_file = _ordinary(folder, data), data / "s"
    common = ["--no-defaults", f"--datadir={data}"]
    install = ["mariadb-install-db", *common, "--auth-root-authentication-method=normal"]
    subprocess.run(install, check=True, capture_output=True, user=user, cwd=data)
    log = folder / "mariadb.log"
    with log.open("w") as opened:
        process = subprocess.Popen(
            [
                *("mariadbd", *common, f"--port={port}", f"--socket={socket_file}"),
                *("--bind-address=127.0.0.1", f"--pid-file={data / 'pid'}"),
            ],
            stdout=opened,
            stderr=opened,
            user=user,
            cwd=data,
        )
    try:
        wait_for_port(port, process, log)
        statements = (
            "CREATE DATABASE mlflow CHARACTER SET utf8mb4;"
            f"CREATE USER mlflow@'127.0.0.1' IDENTIFIED BY '{password}';"
            "GRANT ALL ON mlflow.* TO mlflow@'127.0.0.1';"
        )
        client = ["mariadb", "--no-defaults", f"--socket={socket_file}", "-u", "root"]
        _until_done([*client, "-e", statements], dict(os.environ))
        yield f"mysql+pymysql://mlflow:{password}@127.0.0.1:{port}/mlflow"
    finally:
        process.terminate()
        process.wait(60)


def _ordinary(*folders: Path) -> str | None:
    """The user to serve as, who then owns the folders: PostgreSQL refuses to be run by root."""
    if os.getuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    for folder in folders:
        shutil.chown(folder, nobody.pw_uid)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    return "nobody"


def _until_done(command: list[str], environment: dict[str, str]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            pytest.fail(f"`{command[0]}` did not succeed in time")
        time.sleep(0.5)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until somebody listens at a port."""
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the server did not start:\n{log.read_text()}")
