"""A plan has a fixed order, survives its file, and falls into shards."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sweep.plan import PLAN_FILE, Plan, in_order, in_shard, read_plan, write_plan
from pipeline.sweep.sample_table import SampleRule, place_for, read_rules
from stages.errors import ConfigError
from tests.support.sweeps import HEAD, line

LINES = (
    line("b", 1, standing="attested"),
    line("a", 2, standing="stale", why="too old"),
    line("c", 1, samples=None, samples_path=None, samples_digest=None),
    line("b", 10),
    line("b", 9),
    line("a", 1, standing="stale"),
)


@given(st.permutations(LINES))
def test_the_order_is_fixed(lines: list[object]) -> None:
    """Never gated, stale, attested, and at last without samples; by name and number."""
    found = [(each.name, each.version) for each in in_order(lines)]  # type: ignore[arg-type]

    assert found == [("b", 9), ("b", 10), ("a", 1), ("a", 2), ("b", 1), ("c", 1)]


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    """What is read is what was written, one JSON line each."""
    plan = Plan(head=HEAD, lines=LINES)

    path = write_plan(plan, tmp_path)

    assert len(path.read_text().splitlines()) == 1 + len(LINES)
    assert read_plan(tmp_path) == plan


@pytest.mark.parametrize("text", [None, "", "[]\n", '{"schema": 2}\n', '{"schema": 1}\n', "{\n"])
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str | None) -> None:
    """With a sentence that says how to make one."""
    if text is not None:
        (tmp_path / PLAN_FILE).write_text(text)

    with pytest.raises(ConfigError, match=r"is no plan of a sweep .*`ban-gate sweep plan`"):
        read_plan(tmp_path)


@given(st.integers(1, 9), st.text(min_size=1))
def test_every_version_is_in_one_shard(count: int, name: str) -> None:
    """Of however many there are."""
    found = [number for number in range(count) if in_shard(line(name), number, count)]

    assert len(found) == 1


def test_shards_are_of_like_size() -> None:
    """A thousand versions fall evenly into eight, within what chance allows."""
    lines = [line("net", number) for number in range(1, 1001)]

    sizes = [sum(in_shard(each, number, 8) for each in lines) for number in range(8)]

    assert min(sizes) > 80
    assert max(sizes) < 175


def test_the_first_pattern_that_fits_counts(tmp_path: Path) -> None:
    """In the order of the file; a name that fits none has no samples."""
    table = tmp_path / "samples.toml"
    table.write_text(
        "[[samples]]\nmodels='fraud-*'\npath='fraud.npz'\n"
        "[[samples]]\nmodels='fraud-card'\npath='never.npz'\n"
        "[[samples]]\nmodels='*/net.onnx'\npath='net.npz'\npreprocess='imagenet'\n"
    )

    rules = read_rules(table)

    assert rules[2] == SampleRule(models="*/net.onnx", path="net.npz", preprocess="imagenet")
    found = [place_for(name, rules) for name in ("fraud-card", "a/b/net.onnx", "Fraud-1")]
    assert found == [0, 2, None]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "`samples` is missing"),
        ("samples = []", "holds no rule"),
        ("[[samples]]\nmodels='a'", "`samples.path` is missing"),
        ("[[samples]]\nmodels='a'\npath='b'\npats='c'", "unknown setting `pats`"),
        ("[[samples", "cannot be read"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """With what is wrong in it."""
    table = tmp_path / "samples.toml"
    table.write_text(text)

    with pytest.raises(ConfigError, match=told):
        read_rules(table)
