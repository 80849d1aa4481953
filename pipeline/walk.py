"""The walk of every model, the judged one and its references: from file to class profile."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from onnx import ModelProto

from pipeline.config import ScanConfig
from pipeline.fetch import Fetched, fetch
from pipeline.isolation import isolated
from pipeline.native import NativeModel
from pipeline.result import Evidence, summarise
from pipeline.samples import first_images, read_samples
from pipeline.store import Store
from pipeline.untrusted import prove_conversion
from stages.blend import find_blend
from stages.convert import build_module
from stages.export.child import PROBES
from stages.export.detect import find_source
from stages.inspection import inspect_onnx
from stages.noise import find_targeted_noise, judged_margins
from stages.parity import confirm_parity
from stages.patch import find_patch
from stages.precondition import check_preconditions
from stages.sites import measure_sites
from stages.twin import make_twin
from stages.types import ClassProfile, CleanSamples, PreconditionResult, TorchTwin
from stages.warp import find_warp


@dataclass(frozen=True, kw_only=True)
class ScanRequest:
    """What to scan: a model, its clean samples, and the name the model goes by in reports.

    `model` is what `find_source` takes: a file, a folder, or `FILE.py:FUNCTION`. A native model is
    exported first, by the interpreter `python`, if it is `trusted` to run code. `references` are
    models of the same task that are known to be clean, or profiles that `calibrate` wrote; `names`
    tells what those that were fetched from elsewhere go by in reports.
    """

    model: str
    samples: Path
    uri: str
    config: ScanConfig = field(default_factory=ScanConfig)
    trusted: bool = False
    python: str = sys.executable
    references: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def prepare(
    request: ScanRequest, store: Store, device: torch.device, evidence: Evidence, workspace: Path
) -> TorchTwin:
    """The proven twin of the request's model; fills `evidence` on the way.

    Raises:
        CannotJudge: the model or the samples are refused, or the twin is not the model.
    """
    config = request.config
    with store.timed("fetch"):
        fetched = _fetched(request, workspace)
        evidence.export = fetched.export
    with store.timed("inspect_onnx"):
        artifact = evidence.artifact = isolated(config.isolation, inspect_onnx, fetched.path)
    with store.timed("read_samples"):
        samples = evidence.samples = read_samples(request.samples, artifact)
    with store.timed("prove_conversion"):
        proven = isolated(
            config.isolation, prove_conversion, artifact, _first(samples, config), config.parity
        )
        evidence.parity = proven.parity
    with store.timed("find_sites"):
        module = build_module(ModelProto.FromString(proven.graph)).to(device)
        confirm_parity(artifact, module, samples, proven.parity)
        twin = make_twin(artifact, module, samples, device)
        evidence.twin = summarise(twin)
    return twin


def clean_behaviour(
    twin: TorchTwin, store: Store, evidence: Evidence, config: ScanConfig
) -> PreconditionResult:
    """What the twin does on the clean samples, and why it may not be judged."""
    assert evidence.samples is not None, "`prepare` reads them"  # noqa: S101 (our own logic)
    found = store.run(check_preconditions, twin, evidence.samples, config.precondition)
    evidence.precondition = found
    return found


def class_profile(
    twin: TorchTwin, name: str, store: Store, evidence: Evidence, config: ScanConfig
) -> ClassProfile:
    """What the searches for a trigger say of every class; fills `evidence` on the way."""
    samples, clean = evidence.samples, evidence.precondition
    assert samples is not None, "`prepare` reads them"  # noqa: S101 (our own logic)
    assert clean is not None, "`clean_behaviour` comes first"  # noqa: S101 (same)
    seed, screening = config.seed, config.screen
    blend = evidence.blend = store.run(
        find_blend, twin, samples, clean, config.blend, screening, seed
    )
    patch = evidence.patch = store.run(
        find_patch, twin, samples, clean, config.patch, screening, seed
    )
    warp = evidence.warp = store.run(find_warp, twin, samples, clean, config.warp, screening, seed)
    sites = evidence.site_statistics = store.run(measure_sites, twin, samples)
    targeted = evidence.targeted = store.run(
        find_targeted_noise, twin, samples, sites, clean, config.noise, screening, seed
    )
    return ClassProfile(
        name=name,
        digest=twin.digest,
        samples=samples.digest,
        clean_accuracy=clean.clean_accuracy,
        blend=blend.margins.copy(),
        sure_blend=blend.sureness.copy(),
        strong_blend=blend.strong.copy(),
        patch=patch.margins.copy(),
        warp=warp.margins.copy(),
        noise=judged_margins(targeted, config.noise).copy(),
    )


def _fetched(request: ScanRequest, workspace: Path) -> Fetched:
    config = request.config
    source = find_source(request.model)
    exports = source.framework != "onnx" and request.trusted
    images = first_images(request.samples, PROBES) if exports else None
    model = NativeModel(source=source, python=request.python, images=images)
    return fetch(
        model,
        workspace,
        trusted=request.trusted,
        config=config.export,
        limits=config.isolation,
    )


def _first(samples: CleanSamples, config: ScanConfig) -> CleanSamples:
    """As many samples as parity is proven with."""
    n = sum(config.parity.batches)
    return CleanSamples(images=samples.images[:n].copy(), labels=samples.labels[:n].copy())
