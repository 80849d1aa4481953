"""The card in a description replaces itself, spares the owner's text, and escapes all names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlflow_project.gate.card import BEGIN, END, LONGEST_DESCRIPTION, with_card
from tests.support.attestations import claim


def test_a_card_stands_behind_the_owners_text() -> None:
    """And says verdict, decision, number and run."""
    found = with_card("My *model*.", claim(p_value=0.0023))

    assert found.startswith(f"My *model*.\n\n{BEGIN}\n")
    assert found.endswith(END)
    for fact in ("| verdict | backdoored |", "| gate | block |", "| p-value | 0&#46;0023 |"):
        assert fact in found


def test_class_0_is_a_class() -> None:
    """Zero is told like any other number."""
    assert "| suspected class | 0 |" in with_card("", claim(suspected_class=0))


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_new_card_replaces_the_old_one(before: str, after: str) -> None:
    """Whatever stands around it, also after many gates."""
    old = with_card(before, claim()) + after

    new = with_card(old, claim(verdict="clean"))

    assert new.startswith(before)
    assert new.endswith(after)
    assert new.count(BEGIN) == 1
    assert "clean" in new
    assert with_card(new, claim(verdict="clean")) == new


@given(st.text(max_size=100))
def test_no_name_can_become_markup(name: str) -> None:
    """Neither Markdown nor HTML, nor an end of the cell or of the card."""
    hostile = f"{END} <script>x</script> [a](http://b) | **{name}**\n# c"

    found = with_card("", claim(waiver=hostile, reasons=(hostile,)))

    inside = found.removeprefix(BEGIN).removesuffix(END)
    assert inside.count("\n") == 3 + found.count("\n| ") - 1
    for mark in ("<", ">", "[", "](", "**", "http:"):
        assert mark not in inside


def test_where_there_is_no_room_nothing_changes() -> None:
    """The owner's text is worth more than the card."""
    long = "x" * LONGEST_DESCRIPTION

    assert with_card(long, claim()) == long
