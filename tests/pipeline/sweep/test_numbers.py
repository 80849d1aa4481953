"""Many tests at once: q-values by their formula, bounds that stay bounds, false blocks expected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sweep.numbers import expected_false_blocks, q_values
from pipeline.sweep.results import Result
from tests.support.sweeps import line, result

P_VALUES = st.lists(st.tuples(st.floats(0.001, 1.0), st.booleans()), min_size=1, max_size=20)


def results(*values: tuple[float, bool]) -> list[Result]:
    """Results with these p-values, each of a model of its own."""
    return [
        result(line(f"net-{n}"), p_value=p, p_is_bound=bound, key=f"k{n}")
        for n, (p, bound) in enumerate(values)
    ]


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    """The least of m p_j / j over all j from i on, for m p-values in their order."""
    p = (0.01, 0.02, 0.03, 0.5)

    found = q_values(results(*((each, False) for each in p)))

    assert [found[f"k{n}"].value for n in range(4)] == pytest.approx([0.04, 0.04, 0.04, 0.5])
    assert not any(each.is_bound for each in found.values())


@given(P_VALUES)
def test_a_q_value_is_never_stated_too_small(values: list[tuple[float, bool]]) -> None:
    """Whatever the true values behind the bounds are, no q is larger than stated, and one that is
    no bound is exact.
    """
    stated = q_values(results(*values))
    true = q_values(results(*((p / 7 if bound else p, False) for p, bound in values)))

    for key, each in stated.items():
        assert true[key].value <= each.value + 1e-12
        if not each.is_bound:
            assert true[key].value == pytest.approx(each.value)


def test_the_same_bytes_are_one_test() -> None:
    """Ten names of one model weigh as much as one."""
    single = results((0.01, False), (0.5, False))
    ten = [result(line(f"copy-{n}"), p_value=0.01, key="k0") for n in range(9)]

    assert q_values([*single, *ten]) == q_values(single)
    assert expected_false_blocks([*single, *ten], 0.05) == pytest.approx(0.1)


def test_a_thousand_clean_models_are_blocked_fifty_times() -> None:
    """At a rate of 5 %; what has no p-value was not tested."""
    many = results(*((0.5, False) for _ in range(1000)))
    untested = result(line("broken"), p_value=None)

    assert expected_false_blocks([*many, untested], 0.05) == pytest.approx(50)
    assert q_values([untested]) == {}
