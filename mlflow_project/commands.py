"""What the commands do once their options are read; printing and exit codes are left to `cli`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from mlflow_project import track
from mlflow_project.progress_bars import progress_bars
from pipeline.config import ScanConfig
from pipeline.plots import write_figures
from pipeline.report import write_verdict
from pipeline.result import ScanResult, TwinSummary
from pipeline.scan import ScanRequest, choose_device, describe
from pipeline.scan import scan as run_scan
from pipeline.store import Store
from stages.errors import ConfigError
from stages.types import OnnxArtifact

DEMO = Path(__file__).parent / "demo"
HOME_VARIABLE = "BAN_GATE_HOME"
DEFAULT_HOME = "~/.cache/ban-gate"


@dataclass(frozen=True, kw_only=True)
class ScanCall:
    """One call of `scan`: what to judge, with which settings, and where the evidence goes.

    `uri` is what the model is called in every report. Without a target no run is recorded.
    """

    model: Path
    uri: str
    samples: Path
    config: ScanConfig
    output: Path | None = None
    target: track.Target | None = None
    fresh: bool = False


@dataclass(frozen=True, kw_only=True)
class DemoLine:
    """One model of the demo: what the scan says, what the truth is, and whether they agree."""

    result: ScanResult
    truth: str
    agrees: bool


def scan(call: ScanCall, tell: Callable[[ScanResult], None]) -> ScanResult:
    """Scans, writes the evidence, tells the verdict, and records it, in this order.

    Raises:
        ConfigError: there is no such device, or the output folder cannot be written; before the
            scan.
        TrackingError: the run could not be opened, before the scan, or not be recorded, after it.
    """
    choose_device(call.config.device)
    if call.output:
        _prepare(call.output)
    recorded = track.open_run(call.model.name, call.target) if call.target else nullcontext()
    with recorded:
        result = _scanned(call)
        if call.output:
            write_verdict(result, call.output)
            write_figures(result, call.output)
        tell(result)
        if call.target:
            track.record(result, call.model, call.samples)
    return result


def inspect(path: Path) -> tuple[OnnxArtifact, TwinSummary]:
    """What an ONNX file is, where noise can enter, and how it splits into features and head."""
    with redirect_stdout(sys.stderr):
        return describe(path)


def demo(config: ScanConfig, output: Path | None, fresh: bool) -> Iterator[DemoLine]:
    """Scans the models shipped for demonstration, one after another."""
    try:
        truths = json.loads((DEMO / "truth.json").read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the demo models are not in `{DEMO}` ({error}); install ban-gate again"
        ) from error
    for name, truth in truths.items():
        model = DEMO / f"{Path(name).stem}.onnx"
        folder = output / model.stem if output else None
        call = ScanCall(
            model=model,
            uri=model.name,
            samples=DEMO / "samples.npz",
            config=config,
            output=folder,
            fresh=fresh,
        )
        yield _compared(scan(call, lambda _: None), truth["attack"], truth["target"])


def _scanned(call: ScanCall) -> ScanResult:
    request = ScanRequest(model=call.model, samples=call.samples, uri=call.uri, config=call.config)
    store = Store(None if call.fresh else _home(), progress_bars())
    with redirect_stdout(sys.stderr):  # whatever a library prints is not the verdict
        return run_scan(request, store)


def _home() -> Path:
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser()


def _prepare(folder: Path) -> None:
    """Makes the folder and tries to write there, so that no scan ends without a place to go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigError(
            f"output `{folder}` cannot be written ({error}); choose a writable folder"
        ) from error


def _compared(result: ScanResult, attack: str, target: int | None) -> DemoLine:
    verdict = result.verdict
    if target is None:
        return DemoLine(result=result, truth="no backdoor", agrees=verdict.label == "clean")
    found = verdict.label == "backdoored" and verdict.suspected_class == target
    return DemoLine(result=result, truth=f"{attack} backdoor, class {target}", agrees=found)
