"""Large blocks are taken from the system once, and given back at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.places import ROOT

PROGRAM = """
import json, resource
import numpy as np, psutil
from pipeline.allocation import give_back, kept_memory

LARGE = 12 * 2**20  # numbers, 48 MiB: more than glibc ever keeps by itself


def faults(times):
    "How often the system had to hand out a page while a large block was filled and freed."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for value in range(times):
        assert np.full(LARGE, value, np.float32)[-1] == value
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def memory():
    return psutil.Process().memory_info().rss // 2**20


once, usual, before = faults(1), faults(20), memory()
try:
    with kept_memory():
        first, kept, during = faults(1), faults(20), memory()
        give_back()
        held = memory()
        give_back(least=0)
        between = memory()
        faults(1)
        raise KeyError
except KeyError:
    print(json.dumps([once, usual, first, kept, before, during, held, between, memory()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_a_block_is_taken_from_the_system_once_and_given_back_however_it_ends() -> None:
    """Twenty fillings of a block cost no more than one; the process is no larger at the end, nor
    where it is told to give back what is free, which it does by itself only where it is large.

    In a process of its own, since one in which a scan has run has room for the block anyway; and
    without huge pages, of which a block takes 24 or 500 by where it happens to lie.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"},
        capture_output=True,
        text=True,
        check=True,
    )

    once, usual, first, kept, before, during, held, between, after = json.loads(done.stdout)
    assert usual > 10 * once
    assert kept < first / 10
    assert during > before + 40
    assert held > before + 40
    assert between < before + 8
    assert after < before + 8
