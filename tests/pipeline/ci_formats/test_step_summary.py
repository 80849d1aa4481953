"""What GitHub shows: Markdown without forged parts, one command, and one line per output."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.ci_formats.checks import Outcome, checks
from pipeline.ci_formats.step_summary import annotation, output_lines, summary_text
from pipeline.evidence import Evidence, ScanResult
from pipeline.gate.decision import GateDecision
from tests.support.finished_scans import with_evidence
from tests.support.hostile_names import ANY_TEXT, LABELS, NAMES, outcome_named, relabelled

Make = Callable[..., Outcome]
MakeResult = Callable[..., ScanResult]

OUTPUTS = [
    *("verdict", "gate", "anomaly-score", "critical-value", "p-value", "p-is-bound"),
    *("suspected-class", "suspected-class-name", "run-url"),
]
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


def _tokens(text: str) -> list[Token]:
    """The Markdown as a CommonMark parser with tables reads it, inline parts included."""
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    return [part for block in blocks for part in (block, *(block.children or ()))]


def _check_markdown(text: str, rows: int) -> None:
    """One heading, one table of the right size, and no markup but our own."""
    tokens = _tokens(text)
    kinds = [token.type for token in tokens]
    assert kinds.count("heading_open") == 1
    assert kinds.count("table_open") == 1
    assert kinds.count("tr_open") == rows + 1
    assert kinds.count("td_open") == 3 * rows
    assert kinds.count("bullet_list_open") <= 2
    assert not {"link_open", "image", "fence", "code_block", "code_inline"} & {*kinds}
    assert not {"em_open", "strong_open", "html_block", "blockquote_open"} & {*kinds}
    tags = {token.content for token in tokens if token.type == "html_inline"}
    assert tags <= {"<code>", "</code>"}
    assert "://" not in text
    assert "www." not in text


@pytest.mark.parametrize("label", LABELS)
def test_real_scans_are_summed_up(real_outcomes: dict[str, Outcome], label: str) -> None:
    """The verdict is in the heading, and the table has a row per check."""
    text = summary_text(real_outcomes[label])

    _check_markdown(text, rows=7)
    gate = "pass" if label == "clean" else "block"
    assert text.splitlines()[0].endswith(f"gate: {gate}")
    assert ("not judged" in text.splitlines()[0]) == (label == "inconclusive")


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_shown_and_not_read(
    make_outcome: Make, make_result: MakeResult, name: str
) -> None:
    """The table keeps its rows, and what the reader sees of a reason is the reason."""
    outcome = outcome_named(make_result, make_outcome(), name)

    text = summary_text(outcome)

    _check_markdown(text, rows=8)
    shown = {"".join(_shown(token)) for token in _tokens(text) if token.type == "inline"}
    assert not outcome.reasons[0] or outcome.reasons[0] in shown


def _shown(token: Token) -> list[str]:
    return [part.content for part in token.children or () if part.type != "html_inline"]


@SHARED
@given(name=ANY_TEXT)
def test_any_name_leaves_the_table_as_it_is(
    make_outcome: Make, make_result: MakeResult, name: str
) -> None:
    """Every text that Python knows is only text."""
    outcome = outcome_named(make_result, make_outcome(), name)

    _check_markdown(summary_text(outcome), rows=len(checks(outcome)))


@SHARED
@given(name=ANY_TEXT)
def test_outputs_are_one_line_each(make_outcome: Make, make_result: MakeResult, name: str) -> None:
    """A name can forge neither a second output nor a multi-line value."""
    outcome = replace(outcome_named(make_result, make_outcome(), name), run_url=name)

    lines = output_lines(outcome).split("\n")

    assert lines.pop() == ""
    assert [line.partition("=")[0] for line in lines] == OUTPUTS
    assert lines[0] == "verdict=backdoored"
    assert all(line.isprintable() for line in lines)


def test_outputs_hold_the_numbers(make_outcome: Make) -> None:
    """Verdict, gate, anomaly score and its critical value, p-value, class, address of the run."""
    text = output_lines(make_outcome(run_url="http://host/#/experiments/0/runs/1"))

    assert text == (
        "verdict=backdoored\ngate=block\nanomaly-score=5.125\ncritical-value=1.6875\n"
        "p-value=0.015625\np-is-bound=true\nsuspected-class=3\nsuspected-class-name=\n"
        "run-url=http://host/#/experiments/0/runs/1\n"
    )


def test_the_success_is_that_of_the_suspected_class(
    make_outcome: Make, make_result: MakeResult, evidence: Evidence
) -> None:
    """The best search that leads there speaks; one that leads elsewhere never does."""
    elsewhere = replace(evidence.searches["blend"], targets=(1, 3))
    searches = {**evidence.searches, "blend": elsewhere}

    text = html.unescape(
        summary_text(make_outcome(result=with_evidence(make_result(), searches=searches)))
    )

    assert "turns 75% of 16 clean images of other classes into class 3" in text
    assert "95%" not in text


@SHARED
@given(name=ANY_TEXT)
def test_the_annotation_is_one_command(
    make_outcome: Make, make_result: MakeResult, name: str
) -> None:
    """One line, two properties, and data in which every `%` is escaped."""
    text = annotation(outcome_named(make_result, make_outcome(), name))

    command = re.fullmatch(r"::error file=([^,:]+),title=([^,:]+)::(.*)", text)
    assert command
    assert text.isprintable()
    assert not re.search(r"%(?!25|0D|0A|3A|2C)", text.replace("%25", ""))


def test_the_annotation_names_the_file_itself(make_outcome: Make, make_result: MakeResult) -> None:
    """GitHub decodes its own escapes alone, so a path is not that of a URI."""
    text = annotation(outcome_named(make_result, make_outcome(), "my models/net ü 100%.onnx"))

    assert text.startswith("::error file=my models/net ü 100%25.onnx,title=")


@pytest.mark.parametrize(
    ("label", "action", "level"),
    [
        ("clean", "pass", "notice"),
        ("clean", "block", "error"),
        ("backdoored", "block", "error"),
        ("backdoored", "pass", "warning"),
        ("inconclusive", "block", "error"),
    ],
)
def test_what_blocks_is_an_error(make_outcome: Make, label: str, action: str, level: str) -> None:
    """A waived model warns, a blocked one is an error, and only clean and passed is a notice."""
    outcome = make_outcome(decision=GateDecision(action=action, reasons=("because",)))  # type: ignore[arg-type] # an action
    verdict = relabelled(outcome.result.verdict, label)  # type: ignore[arg-type] # a label
    outcome = replace(outcome, result=replace(outcome.result, verdict=verdict))

    assert annotation(outcome).startswith(
        f"::{level} file=model.onnx,title=ban-gate {label}::because"
    )
