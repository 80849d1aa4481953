"""A delivery is believed if MLflow's signature is on it and it is of now; else it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.webhooks import constants
from mlflow.webhooks.delivery import _generate_hmac_signature

from mlflow_project.listener import webhook
from mlflow_project.listener.webhook import ModelVersionName, Refused, read_delivery, sign

SECRET = "a secret that MLflow knows"  # noqa: S105 (of the tests)
NOW = 1_800_000_000.0
Headers = dict[str, str]
CREATED = {"entity": "model_version", "action": "created", "data": {"name": "net", "version": "3"}}


def _headers(body: bytes, at: float = NOW, secret: str = SECRET, **changes: str) -> Headers:
    identifier, timestamp = "d-1", str(int(at))
    signed = {
        "content-type": "application/json",
        "x-mlflow-delivery-id": identifier,
        "x-mlflow-timestamp": timestamp,
        "x-mlflow-signature": sign(secret, identifier, timestamp, body),
    }
    return signed | {name.replace("_", "-"): value for name, value in changes.items()}


def _refusal(headers: Headers, body: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read_delivery(headers, body, SECRET, now=NOW, max_age=300)
    return caught.value


def _said_by(data: object) -> bytes:
    return json.dumps({**CREATED, "data": data}).encode()


@given(st.text(), st.text(alphabet="0123456789-ab"), st.integers(0, 2**40), st.text())
def test_the_signature_is_mlflows(secret: str, identifier: str, at: int, body: str) -> None:
    """For every secret, id, time and body it is what MLflow's own sender puts in the header."""
    expected = _generate_hmac_signature(secret, identifier, str(at), body)

    assert expected == sign(secret, identifier, str(at), body.encode())


def test_the_headers_are_mlflows() -> None:
    """Their names, and the version of the signature, are those MLflow sends."""
    assert webhook.DELIVERY_ID == constants.WEBHOOK_DELIVERY_ID_HEADER
    assert webhook.TIMESTAMP == constants.WEBHOOK_TIMESTAMP_HEADER
    assert webhook.SIGNATURE == constants.WEBHOOK_SIGNATURE_HEADER
    assert webhook.SIGNATURE_VERSION == constants.WEBHOOK_SIGNATURE_VERSION


def test_a_genuine_delivery_names_the_version() -> None:
    """Its id, and the name and number of the version that was created."""
    body = json.dumps(CREATED).encode()

    delivery = read_delivery(_headers(body), body, SECRET, now=NOW, max_age=300)

    assert delivery.id == "d-1"
    assert delivery.created == ModelVersionName(name="net", version=3)
    assert delivery.created.uri == "models:/net/3"


@pytest.mark.parametrize("event", [("model_version_tag", "set"), ("prompt", "created"), ({}, [])])
def test_other_events_are_taken_and_tell_nothing(event: tuple[object, object]) -> None:
    """A genuine delivery about something else is no error: MLflow's user chose the events."""
    body = json.dumps({"entity": event[0], "action": event[1], "data": {}}).encode()

    assert read_delivery(_headers(body), body, SECRET, now=NOW, max_age=300).created is None


@pytest.mark.parametrize(
    "header", ["x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"]
)
def test_an_unsigned_delivery_is_401(header: str) -> None:
    """Each header is needed, and is named when it is missing or empty."""
    body = json.dumps(CREATED).encode()
    headers = _headers(body)

    for broken in ({**headers, header: ""}, {k: v for k, v in headers.items() if k != header}):
        refused = _refusal(broken, body)
        assert refused.status == 401
        assert header in str(refused).lower()


@pytest.mark.parametrize(
    "change",
    [
        lambda headers, body: (headers, body + b" "),
        lambda headers, body: ({**headers, "x-mlflow-delivery-id": "d-2"}, body),
        lambda headers, body: ({**headers, "x-mlflow-timestamp": str(int(NOW) + 1)}, body),
        lambda headers, body: ({**headers, "x-mlflow-signature": "v1,"}, body),
        lambda headers, body: ({**headers, "x-mlflow-signature": "v1,\xff"}, body),
        lambda headers, body: ({**headers, "x-mlflow-signature": _other_version(headers)}, body),
        lambda _, body: (_headers(body, secret=SECRET[::-1]), body),
    ],
    ids=["body", "id", "time", "empty", "not ascii", "version", "secret"],
)
def test_a_forged_delivery_is_401(
    change: Callable[[Headers, bytes], tuple[Headers, bytes]],
) -> None:
    """Whatever is signed cannot be changed, and nobody else can sign."""
    body = json.dumps(CREATED).encode()

    assert _refusal(*change(_headers(body), body)).status == 401


def _other_version(headers: Headers) -> str:
    return headers["x-mlflow-signature"].replace("v1,", "v2,")


@pytest.mark.parametrize("shift", [-301, 301, -(10**9), 10**9])
def test_a_delivery_out_of_time_is_400(shift: int) -> None:
    """Neither the past beyond the limit nor the future is taken."""
    body = json.dumps(CREATED).encode()

    refused = _refusal(_headers(body, at=NOW + shift), body)

    assert refused.status == 400
    assert "300 s" in str(refused)


@pytest.mark.parametrize("shift", [-300, 0, 300])
def test_a_delivery_within_the_limit_is_taken(shift: int) -> None:
    """The limit itself is in time."""
    body = json.dumps(CREATED).encode()

    read_delivery(_headers(body, at=NOW + shift), body, SECRET, now=NOW, max_age=300)


@pytest.mark.parametrize("timestamp", ["now", "1e9", "-5", "٣", "1.5"])
def test_a_time_that_is_none_is_400(timestamp: str) -> None:
    """Only decimal digits are a unix time."""
    body = json.dumps(CREATED).encode()
    headers = _headers(body, x_mlflow_timestamp=timestamp)
    headers["x-mlflow-signature"] = sign(SECRET, "d-1", timestamp, body)

    assert _refusal(headers, body).status == 400


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(kind: str) -> None:
    """The body is JSON and says so."""
    body = json.dumps(CREATED).encode()

    assert _refusal(_headers(body, content_type=kind), body).status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"[" * 100_000,
        _said_by(None),
        _said_by([]),
        _said_by({}),
        _said_by({"name": "net"}),
        *(_said_by({"name": "net", "version": each}) for each in ("0", "-1", "1.0", "x", "", "٣")),
        *(_said_by({"name": "net", "version": each}) for each in (None, True, 1.0, [1], 2**31)),
        _said_by({"name": "net", "version": "9" * 5000}),
        *(_said_by({"name": each, "version": "1"}) for each in (None, 3, "", " ", "a/b", "a:b")),
        *(
            _said_by({"name": each, "version": "1"})
            for each in ("a\nb", "\x00", "\x1b[2J", "\ud800")
        ),
        _said_by({"name": "n" * 257, "version": "1"}),
    ],
)
def test_a_malformed_body_is_400(body: bytes) -> None:
    """A genuine sender that sends nonsense is told so, and nothing is queued."""
    assert _refusal(_headers(body), body).status == 400


@given(st.binary(), st.dictionaries(st.text(), st.text()))
def test_nothing_unsigned_is_ever_taken(body: bytes, headers: Headers) -> None:
    """Any bytes under any headers are refused, and never with another error."""
    assert _refusal(headers, body).status == 401
