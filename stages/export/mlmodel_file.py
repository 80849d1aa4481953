"""Reads `MLmodel`, the file by which MLflow knows a folder, so that it has one meaning only.

Readers of YAML differ over a key that stands twice, over aliases and over merged keys; MLflow
writes none of them.
"""

from __future__ import annotations

from pathlib import Path

import yaml  # type: ignore[import-untyped] # has no types

from stages.errors import ModelRefused

FILE = "MLmodel"
LARGEST = 100_000
"""Bytes; MLflow writes some thousand, and reading YAML takes a second for each 50,000."""

_MALFORMED = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""What the safe YAML reader raises on text that is not YAML."""


class _TwoReadingsError(ValueError):
    """Readers may take the text for different things; the text of the error is which."""


def read_mlmodel(folder: Path) -> dict[str, object]:
    """The statements of the `MLmodel` file in a folder.

    Raises:
        ModelRefused: the file is missing, too large, or no YAML table with one meaning.
    """
    try:
        document = _document(_content(folder))
    except _TwoReadingsError as error:
        raise ModelRefused(
            f"`{FILE}` in `{folder.name}` can be read in two ways: {error}; save the model again"
            " with MLflow"
        ) from error
    except _MALFORMED as error:
        raise ModelRefused(
            f"`{FILE}` in `{folder.name}` is not well-formed YAML; download the model again"
        ) from error
    if not isinstance(document, dict):
        raise ModelRefused(f"`{FILE}` in `{folder.name}` holds no table; download the model again")
    return document


def _content(folder: Path) -> bytes:
    try:
        with (folder / FILE).open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ModelRefused(
            f"cannot read `{FILE}` in `{folder.name}`: {error.strerror}; give a folder that MLflow"
            " wrote"
        ) from error
    if len(content) > LARGEST:
        raise ModelRefused(
            f"`{FILE}` in `{folder.name}` has more than {LARGEST} bytes, which no classifier needs;"
            " save the model again with a plain signature"
        )
    return content


def _document(content: bytes) -> object:
    loader = yaml.SafeLoader(content)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _require_one_reading(node, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _require_one_reading(node: yaml.Node, seen: set[int]) -> None:
    """Raises at an alias, which gives a node a second place, and at an unclear key."""
    if id(node) in seen:
        raise _TwoReadingsError("a value stands in two places, by an alias")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _require_one_reading(each, seen)
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise _TwoReadingsError("a key is no plain text")
            if key.value in keys:
                raise _TwoReadingsError(f"`{key.value[:60]}` stands twice in one table")
            keys.add(key.value)
            _require_one_reading(value, seen)
