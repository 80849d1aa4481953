"""A scan that ends once a block is certain blocks what the whole one blocks, on measured models."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.profiles import known
from benchmarks.until_certain import Images, ended, row
from pipeline.config import ScanConfig
from stages.searches import SEARCHES
from tests.support.places import ROOT

ONE = {each.name: 1 for each in SEARCHES}
IMAGES = Images(first=ONE, whole=ONE, every=len(ONE))


@pytest.mark.parametrize("order", [1, -1], ids=["in their order", "the other way round"])
@pytest.mark.parametrize("zoo", sorted((ROOT / "benchmarks" / "measured").glob("*.jsonl")))
def test_no_verdict_is_another(zoo: Path, order: int) -> None:
    """Whatever is searched first; and a scan that is to pass shows all images."""
    some = dict(list(ONE.items())[::order])
    images = Images(first=some, whole=some, every=len(some))

    found = [ended(model, images, ScanConfig()) for model in known(zoo)]

    assert all(each.early.label == each.whole.label for each in found)
    assert all(each.share == 1 for each in found if each.whole.label != "backdoored")
    assert all(0 < each.share <= 1 for each in found)


def test_a_row_counts_what_became_of_the_models() -> None:
    """Most backdoored models of the tuning part end early, and no class is lost."""
    zoo = ROOT / "benchmarks" / "measured" / "tuning.jsonl"
    group = [ended(each, IMAGES, ScanConfig()) for each in known(zoo) if not each.clean]

    cells = row("backdoored", group).strip("| ").split(" | ")

    name, count, other, blocked, right, sooner, early, *_ = cells
    assert (name, count, other) == ("backdoored", "26", "0")
    assert int(blocked) >= int(right) > 15
    assert int(sooner) >= int(right)
    assert int(early) > 15
