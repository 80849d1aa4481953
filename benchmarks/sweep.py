"""A sweep of many small models on a local Ray cluster: complete, repeatable, and how quick.

    python -m benchmarks.sweep FOLDER [--versions 300] [--timed 40]

The models are the demo's nets with a little noise on their weights, so that no two are equal: of
300, 40 are backdoored, 20 are broken and 30 have the same bytes. Settings are brief, so the
verdicts are no evidence of detection; what counts is that they are the same wherever they are made.

1. The sweep runs here without Ray, then on three nodes, one of which is killed on the way: one
   result a version, the same verdicts.
2. The driver is killed with SIGKILL on the way and started again: nothing is judged twice.
3. `--timed` versions on 1, 2 and 4 workers, and beside plain scans in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from mlflow_project.commands import DEMO
from mlflow_project.ray_cluster import SETTINGS
from pipeline.cache.store import Store
from pipeline.config import load_config
from pipeline.request import ScanRequest
from pipeline.scan import scan
from pipeline.sweep.attempts import attempts_at
from pipeline.sweep.plan import read_plan
from pipeline.sweep.results import ATTEMPTS, RESULTS, SCANS, Result, results_of

BRIEF = (
    "blend.faint_steps=3; blend.strong_steps=2; patch.first_steps=1; patch.place_steps=2;"
    " patch.pattern_steps=2; small_patch.first_steps=1; small_patch.place_steps=2;"
    " small_patch.pattern_steps=2; warp.steps=3; tone.steps=3; neuron_noise.sweep=3;"
    " permutation.first_steps=2; permutation.place_steps=3; permutation.pattern_steps=3;"
    " permutation.blend_steps=3; judge.near=1"
)
NOISE = 1e-3
"""Of the standard deviation of each tensor of weights."""
SAMPLES = DEMO / "samples.npz"


def make_models(folder: Path, versions: int) -> None:
    """So many models: 2 of 15 backdoored, 1 of 15 broken, 1 of 10 copies of one, the rest clean."""
    folder.mkdir()
    broken, backdoored, copies = versions // 15, 2 * versions // 15, versions // 10
    for number in range(versions):
        path = folder / f"net-{number:04}.onnx"
        if number < broken:
            path.write_text(f"model {number} is none")
        elif number < broken + backdoored:
            path.write_bytes(_variant("blended.onnx", number))
        elif number < broken + backdoored + copies:
            path.write_bytes(_variant("clean.onnx", broken + backdoored))
        else:
            path.write_bytes(_variant("clean.onnx", number))


def _variant(name: str, seed: int) -> bytes:
    model, random = onnx.load(DEMO / name), np.random.default_rng(seed)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim > 1:
            noise = random.standard_normal(values.shape).astype(np.float32)
            changed = values + np.float32(NOISE * values.std()) * noise
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    content: bytes = model.SerializeToString()
    return content


def ban_gate(*arguments: object) -> list[str]:
    """A command of ban-gate."""
    return [sys.executable, "-m", "mlflow_project", *map(str, arguments)]


def planned(models: Path, folder: Path) -> Path:
    """A new sweep of these models."""
    shutil.rmtree(folder, ignore_errors=True)
    command = ban_gate("sweep", "plan", models, "--samples", SAMPLES, "-o", folder, "--set", BRIEF)
    subprocess.run(command, check=True)
    return folder


def run(folder: Path, home: Path, *options: object) -> float:
    """Works on a plan to its end with an empty cache; the seconds it took."""
    started = time.monotonic()
    with subprocess.Popen(ban_gate("sweep", "run", folder, *options), env=_with(home)) as process:
        process.wait()
    return time.monotonic() - started


def _with(home: Path) -> dict[str, str]:
    return {**os.environ, "BAN_GATE_HOME": str(home)}


def results(folder: Path) -> dict[str, Result]:
    """The results by name; each version has exactly one."""
    plan = read_plan(folder)
    found = results_of(plan, folder)
    files = len(list((folder / RESULTS).iterdir()))
    if not len(found) == len(plan.lines) == files:
        raise SystemExit(f"{len(plan.lines)} versions, {len(found)} results, {files} files")
    return {each.name: each for each in found.values()}


def told(folder: Path) -> dict[str, tuple[object, ...]]:
    """What a sweep says of each version, apart from where and when."""
    return {
        name: (each.state, each.verdict, each.anomaly_score, each.p_value, each.reasons)
        for name, each in results(folder).items()
    }


def cluster(home: Path, nodes: int = 3, tries: int = 5) -> tuple[Any, Any]:
    """A Ray cluster of nodes with a core each, and the last of them.

    On a busy machine a node may not start within the 30 s that Ray gives it.
    """
    os.environ |= {**SETTINGS, "BAN_GATE_HOME": str(home)}
    from ray.cluster_utils import Cluster  # noqa: PLC0415 (reads the environment)

    made, last = Cluster(), None
    while len(made.list_all_nodes()) < nodes:
        first = {} if made.head_node else {"include_dashboard": False}
        try:
            last = made.add_node(num_cpus=1, **first)
        except Exception as error:
            tries -= 1
            if not tries:
                raise SystemExit(f"no node starts: {error}") from error
    return made, last


def on_cluster_with_a_death(models: Path, place: Path) -> dict[str, object]:
    """A sweep on three nodes, one of which is killed after a third of the versions."""
    there, home = planned(models, place / "ray"), place / "home-ray"
    nodes, last = cluster(home)
    count = len(read_plan(there).lines)
    started = time.monotonic()
    command = ban_gate("sweep", "run", there, "--ray", nodes.address)
    with subprocess.Popen(command, env=_with(home)) as process:
        _wait_for(lambda: _done(there) >= count // 3)
        nodes.remove_node(last, allow_graceful=False)
        process.wait()
    seconds = time.monotonic() - started
    nodes.shutdown()
    return {
        "seconds": seconds,
        "deaths": sum(attempts_at(each).deaths for each in (there / ATTEMPTS).iterdir()),
        "same as without Ray": told(there) == told(place / "here"),
    }


def killed_and_resumed(models: Path, place: Path) -> dict[str, object]:
    """A sweep whose driver is killed after a third, and started again."""
    folder, home = planned(models, place / "killed"), place / "home-killed"
    count = len(read_plan(folder).lines)
    process = subprocess.Popen(ban_gate("sweep", "run", folder), env=_with(home))
    _wait_for(lambda: _done(folder) >= count // 3)
    process.kill()
    process.wait()
    time.sleep(5)
    before = {each: each.stat().st_mtime_ns for each in _evidence(folder)}
    run(folder, home)
    after = {each: each.stat().st_mtime_ns for each in _evidence(folder)}
    return {
        "scans before the kill": len(before),
        "judged twice": sum(after[each] != moment for each, moment in before.items()),
        "same as without the kill": told(folder) == told(place / "here"),
    }


def timed(models: Path, place: Path, count: int) -> dict[str, float]:
    """Seconds for so many different models, on 1, 2 and 4 workers, and as plain scans."""
    few = place / "few"
    shutil.rmtree(few, ignore_errors=True)
    few.mkdir()
    for path in sorted(models.iterdir())[-count:]:
        shutil.copy(path, few)
    seconds = {}
    for workers in (1, 2, 4):
        folder, home = planned(few, place / f"w{workers}"), place / f"home-w{workers}"
        seconds[f"{workers} workers"] = run(folder, home, "--workers", workers)
    started = time.monotonic()
    config = load_config(None, (BRIEF,))
    for number, path in enumerate(sorted(few.iterdir())):
        workspace = place / f"plain-{number}"
        workspace.mkdir()
        request = ScanRequest(model=str(path), samples=SAMPLES, uri=path.name, config=config)
        scan(request, Store(None), workspace)
    seconds["plain scans in one process"] = time.monotonic() - started
    return seconds


def _evidence(folder: Path) -> Iterator[Path]:
    return (folder / SCANS).glob("*/outcome.json")


def _done(folder: Path) -> int:
    return len(list((folder / RESULTS).glob("*.json")))


def _wait_for(happened: Callable[[], bool]) -> None:
    while not happened():
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--versions", type=int, default=300)
    parser.add_argument("--timed", type=int, default=40)
    asked = parser.parse_args()
    place: Path = asked.folder.absolute()
    place.mkdir(parents=True, exist_ok=True)
    models = place / "models"
    shutil.rmtree(models, ignore_errors=True)
    make_models(models, asked.versions)
    here = planned(models, place / "here")
    alone = run(here, place / "home-here")
    found = results(here)
    document = {
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.platform(),
        "versions": asked.versions,
        "labels": Counter(str(each.verdict) for each in found.values()),
        "scans": len(list(_evidence(here))),
        "here": {"seconds": alone},
        "ray, one node killed": on_cluster_with_a_death(models, place),
        "killed and resumed": killed_and_resumed(models, place),
    }
    if asked.timed:
        seconds = timed(models, place, asked.timed)
        each = (seconds["1 workers"] - seconds["plain scans in one process"]) / asked.timed
        document["timed"] = {"versions": asked.timed, **seconds, "overhead per version": each}
    text = json.dumps(document, indent=2, default=str)
    (place / "sweep.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
