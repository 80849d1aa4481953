"""The fuzzer's own laws, and a slice of it: changed files end in an answer or a refusal."""

from __future__ import annotations

from functools import cache
from itertools import takewhile
from pathlib import Path
from random import Random

import pytest
from onnx import ModelProto

from benchmarks.fuzz.corpus import seeds
from benchmarks.fuzz.insertions import BOMBS, parse_bomb
from benchmarks.fuzz.judging import (
    ACCEPTED,
    CRASHED,
    ESCAPED,
    GRACE,
    SLOW,
    UNFORESEEN,
    Outcome,
    Work,
    judge_step,
)
from benchmarks.fuzz.mutants import CHANGES, Change, mutant
from benchmarks.fuzz.run import fuzz
from benchmarks.fuzz.table import beginning, table
from pipeline.intake.sandbox import IsolationConfig
from pipeline.intake.untrusted import Description
from tests.support.works import escape, fail, leave, sleep

LIMITS = IsolationConfig(seconds=4, memory_mb=1024)
SEED, FILES = 6, 60
SECONDS = 300.0  # far more than these take
SOURCES = ("small_cnn.legacy", "small_cnn.preserve", "small_cnn.static", "demo.clean")


@cache
def corpus() -> dict[str, bytes]:
    """Some of the real exports, and all crafted files."""
    return seeds(SOURCES)


def made(number: int) -> tuple[str, tuple[str, ...], bytes]:
    """The n-th file of one seed."""
    return mutant(corpus(), SEED, number)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """What came of the first files of one seed."""
    folder = tmp_path_factory.mktemp("fuzz")
    judge_step(folder, escape, IsolationConfig())  # else the first file waits for imports
    found = fuzz(corpus(), SEED, SECONDS, folder, LIMITS)
    return list(takewhile(lambda one: one.number < FILES, found))


def test_nothing_but_answers_and_refusals_comes_out_in_time(outcomes: list[Outcome]) -> None:
    """No exception escapes to the caller, and no step outlasts its limit."""
    assert [one for one in outcomes if one.is_unforeseen] == []
    assert max(one.seconds for one in outcomes) < LIMITS.seconds + GRACE


def test_the_slice_is_no_empty_one(outcomes: list[Outcome]) -> None:
    """Many files are judged, some are accepted by both steps, and refusals are of many kinds."""
    accepted = {one.step for one in outcomes if one.kind == ACCEPTED}
    refusals = {(one.kind, beginning(one.text)) for one in outcomes if one.text}

    assert len({one.number for one in outcomes}) == FILES
    assert accepted == {"inspect", "prove"}
    assert len(refusals) >= 8
    assert {kind for kind, _ in refusals} >= {"refused: ModelRefused", "refused: ConversionError"}


def test_every_refusal_is_one_printable_line(outcomes: list[Outcome]) -> None:
    """Whatever a file calls its parts, the sentence shows no line break and no terminal code."""
    texts = [one.text for one in outcomes if one.kind != ACCEPTED]

    assert all(text and text.isprintable() and len(text) < 1000 for text in texts)


def test_the_same_seed_gives_the_same_files() -> None:
    """Another number or another seed gives another file."""
    files = [made(number)[2] for number in range(40)]

    assert [made(number)[2] for number in range(40)] == files
    assert len(set(files)) > 35
    assert mutant(corpus(), SEED + 1, 0)[2] != files[0]


def test_every_change_can_change_a_model() -> None:
    """None is dead: within a few tries each gives other bytes than it got."""
    source = corpus()["small_cnn.static"]

    for change in set(CHANGES):
        tries = (Random(f"{change.__name__}{n}") for n in range(20))  # noqa: S311 (no secret)
        assert any(_changed(change, random) != source for random in tries), change.__name__


def _changed(change: Change, random: Random) -> bytes:
    model = ModelProto.FromString(corpus()["small_cnn.static"])
    change(model, random)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("nodes", BOMBS)
def test_every_bomb_is_a_graph(nodes: str) -> None:
    """Each reads `v`, gives `w`, and grows with the size it is given."""
    small, large = parse_bomb(nodes, 1), parse_bomb(nodes, 2**40)

    reads = {name for node in small.node for name in node.input}
    assert "v" in reads
    assert any("w" in node.output for node in small.node)
    assert small.SerializeToString() != large.SerializeToString()


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (escape, "refused: ModelRefused"),
        (sleep, SLOW),
        (leave, CRASHED),
        (fail, UNFORESEEN),
    ],
)
def test_each_end_is_counted_as_what_it_is(work: Work, kind: str, tmp_path: Path) -> None:
    """Refusals, hangs, crashes and what was not foreseen are told apart."""
    limits = IsolationConfig(seconds=1, memory_mb=512)

    assert judge_step(tmp_path / "model.onnx", work, limits)[0] == kind


def test_what_escapes_is_unforeseen(tmp_path: Path) -> None:
    """Work whose result nobody can read back raises in the caller, and is told."""

    def local(path: Path) -> Description:
        raise AssertionError(path)

    kind, text = judge_step(tmp_path, local, LIMITS)

    assert kind == ESCAPED
    assert "local" in text


def test_the_table_tells_kinds_words_and_odd_files() -> None:
    """Names and numbers of single files do not make two refusals of one."""
    shared = {"seed": "small", "changes": ("flip",), "step": "inspect", "seconds": 0.1}
    refused = ("refused: ModelRefused", "tensor `{}` has {} bytes; export it again")
    found = [
        Outcome(number=n, kind=refused[0], text=refused[1].format(n, 7 * n), **shared)
        for n in range(3)
    ]
    odd = Outcome(number=9, kind=ESCAPED, text="KeyError: 'x'", **shared)

    lines = table([*found, odd]).splitlines()

    assert "inspect: 4 files" in lines
    assert "     3  refused: ModelRefused: tensor … has # bytes; export it" in lines
    assert "     9  small flip (inspect): KeyError: 'x'" in lines
    assert odd.is_unforeseen
    assert not found[0].is_unforeseen
