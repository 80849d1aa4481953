"""What MLflow, its storage and the disk raise, told apart: away for now, refused, or our own fault.

Clients of storage are recognised by the package of their exceptions, so that none has to be
installed. What no client raises is a fault of our own, and nobody here explains it.
"""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.printable import printable

LONGEST_REASON = 600  # characters
STORAGE = ("botocore", "boto3", "s3transfer", "azure", "google", "paramiko", "pysftp", "pyarrow")
CLIENTS = ("mlflow", "requests", "urllib3", "sqlalchemy", "psycopg", "psycopg2", "pymysql")
EXTRAS = {
    "boto3": "s3",
    "botocore": "s3",
    "azure": "azure",
    "google": "gcs",
    "psycopg": "postgres",
    "psycopg2": "postgres",
    "pymysql": "mysql",
    "MySQLdb": "mysql",
}
"""Packages of clients that MLflow imports where it needs them, and the extra that installs each."""
FULL = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG])
AGAIN = frozenset([408, 425, 429, 500, 502, 503, 504])
"""HTTP statuses after which the same request may succeed."""

_AWAY = re.compile(
    r"EndpointConnectionError|ConnectTimeout|ReadTimeout|ConnectionClosed|ConnectionError|"
    r"Connection refused|Connection reset|Connection aborted|Could not connect|timed out|"
    r"Max retries exceeded|NameResolution|Temporary failure|ServiceRequestError|TransportError|"
    r"IncompleteRead|SlowDown|ServiceUnavailable|InternalError|RequestTimeout|"
    r"server closed the connection|Lost connection|gone away|could not translate host|"
    r"\b5\d\d (?:Server Error|error|response)|the database system is|database is locked"
)
_REFUSED = re.compile(
    r"CERTIFICATE_VERIFY|SSLError|certificate verify|NoCredentials|Unable to locate credentials|"
    r"AccessDenied|Forbidden|InvalidAccessKeyId|SignatureDoesNotMatch|NoSuchKey|NoSuchBucket|"
    r"authentication failed|[Pp]ermission denied|Access denied|\b40[134]\b|"
    r"no such (?:table|column)|syntax error"
)
_OUTAGES = frozenset(
    [
        *("ConnectionError", "ConnectionClosedError", "HTTPClientError", "Timeout", "TimeoutError"),
        *("ChunkedEncodingError", "ServiceRequestError", "ServiceResponseError", "TransportError"),
        *("OperationalError", "InterfaceError", "DisconnectionError", "gaierror"),
    ]
)
"""Names of exceptions, or of their ancestors, that a client raises if nobody answers."""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """An exception that is not our fault: its reason on one line, and what to do, if known.

    An `outage` may be over when the same is tried again; `disk` is one of this machine.
    """

    reason: str
    outage: bool = False
    advice: str = ""
    disk: bool = False


def foreign(error: BaseException) -> Foreign | None:
    """What an exception of MLflow, its storage or the disk means; None if it is none of these."""
    if isinstance(error, ImportError):
        return _missing(error)
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    if roots.isdisjoint((*CLIENTS, *STORAGE)):
        return _of_the_system(error) if isinstance(error, OSError) else None
    if any(isinstance(each, OSError) and each.errno in FULL for each in _chain(error)):
        return _of_the_system(next(each for each in _chain(error) if isinstance(each, OSError)))
    outage = _is_outage(error)
    return Foreign(reason=_reason(error), outage=outage, advice=_advice(error, roots, outage))


def _missing(error: ImportError) -> Foreign | None:
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    if extra is None:
        return None
    return Foreign(
        reason=f"the package `{error.name}` is not installed",
        advice=f"install `ban-gate[{extra}]`",
    )


def _of_the_system(error: OSError) -> Foreign:
    """A full disk, a missing file, or a connection of the system itself."""
    if isinstance(error, ConnectionError | TimeoutError) or type(error).__name__ == "gaierror":
        return Foreign(reason=_reason(error), outage=True)
    if error.errno in FULL:
        place = error.filename or tempfile.gettempdir()
        return Foreign(
            reason=f"`{place}` cannot be written: {error.strerror}",
            advice="free space there, or name another folder by `TMPDIR`, `BAN_GATE_HOME` or"
            " `--output`",
            disk=True,
        )
    return Foreign(reason=_reason(error))


def _is_outage(error: BaseException) -> bool:
    """By the HTTP status if there is one, else by its kind, else by what it says."""
    text = str(error)
    status = _status(error)
    if status is not None and status not in AGAIN:
        return False
    if _REFUSED.search(text):
        return False
    if _is_of_server(error) and status is not None:
        return True
    kinds = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    return bool(kinds & _OUTAGES) or bool(_AWAY.search(text))


def _status(error: BaseException) -> int | None:
    """The HTTP status in an exception of requests, MLflow, botocore, azure or google."""
    answer = getattr(error, "response", None)
    found = getattr(answer, "status_code", None)
    if isinstance(answer, dict):
        found = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for name in ("status_code", "code"):
        found = getattr(error, name, None) if found is None else found
    ask = getattr(error, "get_http_status_code", None)
    if found is None and callable(ask):
        found = ask()
    return found if isinstance(found, int) else None


def _is_of_server(error: BaseException) -> bool:
    """Whether the status is that of an answer: MLflow's own exceptions say 500 by default."""
    return type(error).__name__ != "MlflowException" or getattr(error, "error_code", "") in (
        "TEMPORARILY_UNAVAILABLE",
        "REQUEST_LIMIT_EXCEEDED",
    )


def _advice(error: BaseException, roots: set[str], outage: bool) -> str:
    text = _reason(error)
    if "CERTIFICATE_VERIFY" in text or "certificate verify" in text:
        return (
            "name the authority that signed the certificate by `MLFLOW_TRACKING_SERVER_CERT_PATH`"
            " or `REQUESTS_CA_BUNDLE`, or by `AWS_CA_BUNDLE` for S3"
        )
    for package, extra in EXTRAS.items():
        if f"No module named '{package}" in text:
            return f"install `ban-gate[{extra}]`"
    if roots.isdisjoint(STORAGE) and "artifact" not in text:
        return ""
    if outage:
        return "check that the storage of artifacts answers from here"
    return "check address, credentials and permissions of the storage of artifacts"


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _reason(error: BaseException) -> str:
    """What it says, on one line; its name if it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > LONGEST_REASON:
        text = f"{text[:LONGEST_REASON]} …"
    return printable(text)
