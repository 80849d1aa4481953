"""From a file to a verdict: the steps of `pipeline.steps`, in their order."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import torch

from pipeline.allocation import kept_memory
from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.cut_short import certain, cut_short, where_it_goes_on
from pipeline.evidence import Evidence, ScanResult
from pipeline.intake.sandbox import Sandbox
from pipeline.judging import judged
from pipeline.note import Note
from pipeline.pace.course import Course
from pipeline.pace.crew import Crew
from pipeline.pace.extent import Extent
from pipeline.pace.searching import Results, Unfinished, search_all
from pipeline.peak import peak_rss_mb
from pipeline.prepare import Prepared, checked, prepare, subject_of
from pipeline.references.measure import kept_of, selection_of
from pipeline.refused import explained
from pipeline.request import ScanRequest
from pipeline.run import Run
from pipeline.samples.own_predictions import own_predictions
from pipeline.shown import shown_under
from pipeline.versions import versions_of
from pipeline.whole_file import on_found, on_samples
from stages.class_names import class_text
from stages.errors import CannotJudge, ConfigError
from stages.published.ban import run_ban
from stages.published.feature_mask import find_mask
from stages.published.statistics import ban_statistic, masked_statistics
from stages.published.untargeted_noise import find_untargeted_noise
from stages.searches import SEARCHES
from stages.searches.screen import Chosen
from stages.searches.search import SearchResult, Subject
from stages.twin.arithmetic import compute_exactly
from stages.twin.summary import TwinSummary
from stages.types import PreconditionResult, Statistic, Verdict
from stages.verdict.decide import apply_findings, only_beside_a_reference, with_published
from stages.verdict.profile import profile_of

logger = logging.getLogger(__name__)

PACKAGES = ("ban-gate", "torch", "onnx", "onnx2torch", "onnxruntime-gpu", "onnxruntime", "numpy")


@kept_memory()
def scan(
    request: ScanRequest,
    store: Store,
    workspace: Path,
    course: Course | None = None,
    crew: Crew | None = None,
) -> ScanResult:
    """The verdict on one model, with its evidence; `inconclusive` where it cannot be judged.

    `workspace` is an empty folder of the scan's own, where the ONNX file lies that was judged.
    `course`, that of the request, tells whoever shows progress how far it is. A `crew` takes on
    parts of the searches; the result is the same.

    Raises:
        ConfigError: when a setting is wrong, such as a device that is not there.
    """
    device = choose_device(request.config.device)
    course = course or course_of(request)
    evidence = Evidence(extent=Extent(quick=request.quick, budget=request.budget))

    def note(**found: object) -> None:
        nonlocal evidence
        evidence = replace(evidence, **found)  # type: ignore[arg-type] # fields of Evidence

    sandbox = Sandbox(limits=request.config.isolation)
    run = Run(
        request=request,
        store=store,
        device=device,
        workspace=workspace,
        sandbox=sandbox,
        note=note,
        course=course,
        crew=crew,
    )
    try:
        verdict = _verdict(run)
    except CannotJudge as refusal:
        verdict = Verdict(label="inconclusive", reasons=(str(refusal),))
    except BaseException as ending:
        if not isinstance(ending, Exception):  # a signal, or an exit
            ending.add_note(where_it_goes_on(evidence, store))
        raise
    finally:
        note(isolation=sandbox.isolation())
    note(estimate=course.estimate, searched_seconds=course.searched)
    verdict = apply_findings(evidence.findings, verdict)
    if verdict.label == "inconclusive":
        logger.info("cannot judge: %s", "; ".join(verdict.reasons))
    return _result(request, store, device, evidence, verdict)


def course_of(request: ScanRequest) -> Course:
    """The course of a scan that begins now."""
    config = request.config
    asks_for_more = config.published_ban.enabled or config.feature_mask.enabled
    until_certain = config.judge.until_certain and not asks_for_more
    return Course(request.budget, quick=request.quick, until_certain=until_certain)


def _result(
    request: ScanRequest, store: Store, device: torch.device, evidence: Evidence, verdict: Verdict
) -> ScanResult:
    """All that a scan that has ended says."""
    return ScanResult(
        model_uri=request.uri,
        config=request.config,
        verdict=verdict,
        evidence=evidence,
        done=tuple(store.done),
        seconds=dict(store.seconds),
        reused=tuple(store.reused),
        peak_rss_mb=peak_rss_mb(),
        environment=_environment(device, evidence.twin),
        ended=datetime.now(UTC),
    )


def _verdict(run: Run) -> Verdict:
    """Runs the steps one after another and notes what each finds."""
    request, config, store, note = run.request, run.config, run.store, run.note
    prepared = prepare(request, store, run.device, run.workspace, run.sandbox, note)
    prepared, clean = checked(prepared, store, config)
    note(precondition=clean)
    if clean.reasons:
        return Verdict(label="inconclusive", reasons=explained(prepared, clean, config))
    if config.calibration.is_few(prepared.twin.classes) and not request.references:
        reason = only_beside_a_reference(prepared.twin.classes)
        return Verdict(label="inconclusive", reasons=(reason,))
    with store.timed("compare_decisions"):
        decisions = on_samples(prepared, clean, run.sandbox)
    note(decisions=decisions)
    subject = subject_of(prepared, clean, store)
    verdict, about = _searched(subject, run)
    if not about:
        return verdict
    with store.timed("compare_found"):
        found = on_found(prepared, about, clean.alike, run.sandbox)
    note(decisions=(*decisions, *found), shown=shown_under(prepared, clean, about))
    verdict = replace(verdict, reasons=(*verdict.reasons, *_remarks(prepared, clean)))
    if len(about) < len(SEARCHES):
        return verdict
    return with_published(verdict, *_published(subject, about, store, config, note))


def _searched(subject: Subject, run: Run) -> tuple[Verdict, Mapping[str, SearchResult]]:
    """The verdict on a model, and the results of the searches that it is about; none where the time
    for them was over, and nothing certain yet.
    """
    request, config, store = run.request, run.config, run.store

    kept, select = cache(partial(kept_of, run)), selection_of(run)

    def enough(chosen: Chosen, results: Results) -> bool:
        run.note(searches=results)
        found = Unfinished(chosen, results)
        return run.course.until_certain and certain(found, subject, run, kept) is not None

    own: Unfinished | None = None
    try:
        chosen, results = search_all(
            subject, config, store, run.course, run.crew, enough, run.scope
        )
        own = Unfinished(chosen, results)
        profile = profile_of(request.uri, subject, chosen, results)
        if request.references:
            with store.timed("select_references"):
                _, summaries = select(profile)
            run.note(references=summaries)
        return judged(subject, profile, results, select, run)
    except Unfinished as early:  # of this model, or of a reference or a further seed
        verdict = cut_short(own or early, subject, run)
        shows = own is None and verdict.label == "backdoored"
        return verdict, early.results if shows else {}


def _remarks(prepared: Prepared, clean: PreconditionResult) -> Iterator[str]:
    """A sentence on each class that was not searched because another has the same scores, on
    classes without samples, and on labels that seem to be the model's own.
    """
    names = prepared.samples.class_names
    for later, earlier in clean.alike:
        yield (
            f"{class_text(later, names)} always has the logits of {class_text(earlier, names)};"
            " they are judged as one"
        )
    classes = prepared.twin.classes - len(clean.alike)
    if prepared.samples.classes < classes:
        yield (
            f"the samples are of {prepared.samples.classes} of {classes} classes; a trigger that"
            " only works on images of the others is not seen"
        )
    remark = own_predictions(clean.logits, prepared.samples.labels)
    if remark:
        yield remark


def _published(
    subject: Subject,
    results: Mapping[str, SearchResult],
    store: Store,
    config: ScanConfig,
    note: Note,
) -> Iterator[Statistic]:
    """What the paper's noise, mask and algorithm say of a net with one last layer."""
    twin, samples, sites, seed = subject.twin, subject.samples, subject.sites, config.seed
    if twin.features is None:
        return
    if config.feature_mask.enabled:
        sweep = next(each.sweep for each in results.values() if each.sweep)
        given = config.untargeted_noise.epsilon
        epsilon = sweep.epsilon if given is None else given
        untargeted = store.run(
            find_untargeted_noise, subject, config.untargeted_noise, epsilon, seed
        )
        note(untargeted=untargeted)
        mask = store.run(find_mask, twin, samples, sites, untargeted, config.feature_mask, seed)
        note(mask=mask)
        yield from masked_statistics(subject.clean, untargeted, mask)
    if config.published_ban.enabled:
        ban = store.run(run_ban, twin, samples, sites, config.published_ban, seed)
        note(ban=ban)
        yield ban_statistic(ban)


def choose_device(name: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda`; `auto` takes CUDA where there is one.

    On CUDA, float32 is computed exactly from now on, and the same each time.

    Raises:
        ConfigError: for another name, or for `cuda` without a CUDA device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"unknown device `{name}`: expected `auto`, `cpu` or `cuda`")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("no CUDA device found; use `--device auto` or `--device cpu`")
    if not available or name == "cpu":
        return torch.device("cpu")
    compute_exactly()
    return torch.device("cuda")


def _environment(device: torch.device, twin: TwinSummary | None) -> dict[str, str]:
    """What the scan ran on and with, and how the twin computed, as far as it came."""
    versions = {"python": sys.version.split()[0], "platform": platform.platform()}
    versions |= {"device": str(device), "threads": str(torch.get_num_threads())}
    computed = asdict(twin.arithmetic) if twin else {}
    return versions | computed | versions_of(PACKAGES)
