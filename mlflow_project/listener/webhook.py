"""One delivery of an MLflow webhook: who sent it, when, and which model version it is about.

MLflow signs with HMAC-SHA256 over `<delivery id>.<unix time>.<body>` and has no function that
checks it, so this is the check. The words are those of `mlflow.webhooks.constants`, which are not
imported because MLflow takes seconds to load and a listener needs nothing else of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

DELIVERY_ID = "X-MLflow-Delivery-Id"
TIMESTAMP = "X-MLflow-Timestamp"
SIGNATURE = "X-MLflow-Signature"
SIGNATURE_VERSION = "v1"
CREATED = ("model_version", "created")
LONGEST_ID = 200
LONGEST_NAME = 256  # characters, as in MLflow's database
LARGEST_VERSION = 2**31 - 1
WORKSPACE = re.compile(r"[A-Za-z0-9_-]{1,63}")
VERSION = re.compile(r"[1-9][0-9]{0,9}")


class Refused(Exception):
    """A delivery that is not taken: the HTTP status it gets, and a sentence that says why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class ModelVersionName:
    """Which version of which registered model, in MLflow's own words.

    `workspace` is empty on a server without workspaces.
    """

    name: str
    version: int
    workspace: str = ""

    @property
    def uri(self) -> str:
        """The address MLflow knows it by, in its workspace."""
        return f"models:/{self.name}/{self.version}"

    def __str__(self) -> str:
        return f"{self.workspace}:{self.uri}" if self.workspace else self.uri


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery that is genuine and in time; `created` is None if it is about something else."""

    id: str
    created: ModelVersionName | None


def read_delivery(
    headers: Mapping[str, str], body: bytes, secret: str, *, now: float, max_age: float
) -> Delivery:
    """The delivery in a request, whose content is read only once its signature is right.

    `now` is unix time in seconds; a delivery older than `max_age` seconds, or as far in the future,
    is refused, so that a recorded one is of no use later. Names of `headers` are in lower case.

    Raises:
        Refused: it is unsigned or forged (401), out of date or malformed (400), or no JSON (415).
    """
    identifier = _header(headers, DELIVERY_ID)
    timestamp = _header(headers, TIMESTAMP)
    signature = _header(headers, SIGNATURE)
    expected = sign(secret, identifier, timestamp, body)
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        raise Refused(HTTPStatus.UNAUTHORIZED, "the signature is wrong; check the webhook's secret")
    if len(identifier) > LONGEST_ID:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the delivery id is longer than {LONGEST_ID}")
    _require_in_time(timestamp, now, max_age)
    _require_json(headers)
    return Delivery(id=identifier, created=_created(body))


def sign(secret: str, identifier: str, timestamp: str, body: bytes) -> str:
    """The signature of a delivery: `v1,` and the base64 of its HMAC-SHA256.

    Source: `mlflow.webhooks.delivery._generate_hmac_signature`.
    """
    content = f"{identifier}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"{SIGNATURE_VERSION},{base64.b64encode(digest).decode()}"


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name.lower())
    if not value:
        raise Refused(HTTPStatus.UNAUTHORIZED, f"the header `{name}` is missing; sign the webhook")
    return value


def _require_in_time(timestamp: str, now: float, max_age: float) -> None:
    if not (timestamp.isascii() and timestamp.isdecimal()):
        raise Refused(HTTPStatus.BAD_REQUEST, "the timestamp is no unix time in seconds")
    if abs(now - int(timestamp)) > max_age:
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            f"the delivery is more than {max_age:g} s away from now; check both clocks",
        )


def _require_json(headers: Mapping[str, str]) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")


def _created(body: bytes) -> ModelVersionName | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
    if not isinstance(document, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    if (document.get("entity"), document.get("action")) != CREATED:
        return None
    data = document.get("data")
    if not isinstance(data, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, "the body has no `data`")
    return ModelVersionName(
        name=_name(data.get("name")),
        version=_version(data.get("version")),
        workspace=_workspace(document.get("workspace")),
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME:
        raise Refused(HTTPStatus.BAD_REQUEST, "`data.name` is no name of a registered model")
    if not value.isprintable() or "/" in value or ":" in value:
        raise Refused(HTTPStatus.BAD_REQUEST, "`data.name` has characters no model name may have")
    return value


def _workspace(value: object) -> str:
    """The signed name of the workspace; a server without them says none."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not WORKSPACE.fullmatch(value):
        raise Refused(HTTPStatus.BAD_REQUEST, "`workspace` is no name of a workspace")
    return value


def _version(value: object) -> int:
    text = str(value) if type(value) in (str, int) else ""
    if not VERSION.fullmatch(text) or int(text) > LARGEST_VERSION:
        raise Refused(HTTPStatus.BAD_REQUEST, "`data.version` is no version number")
    return int(text)
