"""A sweep as its report shows it: the versions ranked, and what they say together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.sweep import numbers
from pipeline.sweep.numbers import QValue
from pipeline.sweep.plan import Plan, read_plan
from pipeline.sweep.results import Result, exit_code, results_of


@dataclass(frozen=True, kw_only=True)
class Row:
    """One version: its result and, if it has a p-value, its q-value."""

    result: Result
    q: QValue | None = None

    @property
    def label(self) -> str:
        """The verdict, or why there is none."""
        result = self.result
        if result.state in ("judged", "attested") and result.verdict:
            return result.verdict
        return result.state


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All that a report says: rows by anomaly score, the largest first, and then the rest.

    `waiting` are the versions without a result; `scans` how many different models have a p-value,
    and `false_blocks` how many of them would be blocked by chance if all were clean.
    """

    plan: Plan
    rows: tuple[Row, ...]
    waiting: tuple[str, ...]
    scans: int
    false_blocks: float

    @property
    def counts(self) -> dict[str, int]:
        """How many versions have which verdict or state, in a fixed order."""
        found = Counter(each.label for each in self.rows)
        return {name: found[name] for name in LABELS if found[name]}

    @property
    def blocked(self) -> int:
        """How many versions are blocked by a verdict or the policy."""
        return sum(each.result.code == 1 for each in self.rows)

    @property
    def code(self) -> int:
        """The exit code: that of `results.exit_code`."""
        return exit_code((each.result for each in self.rows), len(self.waiting))


LABELS = ("backdoored", "inconclusive", "clean", "no samples", "given up", "failed")


def sweep_in(folder: Path) -> Sweep:
    """What the files in a folder say.

    Raises:
        ConfigError: there is no plan.
    """
    plan = read_plan(folder)
    results = results_of(plan, folder)
    found = list(results.values())
    q = numbers.q_values(found)
    rows = (Row(result=each, q=q.get(each.key or each.id)) for each in found)
    return Sweep(
        plan=plan,
        rows=tuple(sorted(rows, key=_rank)),
        waiting=tuple(each.id for each in plan.lines if each.id not in results),
        scans=len(q),
        false_blocks=numbers.expected_false_blocks(found, plan.head.false_alarm_rate),
    )


def json_lines(sweep: Sweep) -> str:
    """A line with the numbers of all, then one for each version, ranked."""
    return "".join(f"{json.dumps(each, allow_nan=False)}\n" for each in _documents(sweep))


def _documents(sweep: Sweep) -> Iterator[dict[str, object]]:
    yield {
        "schema": 1,
        "kind": "ban-gate sweep report",
        "versions": len(sweep.plan.lines),
        "counts": sweep.counts,
        "waiting": len(sweep.waiting),
        "models_tested": sweep.scans,
        "false_alarm_rate": sweep.plan.head.false_alarm_rate,
        "expected_false_blocks": sweep.false_blocks,
        "exit_code": sweep.code,
    }
    for rank, row in enumerate(sweep.rows, 1):
        yield {
            "rank": rank,
            **asdict(row.result),
            "q_value": row.q.value if row.q else None,
            "q_is_bound": bool(row.q and row.q.is_bound),
        }


def _rank(row: Row) -> tuple[bool, float, int, str, int]:
    result = row.result
    score = result.anomaly_score
    return (score is None, -(score or 0.0), -result.code, result.name, result.version)
