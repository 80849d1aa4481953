"""A real Ray cluster on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlflow_project.ray_cluster import SETTINGS
from tests.support.places import ROOT


@contextmanager
def three_nodes() -> Iterator[Any]:
    """A cluster of three nodes with a core each, whose tasks find this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        started = _started()
        yield started
        started.shutdown()


def _started(tries: int = 4) -> Any:
    """A cluster; on a busy machine a node may not start within the 30 s that Ray gives it."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 (reads the environment)

    made = Cluster()
    while len(made.list_all_nodes()) < 3:
        try:
            made.add_node(num_cpus=1, **({} if made.head_node else {"include_dashboard": False}))
        except Exception:  # noqa: BLE001 (Ray's own kind)
            tries -= 1
            assert tries, "no node starts"
    return made
