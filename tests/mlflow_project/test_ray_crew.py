"""A scan whose searches run as tasks of a real Ray cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mlflow_project.ray_crew import ray_crew
from pipeline.cache.store import Store
from pipeline.config import load_config
from pipeline.pace.searching import search_all
from stages.searches.search import Subject
from stages.twin.precondition import check_preconditions
from stages.twin.settings import PreconditionConfig
from stages.types import CleanSamples
from tests.support import brief_searches
from tests.support.places import DEMO, ROOT
from tests.support.ray_nodes import three_nodes
from tests.support.twins import make

pytestmark = pytest.mark.nightly

CLASSES = 200


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes with a core each."""
    with three_nodes() as started:
        yield started


def many_classes() -> Subject:
    """A net of 200 classes with weights drawn at random, and images labelled by itself."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(),
        nn.Linear(128, CLASSES),
    ).eval()  # fmt: skip
    images = torch.rand(600, 3, 32, 32)
    with torch.no_grad():
        labels = net(images).argmax(1)
    twin, sites = make(net, "dynamo", images)
    samples = CleanSamples(images=images.numpy(), labels=labels.numpy())
    clean = check_preconditions(twin, samples, PreconditionConfig())
    return Subject(twin=twin, samples=samples, clean=clean, sites=sites)


def test_200_classes_on_workers_are_those_of_one(cluster: Any) -> None:
    """Bit for bit: the classes that are chosen, every statistic, and the cost."""
    subject, config = many_classes(), load_config(None, brief_searches.BRIEF)
    chosen, alone = search_all(subject, config, Store(None))

    with ray_crew(cluster.address) as crew:
        same, there = search_all(subject, config, Store(None), crew=crew)

    assert len(chosen.classes) < CLASSES
    assert np.array_equal(same.classes, chosen.classes)
    assert list(there) == list(alone)
    for name, found in alone.items():
        assert there[name].effort == found.effort
        for each, values in found.statistics.items():
            assert np.array_equal(there[name].statistics[each], values, equal_nan=True), name


def scanned(folder: Path, *options: str) -> dict[str, Any]:
    """The verdict on a demo model by the command line."""
    command = [sys.executable, "-m", "mlflow_project", "scan", str(DEMO / "patch.onnx")]
    command += ["--samples", str(DEMO / "samples.npz"), "--fresh", "--json", *options]
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BAN_GATE_HOME": str(folder / "home")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_scan_on_workers_says_what_it_says_here(cluster: Any, tmp_path: Path) -> None:
    """Verdict, evidence and cost are the same; only the seconds differ."""
    here = scanned(tmp_path / "here")
    there = scanned(tmp_path / "there", "--ray", cluster.address)

    for name in ("verdict", "suspected_class", "class_scores", "searches", "config_digest"):
        assert there[name] == here[name], name


def test_no_cluster_is_one_sentence(tmp_path: Path) -> None:
    """Before the model is read; exit 2."""
    command = [sys.executable, "-m", "mlflow_project", "scan", str(DEMO / "patch.onnx")]
    command += ["--samples", str(DEMO / "samples.npz"), "--ray", "127.0.0.1:1"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "no Ray cluster can be reached at `127.0.0.1:1`" in done.stderr
    assert "Traceback" not in done.stderr
