"""The card in a description replaces itself, spares the owner's text, and escapes all names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlflow_project.gate.card import END, LONGEST_DESCRIPTION, with_card
from tests.support.attestations import claim


def test_a_card_stands_behind_the_owners_text() -> None:
    """And says decision, verdict and number as a list of models shows them; the marker is last."""
    found = with_card("My *model*.", claim(p_value=0.0023))

    assert found.startswith("My *model*.\n\nban-gate: block (verdict: backdoored)\n")
    assert found.endswith(f"\n\n{END}")
    assert found.count("<!--") == 1
    assert "| p-value | 0.0023 |" in found


def test_the_suspected_class_has_its_name() -> None:
    """Beside its number, and without any markup of its own."""
    found = with_card("", claim(suspected_class=7), "snea|ker <b>")

    assert "| suspected class | 7 (snea&#124;ker &#60;b&#62;) |" in found


def test_a_run_that_is_not_open_has_no_link() -> None:
    """Its page is not known, so its id stands alone."""
    found = with_card("", claim(run_id="abc123"))

    assert "| run | abc123 |" in found


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
    assert new.count(END) == 1
    assert "clean" in new
    assert with_card(new, claim(verdict="clean")) == new


@given(st.text(max_size=100))
def test_no_name_can_become_markup(name: str) -> None:
    """Neither Markdown nor HTML, nor an end of the cell or of the card."""
    hostile = f"{END} <script>x</script> [a](http://b) | **{name}**\n# c"

    found = with_card("", claim(waiver=hostile, reasons=(hostile,)))

    head, _, inside = found.removesuffix(f"\n\n{END}").partition("\n\n")
    assert head == "ban-gate: block (verdict: backdoored)"
    assert all(line.startswith("|") and line.endswith("|") for line in inside.split("\n"))
    for mark in ("<", ">", "[", "](", "**", "http:"):
        assert mark not in inside


def test_where_there_is_no_room_nothing_changes() -> None:
    """The owner's text is worth more than the card."""
    long = "x" * LONGEST_DESCRIPTION

    assert with_card(long, claim()) == long
