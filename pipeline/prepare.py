"""The way of every model, the judged one and its references: from a file to what is searched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from onnx import ModelProto

from pipeline.cache.store import Store
from pipeline.config import ScanConfig
from pipeline.file_digest import file_digest
from pipeline.intake.fetch import Fetched, fetch
from pipeline.intake.native import NativeModel
from pipeline.intake.samples import first_images
from pipeline.intake.sandbox import Sandbox
from pipeline.intake.untrusted import prove_conversion
from pipeline.intake.whole_folder import judged_of
from pipeline.note import Note, unnoted
from pipeline.request import ScanRequest
from pipeline.samples.clean import clean_samples
from pipeline.samples.native_shape import native_shape
from pipeline.samples.source import exact_file
from stages.errors import CannotJudge
from stages.export.child import PROBES
from stages.export.source import ModelSource
from stages.onnx_file.inspection import inspect_onnx
from stages.searches.search import Subject
from stages.twin.alike import alike_classes, with_labels_of, with_one_of_each
from stages.twin.arithmetic import choose_arithmetic, computing
from stages.twin.build import make_twin
from stages.twin.convert import build_module
from stages.twin.gradient import require_gradient
from stages.twin.parity import confirm_parity
from stages.twin.precondition import check_preconditions
from stages.twin.sites import measure_sites
from stages.twin.summary import summarise
from stages.types import CleanSamples, OnnxArtifact, ParityResult, PreconditionResult, TorchTwin


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A twin that is proven to be the model, and what it was made of."""

    twin: TorchTwin
    samples: CleanSamples
    artifact: OnnxArtifact
    parity: ParityResult


def prepare(
    request: ScanRequest,
    store: Store,
    device: torch.device,
    workspace: Path,
    sandbox: Sandbox,
    note: Note = unnoted,
) -> Prepared:
    """The proven twin of the request's model, whose file is read in the sandbox.

    Raises:
        CannotJudge: the model or the samples are refused, or the twin is not the model.
    """
    config = request.config
    with store.timed("fetch"):
        judged = judged_of(
            request.model,
            sandbox,
            registered=request.registered,
            trusted=request.trusted,
            accepted_files=request.accepted_files,
        )
        note(judged=judged)
        judged.require_all()
        fetched = _fetched(judged.source, request, workspace, sandbox)
    note(export=fetched.export)
    with store.timed("inspect_onnx"):
        artifact = sandbox.run(inspect_onnx, fetched.path, config.output.name)
        _require_same(artifact, fetched.path)
    note(artifact=artifact)
    with store.timed("read_samples"):
        samples = clean_samples(request.samples, artifact, request.model, request.preparation)
    note(samples=samples)
    with store.timed("prove_conversion"):
        first = _first(samples, config)
        proven = sandbox.run(prove_conversion, artifact, first, config.parity)
    note(parity=proven.parity)
    with store.timed("build_twin"):
        module = build_module(ModelProto.FromString(proven.graph)).to(device)
        confirm_parity(artifact, module, samples, proven.parity)
        twin = make_twin(artifact, module, samples, device)
        require_gradient(twin.module, samples.images)
    arithmetic = store.run(choose_arithmetic, twin, samples, config.arithmetic)
    twin = computing(twin, arithmetic)
    note(twin=summarise(twin))
    return Prepared(twin=twin, samples=samples, artifact=artifact, parity=proven.parity)


def checked(
    prepared: Prepared, store: Store, config: ScanConfig
) -> tuple[Prepared, PreconditionResult]:
    """What the twin does on the clean samples, with classes that have the same scores made one."""
    clean = store.run(check_preconditions, prepared.twin, prepared.samples, config.precondition)
    alike = alike_classes(clean.logits)
    if not alike:
        return prepared, clean
    twin = with_one_of_each(prepared.twin, alike)
    merged = replace(prepared, twin=twin, samples=with_labels_of(prepared.samples, alike))
    again = store.run(check_preconditions, merged.twin, merged.samples, config.precondition)
    return merged, replace(again, alike=alike)


def subject_of(prepared: Prepared, clean: PreconditionResult, store: Store) -> Subject:
    """What the searches look at, with its sites measured."""
    twin, samples = prepared.twin, prepared.samples
    sites = store.run(measure_sites, twin, samples)
    return Subject(twin=twin, samples=samples, clean=clean, sites=sites)


def _fetched(
    source: ModelSource, request: ScanRequest, workspace: Path, sandbox: Sandbox
) -> Fetched:
    config = request.config
    exports = source.framework != "onnx" and request.trusted
    model = NativeModel(source=source, python=request.python)
    if exports:
        model = _with_probe(model, request)
    return fetch(
        model,
        workspace,
        trusted=request.trusted,
        config=config.export,
        sandbox=sandbox,
    )


def _with_probe(model: NativeModel, request: ScanRequest) -> NativeModel:
    """The model with what is known of its images: some of them, or their shape."""
    exact = exact_file(request.samples)
    if exact is not None:
        return replace(model, images=first_images(exact, PROBES))
    shape = native_shape(request.preparation, request.model, model.source.framework)
    return replace(model, shape=shape)


def _require_same(artifact: OnnxArtifact, path: Path) -> None:
    """Raises unless what the child says of a file is about that file."""
    if artifact.path != path or artifact.digest != file_digest(path):
        raise CannotJudge(
            f"the process that reads `{path.name}` says that it is another file; export the model"
            " again"
        )


def _first(samples: CleanSamples, config: ScanConfig) -> CleanSamples:
    """As many samples as parity is proven with."""
    n = sum(config.parity.batches)
    return CleanSamples(images=samples.images[:n].copy(), labels=samples.labels[:n].copy())
