"""What a URI of MLflow looks like, and how it differs from a path."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:/")


def is_uri(text: str) -> bool:
    """Whether a text names something in MLflow or another store, and no local path.

    A URI begins with a scheme of two letters or more, so that `C:/model.onnx` is a path.

    >>> is_uri("models:/net/3"), is_uri("C:/model.onnx"), is_uri("model.onnx")
    (True, False, False)
    """
    return bool(_SCHEME.match(text))
