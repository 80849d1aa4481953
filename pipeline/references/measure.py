"""References: the class profiles of models known to be clean, measured as the judged model is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from pipeline.cache.store import Store
from pipeline.evidence import ReferenceSummary
from pipeline.intake.sandbox import Sandbox
from pipeline.pace.course import Course, over
from pipeline.pace.crew import Crew
from pipeline.pace.searching import Unfinished, search_all
from pipeline.pace.task import Scope
from pipeline.prepare import checked, prepare, subject_of
from pipeline.references.profile_file import SUFFIX, read_profiles
from pipeline.request import ScanRequest
from pipeline.run import Run
from stages.errors import CannotJudge
from stages.verdict.profile import ClassProfile, profile_of
from stages.verdict.score import printable_p
from stages.verdict.vetting import Vetted, outstanding, own_p_value, vet
from stages.verdict_label import Label

Selected = tuple[Vetted, tuple[ReferenceSummary, ...]]
"""The references that may be used, and a summary of each measured one."""
Select = Callable[[ClassProfile], Selected]
"""What selects the references beside a class profile of the judged model."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Profiles of the references that could be measured, and a sentence on each that could not."""

    profiles: tuple[ClassProfile, ...]
    remarks: tuple[str, ...]


def measure(
    request: ScanRequest,
    models: tuple[str, ...],
    store: Store,
    device: torch.device,
    folder: Path,
    course: Course | None = None,
    crew: Crew | None = None,
) -> Measured:
    """The class profiles of `models`, each a model or a profile file, on the request's samples.

    Raises:
        ConfigError: a profile file cannot be read or does not fit the settings.
        Unfinished: the time of the course is over before all are measured.
    """
    profiles: list[ClassProfile] = []
    remarks = []
    for model in models:
        if Path(model).suffix == SUFFIX:
            profiles += read_profiles(Path(model), request.config)
            continue
        name = request.names.get(model, model)
        try:
            each = replace(request, model=model, uri=name, references=(), registered=False)
            with TemporaryDirectory(dir=folder) as place:
                profiles.append(profile(each, store, device, Path(place), course, crew))
        except CannotJudge as refusal:
            remarks.append(f"reference `{name}` is left out: {refusal}")
    return Measured(profiles=tuple(profiles), remarks=tuple(remarks))


def profile(
    request: ScanRequest,
    store: Store,
    device: torch.device,
    folder: Path,
    course: Course | None = None,
    crew: Crew | None = None,
) -> ClassProfile:
    """The class profile of the request's model; earlier results of `store` are used.

    Raises:
        CannotJudge: the model is refused, or does not fit the samples.
        Unfinished: the time of the course is over before it is measured.
    """
    quiet, config = store.quiet(), request.config
    prepared = prepare(request, quiet, device, folder, Sandbox(limits=request.config.isolation))
    prepared, clean = checked(prepared, quiet, config)
    if clean.reasons:
        raise CannotJudge("; ".join(clean.reasons))
    if any(each.severity == "blocking" for each in prepared.artifact.findings):
        raise CannotJudge("its graph holds logic that looks like a trigger")
    subject = subject_of(prepared, clean, quiet)
    scope = Scope(also=request.also, whole=True)
    found = search_all(subject, config, quiet, course=course, crew=crew, scope=scope)
    return profile_of(request.uri, subject, *found)


def measured_of(run: Run, also: tuple[int, ...] = ()) -> Measured:
    """The references of a scan, searched for the classes that are `also` asked for.

    Raises:
        Unfinished: the time of the course is over before all are measured.
    """
    request = replace(run.request, also=also)
    return measure(
        *(request, request.references, run.store, run.device, run.workspace),
        course=run.course,
        crew=run.crew,
    )


def kept_of(run: Run) -> Measured | None:
    """The references of a scan, where nothing of them has to be measured; else None."""
    try:
        return measured_of(replace(run, course=over()))
    except Unfinished:
        return None


def selection_of(run: Run) -> Select:
    """What selects the references of a scan beside a class profile of its model, and measures them
    at first.

    Of many classes they are searched for those as well for which the model would be blocked by
    itself, as what a reference says nothing of it cannot acquit.
    """
    measured, config = cache(partial(measured_of, run)), run.config

    @cache
    def select(subject: ClassProfile) -> Selected:
        also: tuple[int, ...] = ()
        if run.request.references and config.screen.screens(subject.classes):
            also = outstanding(subject, config.calibration, config.judge.false_alarm_rate)
        return select_references(subject, measured(also), run)

    return select


def select_references(subject: ClassProfile, measured: Measured, run: Run) -> Selected:
    """The references that may be used beside `subject`, and a summary of each measured one."""
    request, config = run.request, run.config
    rate = config.judge.false_alarm_rate
    vetted = vet(subject, measured.profiles, config.vetting, config.calibration, rate)
    used = {each.digest for each in vetted.kept}
    summaries = tuple(_summary(each, each.digest in used, request) for each in measured.profiles)
    return replace(vetted, remarks=(*measured.remarks, *vetted.remarks)), summaries


def _summary(reference: ClassProfile, used: bool, request: ScanRequest) -> ReferenceSummary:
    config = request.config
    told = ReferenceSummary(
        uri=reference.name,
        digest=reference.digest,
        verdict="inconclusive",
        p_value=None,
        p_is_bound=False,
        used=used,
    )
    own = own_p_value(reference, config.calibration)
    if own is None:
        return told
    shown, is_bound = printable_p(own[1], config.calibration.alone)
    label: Label = "backdoored" if own[1] <= config.judge.false_alarm_rate else "clean"
    return replace(told, verdict=label, p_value=shown, p_is_bound=is_bound)
