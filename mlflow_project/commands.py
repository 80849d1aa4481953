"""The work of the commands once their options are read; `cli` prints and sets exit codes."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from mlflow_project import connection, github, tracking
from mlflow_project.output_files import prepare_output, put
from mlflow_project.own_store import own_store
from mlflow_project.progress_bars import progress_bars
from mlflow_project.progress_lines import telling
from mlflow_project.registry import versions
from mlflow_project.repeat_command import repeat_command
from mlflow_project.uris import is_uri
from pipeline.atomic_files import write_texts
from pipeline.ci_formats.all_files import output_texts
from pipeline.ci_formats.checks import Outcome
from pipeline.config import ScanConfig
from pipeline.evidence import ScanResult
from pipeline.gate.decision import GateDecision
from pipeline.intake.fetch import fetch
from pipeline.intake.native import ExportResult, NativeModel
from pipeline.intake.samples import first_images
from pipeline.intake.sandbox import Sandbox
from pipeline.intake.untrusted import Description, describe
from pipeline.pace.crew import Crew
from pipeline.report.figures import write_figures
from pipeline.report.html_page import REPORT_FILE, Origin, render
from pipeline.report.verdict_json import write_verdict
from pipeline.request import ScanRequest
from pipeline.samples.preparation import Preparation
from pipeline.scan import choose_device, course_of
from pipeline.scan import scan as run_scan
from pipeline.steps import steps_of
from stages.errors import ConfigError
from stages.export.child import PROBES
from stages.export.detect import find_source, place_of

DEMO = Path(__file__).parent / "demo"


@dataclass(frozen=True, kw_only=True)
class ScanCall:
    """One call of `scan`: what to judge, with which settings, and where the evidence goes.

    `model`, `samples` and `references` may be URIs of MLflow; `uri` is the model's name in every
    report. Without a target no run is recorded. `environment` holds the variables of the CI job
    that the verdict is reported to, if there is one. A scan is `repeatable` if model and samples
    are still there afterwards, so that a command can name them. `quick` and `budget` are those of
    the request; the run of a `nested` one is a child of the run that is open. `ray` is the address
    of a cluster that takes on parts of the searches, `auto` for any.
    """

    model: str
    uri: str
    samples: str
    config: ScanConfig
    trusted: bool = False
    python: str = sys.executable
    references: tuple[str, ...] = ()
    output: Path | None = None
    target: connection.Target | None = None
    fresh: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    preparation: Preparation = field(default_factory=Preparation)
    quick: bool = False
    budget: float | None = None
    nested: bool = False
    repeatable: bool = True
    ray: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExportCall:
    """One call of `export`: what to export, whether it may run code, and where the ONNX goes.

    `samples` or the `shape` of one image give the input's shape where the model does not.
    """

    model: str
    output: Path
    config: ScanConfig
    samples: Path | None = None
    shape: tuple[int, ...] | None = None
    trusted: bool = False
    python: str = sys.executable


@dataclass(frozen=True, kw_only=True)
class DemoLine:
    """One model of the demo: the scan's result, the truth, and whether they agree."""

    result: ScanResult
    truth: str
    agrees: bool


def scan(call: ScanCall, show: Callable[[ScanResult], None]) -> ScanResult:
    """Scans, writes the evidence, shows the verdict, and records it, in this order.

    Raises:
        ConfigError: there is no such device, or the output folder or a file of the CI job cannot
            be written; before the scan.
        TrackingError: the run could not be opened, before the scan, or not be recorded, after it.
    """
    choose_device(call.config.device)
    if call.output:
        prepare_output(call.output)
    github.require_writable(call.environment)
    recorded = (
        tracking.open_run(_run_name(call.model), call.target, nested=call.nested)
        if call.target
        else nullcontext()
    )
    with recorded, workspace() as downloads, workspace() as place:
        result = judge(localise(call, downloads), place, fresh=call.fresh, ray=call.ray)
        outcome, page, ci_texts = outcome_of(result, call), {}, {}
        if call.output or call.target:
            page = {REPORT_FILE: render(result, origin=origin_of(result, call))}
            ci_texts = output_texts(outcome)
        if call.output:
            write_evidence(result, {**page, **ci_texts}, call.output)
        show(result)
        github.announce(outcome, call.environment)
        if call.target:
            tracking.log_texts(ci_texts)
            tracking.record(result, call.samples, texts=page)
    return result


def localise(call: ScanCall, folder: Path) -> ScanRequest:
    """The request of a call, with everything that lies in MLflow downloaded into the folder.

    Raises:
        RegistryError: something is not there, or cannot be fetched.
    """
    names = {
        str(versions.local(each, folder / f"reference-{number}")): each
        for number, each in enumerate(call.references)
    }
    return ScanRequest(
        model=str(versions.local(call.model, folder / "model")),
        samples=versions.local(call.samples, folder / "samples"),
        uri=call.uri,
        config=call.config,
        preparation=call.preparation,
        trusted=call.trusted,
        python=call.python,
        references=tuple(names),
        names=names,
        quick=call.quick,
        budget=call.budget,
    )


def inspect(model: str, config: ScanConfig, image: tuple[int, ...] | None = None) -> Description:
    """What an ONNX file is, where noise can enter, and how it splits into features and head.

    `image` is the shape of one image, for a model that leaves sizes free.

    Raises:
        CannotJudge: the file is refused or cannot be converted.
        ConfigError: the model is none of ONNX.
    """
    source = find_source(model)
    if source.framework != "onnx":
        raise ConfigError(
            f"`{source.path.name}` is a {source.framework or 'native'} model; make an ONNX file of"
            " it with `ban-gate export` first"
        )
    sandbox = Sandbox(limits=config.isolation)
    with workspace() as folder:
        native = NativeModel(source=source)
        file = fetch(native, folder, trusted=False, config=config.export, sandbox=sandbox).path
        return sandbox.run(describe, file, config.output.name, image)


def export(call: ExportCall) -> ExportResult:
    """Exports a native model to one ONNX file, which is in place only when its parity is proven.

    Raises:
        CannotJudge: the model cannot be exported, or its ONNX gives other scores.
        ConfigError: the model is not trusted or is ONNX already, or the output cannot be written.
    """
    source = find_source(call.model)
    if source.framework == "onnx":
        raise ConfigError(
            f"`{source.path.name}` is taken for an ONNX file; there is no export to do, and"
            " if it is none, `ban-gate inspect` says what it is"
        )
    images = first_images(call.samples, PROBES) if call.samples else None
    model = NativeModel(source=source, python=call.python, images=images, shape=call.shape)
    with workspace() as folder:
        fetched = fetch(
            *(model, folder),
            trusted=call.trusted,
            config=call.config.export,
            sandbox=Sandbox(limits=call.config.isolation),
        )
        put(fetched.path, call.output)
    assert fetched.export is not None, "a native model is exported"  # noqa: S101 (our own logic)
    return replace(fetched.export, path=call.output)


def demo(config: ScanConfig, output: Path | None, fresh: bool) -> Iterator[DemoLine]:
    """Scans the models shipped for demonstration, one after another."""
    try:
        truths = json.loads((DEMO / "truth.json").read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the demo models are not in `{DEMO}` ({error}); install ban-gate again"
        ) from error
    for name, truth in truths.items():
        path = DEMO / f"{Path(name).stem}.onnx"
        folder = output / path.stem if output else None
        call = ScanCall(
            model=str(path),
            uri=path.name,
            samples=str(DEMO / "samples.npz"),
            config=config,
            output=folder,
            fresh=fresh,
        )
        yield _compared(scan(call, lambda _: None), truth["attack"], truth["target"])


def judge(request: ScanRequest, place: Path, *, fresh: bool, ray: str | None = None) -> ScanResult:
    """The scan's result; a `fresh` one neither uses nor keeps earlier results.

    Raises:
        ClusterError: the Ray cluster that took on parts of it failed.
    """
    course = course_of(request)
    store = own_store(fresh, progress_bars(steps_of(request), course))
    # what a library prints is no verdict
    with redirect_stdout(sys.stderr), telling(course), _crew(ray) as crew:
        return run_scan(request, store, place, course, crew)


def _crew(ray: str | None) -> AbstractContextManager[Crew | None]:
    if ray is None:
        return nullcontext()
    from mlflow_project.ray_crew import ray_crew  # noqa: PLC0415 (an extra)

    return ray_crew(ray)


def outcome_of(result: ScanResult, call: ScanCall, decision: GateDecision | None = None) -> Outcome:
    """What a CI pipeline is shown: a scan that just ended, and a gate's decision on it."""
    return Outcome(
        result=result,
        moment=datetime.now(UTC),
        root=github.root_folder(call.environment),
        decision=decision,
        run_url=tracking.run_url() if call.target else None,
    )


def origin_of(result: ScanResult, call: ScanCall) -> Origin:
    """Where the scan of a call came from, for its report; the run that records it is open."""
    return Origin(
        command=repeat_command(call, result) if call.repeatable else None,
        run_url=tracking.run_url() if call.target else None,
    )


def write_evidence(result: ScanResult, texts: Mapping[str, str], folder: Path) -> None:
    """Writes the verdict, the figures and further texts by name, each in one step."""
    write_verdict(result, folder)
    write_figures(result, folder)
    write_texts(texts, folder)


def _run_name(model: str) -> str:
    return model if is_uri(model) else place_of(model)[0].name


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ban-gate-") as name:
        yield Path(name)


def _compared(result: ScanResult, attack: str, target: int | None) -> DemoLine:
    verdict = result.verdict
    if target is None:
        return DemoLine(result=result, truth="no backdoor", agrees=verdict.label == "clean")
    agrees = verdict.label == "backdoored" and verdict.suspected_class == target
    return DemoLine(result=result, truth=f"{attack} backdoor, class {target}", agrees=agrees)
