"""The HTTP server that takes MLflow's webhooks and answers once their work is safely queued."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mlflow_project.listener.catch_up import CatchUp
from mlflow_project.listener.config import (
    ListenConfig,
    ListenSettings,
    load_listen_config,
    webhook_secret,
)
from mlflow_project.listener.job_queue import JobQueue
from mlflow_project.listener.metrics import Metrics
from mlflow_project.listener.webhook import Delivery, Refused, read_delivery
from mlflow_project.listener.worker import Worker
from stages.errors import ConfigError

DATABASE = "listen.db"
WEBHOOK_PATH = "/webhook"
BODY_SECONDS = 30.0  # how long a sender may take over its body; MLflow gives up after as many
STOPS_WITHIN = 10  # seconds for requests under way
CONNECTIONS = 512  # at once; more get 503, and MLflow tries again

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the listener listens."""

    host: str
    port: int


class Listener:
    """The web application: verifies a delivery, queues it, answers."""

    def __init__(
        self, queue: JobQueue, config: ListenConfig, secret: str, worker: Worker, catch_up: CatchUp
    ) -> None:
        self._queue = queue
        self._config = config
        self._secret = secret
        self._worker = worker
        self._catch_up = catch_up
        self._metrics = Metrics(queue, catch_up)

    def app(self) -> Starlette:
        """Its routes: `POST /webhook`, `GET /health` or `/healthz`, and `GET /metrics`."""
        return Starlette(
            routes=[
                Route(WEBHOOK_PATH, self.receive, methods=["POST"]),
                Route("/health", self.health, methods=["GET"]),
                Route("/healthz", self.health, methods=["GET"]),
                Route("/metrics", self.metrics, methods=["GET"]),
            ]
        )

    async def health(self, _request: Request) -> Response:
        """200 if gates are run and the queue can be read, else 503."""
        try:
            await run_in_threadpool(self._queue.jobs, "running")
        except sqlite3.Error:
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "the queue cannot be read")
        if not self._worker.alive:
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "gates are not run any more")
        return _answer(HTTPStatus.OK, "listening")

    async def metrics(self, _request: Request) -> Response:
        """The numbers of queue and gates, for Prometheus."""
        text = await run_in_threadpool(self._metrics.text)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def receive(self, request: Request) -> Response:
        """202 for a delivery that is new and queued, 200 for one with nothing to do, or a refusal.

        503 if the queue cannot be written: MLflow tries again.
        """
        try:
            delivery = await self._read(request)
            status = await run_in_threadpool(self._accept, delivery)
        except Refused as refused:
            logger.warning("refused with %d: %s", refused.status, refused)
            self._metrics.delivered("refused")
            return _answer(refused.status, str(refused))
        except sqlite3.Error:
            logger.exception("the queue cannot be written")
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "the queue cannot be written")
        self._metrics.delivered(status)
        if status == "gated before":
            self._catch_up.soon()
        return _answer(HTTPStatus.ACCEPTED if status == "queued" else HTTPStatus.OK, status)

    async def _read(self, request: Request) -> Delivery:
        settings = self._config.settings
        headers = _single_headers(request)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request, settings.max_body)
        except (TimeoutError, ClientDisconnect) as error:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive") from error
        return read_delivery(headers, body, self._secret, now=time.time(), max_age=settings.max_age)

    def _accept(self, delivery: Delivery) -> str:
        version = delivery.created
        wanted = version is not None and self._config.gate_for(version) is not None
        keep = 3 * self._config.settings.max_age  # one from the future is in time for twice that
        status = self._queue.accept(delivery, wanted=wanted, now=time.time(), keep=keep)
        logger.info("%s: %s", version or "another event", status)
        return status


def listen(config_file: Path, database: Path, address: Address) -> None:
    """Listens and gates until SIGTERM or SIGINT; then answers what is under way and stops.

    Raises:
        ConfigError: the configuration, the queue or the address cannot be used.
    """
    config = load_listen_config(config_file)
    secret = webhook_secret(config.settings)
    with (
        closing(JobQueue(database)) as queue,
        _only_listener(database),
        _socket(address) as bound,
        _signals_end_quietly(),
    ):
        worker, catch_up = Worker(queue, config), CatchUp(queue, config)
        listener = Listener(queue, config, secret, worker, catch_up)
        server = _server(listener, config.settings)
        host, port = bound.getsockname()[:2]
        with worker.running(), catch_up.running():
            logger.info("listening at %s:%d%s", host, port, WEBHOOK_PATH)
            server.run(sockets=[bound])


def _server(listener: Listener, settings: ListenSettings) -> uvicorn.Server:
    config = uvicorn.Config(
        listener.app(),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=STOPS_WITHIN,
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
    )
    try:
        config.load()
    except OSError as error:  # as of `ssl`
        raise ConfigError(
            f"`tls_certificate` and `tls_key` cannot be used ({error}); give PEM files that belong"
            " together"
        ) from error
    return uvicorn.Server(config)


@contextmanager
def _only_listener(database: Path) -> Iterator[None]:
    """Keeps a second listener off the same queue, where it would take running gates for dead."""
    lock = FileLock(f"{database}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"another listener works on `{database}`; stop it, or choose another `--database`"
        ) from error
    try:
        yield
    finally:
        lock.release()


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {limit} bytes")
    return bytes(body)


def _single_headers(request: Request) -> Mapping[str, str]:
    """The headers in lower case; one that occurs twice is left out, as neither can be trusted."""
    names = request.headers.keys()
    return {name: request.headers[name] for name in names if names.count(name) == 1}


def _answer(code: HTTPStatus, status: str) -> Response:
    return JSONResponse({"status": status}, status_code=code)


def _socket(address: Address) -> socket.socket:
    try:
        return socket.create_server((address.host, address.port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {address.host}:{address.port} ({error.strerror}); choose another"
            " `--host` or `--port`"
        ) from error


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Lets the process go on after uvicorn, which raises the signal that ended it once more."""
    handlers = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
