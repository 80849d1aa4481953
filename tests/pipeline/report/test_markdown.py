"""Text of any origin is shown in Markdown as it is, and what need not be escaped is not."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.printable import printable
from pipeline.report.markdown import literal
from tests.support.hostile_names import ANY_TEXT

PLAIN = [
    "p = 2.3e-07, anomaly score 9.54 (critical value 5.09)",
    "p < 0.014: class 7 (sneaker) stands out; the trigger works on 98% of 160 images.",
    "models/my-net_v2.onnx differs by 1e-06, 100% agree",
]


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_sentences_are_left_as_they_are(text: str) -> None:
    """A log shows them without any reference to a character."""
    assert literal(text) == text


@given(ANY_TEXT | st.text(alphabet="[]()<>!#*_-+.:/`|~=&;www@1a \\", max_size=30))
def test_any_text_is_one_paragraph_of_itself(text: str) -> None:
    """It holds no markup, and the reader sees what it says."""
    line = printable(text).strip()

    tokens = MarkdownIt("commonmark").enable("table").parse(literal(line))

    kinds = [token.type for token in tokens]
    assert kinds == (["paragraph_open", "inline", "paragraph_close"] if line else [])
    for token in tokens:
        if token.type == "inline":
            assert {child.type for child in token.children or ()} <= {"text"}
            assert "".join(child.content for child in token.children or ()) == line
    assert html.unescape(literal(line)) == line


@pytest.mark.parametrize("link", ["http://a.b", "https://a.b", "www.a.b", "WWW.a.b", "me@a.b"])
def test_no_address_becomes_a_link(link: str) -> None:
    """What GitHub and GitLab turn into links by themselves is broken up."""
    shown = literal(f"see {link} for more")

    assert link not in shown
    assert "://" not in shown
    assert "www." not in shown.lower()
