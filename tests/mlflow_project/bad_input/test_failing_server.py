"""A server that does not do its work stops a scan before it starts, in one sentence."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.bad_calls import Scan, sentences

pytestmark = pytest.mark.usefixtures("mlflow_settings")


@contextmanager
def _server(status: int, body: bytes, *, healthy: bool) -> Iterator[str]:
    """The URL of a server that gives the same answer to everything, save perhaps to /health."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            fine = healthy and self.path == "/health"
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200 if fine else status)
            self.send_header("Content-Length", str(len(b"OK" if fine else body)))
            self.end_headers()
            self.wfile.write(b"OK" if fine else body)

        do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 (the parent's names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the parent's name)
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _silence() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _nobody() -> Iterator[str]:
    """The URL of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


FORBIDDEN = json.dumps({"error_code": "PERMISSION_DENIED", "message": "not for you\nat all"})


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (_nobody, "Connection refused"),
        (_silence, "timed out"),
        (lambda: _server(500, b"broken", healthy=False), "answers 500, expected 200"),
        (lambda: _server(500, b"broken", healthy=True), "500"),
        (lambda: _server(403, FORBIDDEN.encode(), healthy=True), "PERMISSION_DENIED: not for you"),
        (lambda: _server(404, b"<html>nothing here", healthy=True), "404"),
        (lambda: _server(200, b"<html>log in first", healthy=True), "cannot record"),
    ],
    ids=["refuses", "silent", "ill", "falls ill", "forbids", "elsewhere", "login"],
)
def test_a_server_that_fails_is_a_tracking_failure(
    run: Callable[..., Result],
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: Callable[[], Iterator[str]],
    sentence: str,
) -> None:
    """Exit 4 within seconds and one sentence, before the scan; no database takes its place."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    good, started = Scan(sentence=""), time.monotonic()

    with server() as url:  # type: ignore[attr-defined] # pytest hides what contextmanager made
        result = run(
            *good.arguments(world), "--tracking-uri", url, "--output", tmp_path / "out",
            "--experiment", "any",
        )  # fmt: skip

    (told,) = sentences(result.stderr)
    assert result.exit_code == 4, result.stderr
    assert told.startswith(f"ban-gate: cannot record the scan at `{url}`")
    assert sentence in told
    assert "check `--tracking-uri`" in told
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "out").iterdir()) == []
    assert list((tmp_path / "work").iterdir()) == []
    assert time.monotonic() - started < 20
