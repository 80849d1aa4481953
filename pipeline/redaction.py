"""Secrets taken out of text: those in addresses, and those that the environment holds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit

HIDDEN = "***"
SHORTEST = 6
"""Characters of the shortest value of a variable that is looked for; a shorter one is a word."""

_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#'\"`<>]*@")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?'\"`<>]*\?)[^\s#'\"`<>]+")
_PAIR = re.compile(
    r"\b(AccountKey|SharedAccessSignature|SharedAccessKey|X-Amz-[A-Za-z]+|sig|"
    r"(?:[a-z]+_)*(?:password|secret|token|access_key))=[^\s;&'\"`<>)]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}")
_SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|SECRET|ACCESS_KEY|CONNECTION_STRING|SAS)(_?KEY)?$")


def redacted(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text without users and passwords in addresses, queries, tokens, and secret variables.

    >>> redacted("cannot reach postgresql://me:hidden@host/db?sslkey=x", {})
    'cannot reach postgresql://***@host/db?***'
    """
    for value in _secrets(environment):
        text = text.replace(value, HIDDEN)
    if "://" in text:
        text = _USER.sub(rf"\1{HIDDEN}@", text)
        text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _PAIR.sub(rf"\1={HIDDEN}", text)
    return _BEARER.sub(rf"\1 {HIDDEN}", text)


def _secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """Values of variables whose names say that they are secret, and passwords in addresses."""
    for name, value in environment.items():
        if _SECRET_NAME.search(name) and len(value) >= SHORTEST:
            yield value
        elif "@" in value and "://" in value:
            yield from _passwords(value)


def _passwords(address: str) -> Iterator[str]:
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        return
    if len(password) >= SHORTEST:
        yield from dict.fromkeys((password, quote(password, safe="")))
