"""Tables count what they say they count."""

from __future__ import annotations

import pytest
from scipy.stats import beta

from benchmarks.tables import (
    attack_table,
    auroc,
    blocked_table,
    found_at,
    interval,
    method_table,
    misses,
)
from benchmarks.zoo.recipe import CLEAN
from tests.support.known_models import outcome

ROWS = [
    outcome("clean"),
    outcome("clean", blocked=True, suspected=8, score=2.0),
    outcome("wanet", blocked=True, suspected=3, score=4.0),
    outcome("wanet", blocked=True, suspected=8, score=3.0),
    outcome("wanet", score=1.0),
]


def test_table_counts_blocked_and_right_apart() -> None:
    """A model blocked for the wrong class counts as blocked and not as right."""
    lines = blocked_table(ROWS, lambda each: each.attack)

    assert lines[2].startswith("| clean | 2 | 1 |")
    assert lines[2].endswith("| – | 0 |")
    assert lines[3].startswith("| wanet | 3 | 2 |")
    assert lines[3].endswith("| 1 | 0 |")


def test_every_wrong_verdict_is_listed() -> None:
    """False alarms, misses and wrong classes each have a line, right verdicts none."""
    lines = misses(ROWS)

    assert [line.split()[0] for line in lines] == ["false", "wrong", "missed"]


def test_auroc_counts_pairs_and_leaves_out_other_attacks() -> None:
    """It is the share of pairs in which the backdoored model scores higher."""
    others = [outcome("all-to-all", score=-9.0), outcome("sig", score=-9.0)]

    area, low, high = auroc([*ROWS, *others])

    assert area == pytest.approx(5 / 6)
    assert 0 <= low <= area <= high <= 1


def test_detection_at_a_rate_is_read_off_the_clean_scores() -> None:
    """Only what scores above the clean quantile is found; a right class counts among those."""
    found, right = found_at(ROWS, 0.0)

    assert found == pytest.approx(2 / 3)
    assert right == pytest.approx(1 / 2)


def test_only_the_right_class_counts_per_attack() -> None:
    """Each method has a threshold of its own; a wrong class above it is no find."""
    ours = [outcome(CLEAN), outcome("wanet", score=1.0, suspected=3)]
    theirs = [outcome(CLEAN), outcome("wanet", score=1.0, suspected=4)]

    lines = attack_table({"ours": ours, "theirs": theirs, "unmeasured": []})

    assert lines[0] == "| attack | ours | theirs |"
    assert lines[2:] == ["| wanet | 1 of 1 | 0 of 1 |"]


def test_a_method_without_results_has_no_row() -> None:
    """Methods that were not run are left out, and the others are not."""
    lines = method_table({"ours": ROWS, "theirs": []})

    assert len(lines) == 3
    assert lines[2].startswith("| ours | 2 | 3 | 0.833")


def test_an_interval_is_that_of_clopper_and_pearson() -> None:
    """Both ends are quantiles of beta distributions, and 0 and 1 where all are alike."""
    low, high = beta.ppf(0.025, 9, 4), beta.ppf(0.975, 10, 3)

    assert interval(9, 12) == f"{100 * low:.0f}–{100 * high:.0f} %"
    assert interval(0, 12).startswith("0–")
    assert interval(12, 12).endswith("–100 %")


def test_a_model_with_two_targets_has_two_right_classes() -> None:
    """Each class that a trigger leads to is right, and of a clean model none is."""
    both = outcome("two-targets", suspected=8, targets=(3, 8))

    assert both.right
    assert not outcome("two-targets", suspected=4, targets=(3, 8)).right
    assert not outcome(CLEAN, suspected=3).right
