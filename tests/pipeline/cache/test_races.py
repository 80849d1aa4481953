"""Processes that keep the same result at once agree on one whole entry."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.cache import entry
from pipeline.cache.store import Store
from stages.published.results import BanResult
from stages.stage import stage
from stages.types import CleanSamples, SiteStatistics
from tests.support.counted_stages import Settings, calls, double, entry_in, same


def test_racing_processes_agree_on_oneentry_in(tmp_path: Path, samples: CleanSamples) -> None:
    """If the place is taken, the result there is used, and no draft remains."""
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(Store(tmp_path).run, double, samples, Settings()) for _ in range(12)]
        results = [run.result() for run in runs]

    assert all(same(results[0], result) for result in results)
    assert len(list(tmp_path.glob("*/*"))) == 1
    assert list(tmp_path.rglob(".draft-*")) == []


RACE = """
import sys, time
from pathlib import Path
import numpy as np
from pipeline.cache.store import Store
from stages.stage import stage
from stages.types import SiteStatistics

root, mine, other = map(Path, sys.argv[1:])

@stage(version=1)
def race(seed: int) -> SiteStatistics:
    mine.touch()
    while not other.exists():
        time.sleep(0.01)
    return SiteStatistics(mean=np.full(100_000, seed, np.float32), deviation=np.ones(3, np.float32))

store = Store(root)
print(store.run(race, 5).mean.sum(), len(store.reused))
"""


def test_two_processes_may_compute_the_same_at_once(tmp_path: Path, child: dict[str, str]) -> None:
    """Both are inside the stage at once; both get the result, and one whole entry stays."""
    one, other, root = tmp_path / "one", tmp_path / "other", tmp_path / "root"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, root, *flags],
            env=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for flags in ((one, other), (other, one))
    ]  # fmt: skip

    told = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], told
    assert [stdout.split() for stdout, _ in told] == [["500000.0", "0"]] * 2
    kept = entry.read(entry_in(root), SiteStatistics)
    assert kept.mean.sum() == 500_000
    assert list(root.rglob(".draft-*")) == []


def test_the_result_of_a_faster_process_is_used(tmp_path: Path, samples: CleanSamples) -> None:
    """If the place was taken while a stage ran, what stands there is the result."""

    @stage(version=1)
    def slow(samples: CleanSamples) -> BanResult:
        calls.append("slow")
        if len(calls) == 1:
            Store(tmp_path).run(slow, samples)  # the faster process
        return BanResult(
            predictions=samples.labels, share=1.0 / len(calls), accuracy=float(len(calls))
        )

    first = Store(tmp_path).run(slow, samples)
    again = Store(tmp_path).run(slow, samples)

    assert calls == ["slow", "slow"]
    assert same(first, again)
