"""What a URI of MLflow looks like, and how it differs from a path."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:/")
FETCHED = frozenset(
    [
        *("", "file", "models", "runs", "mlflow-artifacts", "dbfs", "hdfs", "viewfs", "sftp"),
        *("s3", "r2", "b2", "gs", "wasbs", "abfss"),
    ]
)
"""Schemes that files are fetched from: MLflow's own stores, and those that ask who one is."""


def is_uri(text: str) -> bool:
    """Whether a text names something in MLflow or another store, and no local path.

    A URI begins with a scheme of two letters or more, so that `C:/model.onnx` is a path.

    >>> is_uri("models:/net/3"), is_uri("C:/model.onnx"), is_uri("model.onnx")
    (True, False, False)
    """
    return bool(_SCHEME.match(text))


def without_secrets(text: str) -> str:
    """A path as it is; an address without name and password, and without what follows a `?`.

    >>> without_secrets("https://me:secret@host/mlflow?token=1"), without_secrets("model.onnx")
    ('https://host/mlflow', 'model.onnx')
    """
    if not is_uri(text):
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return "…"
    if not parts.netloc:
        return text.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def is_fetched(uri: str) -> bool:
    """Whether files are fetched from a place, by its scheme.

    >>> is_fetched("s3://bucket/model"), is_fetched("/models/1"), is_fetched("http://host/model")
    (True, True, False)
    """
    try:
        return urlsplit(uri).scheme in FETCHED
    except ValueError:
        return False
