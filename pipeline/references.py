"""References: the class profiles of models known to be clean, measured as the judged model is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.profiles import SUFFIX, read_profiles
from pipeline.result import Evidence, ReferenceSummary
from pipeline.store import Store
from pipeline.walk import ScanRequest, class_profile, clean_behaviour, prepare
from stages.errors import CannotJudge
from stages.references import Vetted, vet
from stages.score import p_value, scores
from stages.types import ClassProfile


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Profiles of the references that could be measured, and a sentence on each that could not."""

    profiles: tuple[ClassProfile, ...]
    remarks: tuple[str, ...]


def measure(
    request: ScanRequest, models: tuple[str, ...], store: Store, device: torch.device, folder: Path
) -> Measured:
    """The class profiles of `models`, each a model or a profile file, on the request's samples.

    Raises:
        ConfigError: a profile file cannot be read or does not fit the settings.
    """
    profiles: list[ClassProfile] = []
    remarks = []
    for number, model in enumerate(models):
        if Path(model).suffix == SUFFIX:
            profiles += read_profiles(Path(model), request.config)
            continue
        place = folder / f"reference-{number}"
        place.mkdir()
        name = request.names.get(model, model)
        try:
            each = replace(request, model=model, uri=name, references=())
            profiles.append(profile(each, store, device, place))
        except CannotJudge as refusal:
            remarks.append(f"reference `{name}` is left out: {refusal}")
    return Measured(profiles=tuple(profiles), remarks=tuple(remarks))


def profile(request: ScanRequest, store: Store, device: torch.device, folder: Path) -> ClassProfile:
    """The class profile of the request's model; earlier results of `store` are used.

    Raises:
        CannotJudge: the model is refused, or does not fit the samples.
    """
    quiet, evidence = Store(store.root), Evidence()
    twin = prepare(request, quiet, device, evidence, folder)
    clean = clean_behaviour(twin, quiet, evidence, request.config)
    if clean.reasons:
        raise CannotJudge("; ".join(clean.reasons))
    if any(each.severity == "blocking" for each in evidence.findings):
        raise CannotJudge("its graph holds logic that looks like a trigger")
    return class_profile(twin, request.uri, quiet, evidence, request.config)


def weigh(
    subject: ClassProfile,
    request: ScanRequest,
    store: Store,
    device: torch.device,
    folder: Path,
) -> tuple[Vetted, tuple[ReferenceSummary, ...]]:
    """The references that may be used beside `subject`, with what is told of each measured one."""
    config = request.config
    found = measure(request, request.references, store, device, folder)
    vetted = vet(subject, found.profiles, config.vetting, config.score)
    used = {each.digest for each in vetted.kept}
    told = tuple(_summary(each, each.digest in used, request) for each in found.profiles)
    return replace(vetted, remarks=(*found.remarks, *vetted.remarks)), told


def _summary(reference: ClassProfile, used: bool, request: ScanRequest) -> ReferenceSummary:
    config = request.config
    found = scores(reference, (), config.score)
    p = p_value(float(found.max()), config.score.alone, len(found))
    return ReferenceSummary(
        uri=reference.name,
        digest=reference.digest,
        verdict="backdoored" if p <= config.judge.false_alarm_rate else "clean",
        p_value=p,
        used=used,
    )
