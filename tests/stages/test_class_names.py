"""Names of classes are read in every form that files have, and only if they can be shown."""

from __future__ import annotations

import pytest

from stages.class_names import LONGEST_NAME, LONGEST_TEXT, names_of, stated_names

CAT_DOG = ("cat", "dog")


@pytest.mark.parametrize(
    "stated",
    [
        ["cat", "dog"],
        ("cat", "dog"),
        {0: "cat", 1: "dog"},
        {"1": "dog", "0": "cat"},
        {"cat": 0, "dog": 1},
        '["cat", "dog"]',
        '{"0": "cat", "1": "dog"}',
        "{0: 'cat', 1: 'dog'}",
        "cat,dog",
        "cat\ndog\n",
    ],
)
def test_every_form_gives_the_names_in_order(stated: object) -> None:
    """JSON, Python's own notation, lines, commas, and mappings either way."""
    assert names_of(stated) == CAT_DOG


@pytest.mark.parametrize(
    "stated",
    [
        None,
        7,
        "",
        "cat",
        {"0": "cat", "2": "dog"},
        ["cat", ""],
        ["cat", ["dog"]],
        ["cat", "\x1b[31mdog"],
        ["cat", "d" * (LONGEST_NAME + 1)],
        "[" * 10_000,
        "__import__('os')",
        "a," * LONGEST_TEXT,
    ],
)
def test_what_is_no_list_of_names_is_none(stated: object) -> None:
    """Gaps, escapes, overlong and deep texts are not taken for names, and nothing is run."""
    assert names_of(stated) == ()


def test_metadata_is_searched_under_the_names_exporters_use() -> None:
    """The first key that holds names counts."""
    assert stated_names({"producer": "x", "names": "{0: 'cat', 1: 'dog'}"}) == CAT_DOG
    assert stated_names({"labels": "a,b", "classes": "cat,dog"}) == CAT_DOG
    assert stated_names({"stride": "32"}) == ()
