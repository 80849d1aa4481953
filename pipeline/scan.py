"""The walk of one model from file to verdict: which stages, in which order."""

from __future__ import annotations

import logging
import platform
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import torch
from onnx import ModelProto

from pipeline.config import ScanConfig
from pipeline.fetch import Fetched, fetch
from pipeline.isolation import isolated
from pipeline.native import NativeModel
from pipeline.peak import peak_rss_mb
from pipeline.result import Evidence, ScanResult, summarise
from pipeline.samples import first_images, read_samples
from pipeline.store import Store
from pipeline.untrusted import prove_conversion
from stages import judge
from stages.convert import build_module
from stages.errors import CannotJudge, ConfigError
from stages.export.child import PROBES
from stages.export.detect import find_source
from stages.inspection import inspect_onnx
from stages.mask import find_mask
from stages.noise import find_targeted_noise, find_untargeted_noise
from stages.parity import confirm_parity
from stages.precondition import check_preconditions
from stages.reference import run_reference
from stages.sites import measure_sites
from stages.twin import make_twin
from stages.types import CleanSamples, Verdict

STEPS = 11
"""Steps of a full walk, one more in reference mode: for whoever shows how far a scan is."""

logger = logging.getLogger(__name__)

PACKAGES = ("ban-gate", "torch", "onnx", "onnx2torch", "onnxruntime-gpu", "onnxruntime", "numpy")


@dataclass(frozen=True, kw_only=True)
class ScanRequest:
    """What to scan: a model, its clean samples, and the name the model goes by in reports.

    `model` is what `find_source` takes: a file, a folder, or `FILE.py:FUNCTION`. A native model is
    exported first, by the interpreter `python`, if it is `trusted` to run code.
    """

    model: str
    samples: Path
    uri: str
    config: ScanConfig = field(default_factory=ScanConfig)
    trusted: bool = False
    python: str = sys.executable


def scan(request: ScanRequest, store: Store, workspace: Path) -> ScanResult:
    """The verdict on one model, with its evidence; `inconclusive` where it cannot be judged.

    `workspace` is an empty folder of the scan's own, where the ONNX file lies that was judged.

    Raises:
        ConfigError: when a setting is wrong, such as a device that is not there.
    """
    device = choose_device(request.config.device)
    evidence = Evidence()
    try:
        verdict = _walk(request, store, device, evidence, workspace)
    except CannotJudge as refusal:
        verdict = Verdict(label="inconclusive", reasons=(str(refusal),))
    if evidence.artifact is not None:
        verdict = judge.condemn(evidence.artifact.findings, verdict)
    if verdict.label == "inconclusive":
        logger.info("cannot judge: %s", "; ".join(verdict.reasons))
    return ScanResult(
        model_uri=request.uri,
        config=request.config,
        verdict=verdict,
        evidence=evidence,
        seconds=dict(store.seconds),
        reused=tuple(store.reused),
        peak_rss_mb=peak_rss_mb(),
        environment=_environment(device),
    )


def _walk(
    request: ScanRequest, store: Store, device: torch.device, evidence: Evidence, workspace: Path
) -> Verdict:
    """Fills `evidence` stage by stage and returns the verdict."""
    config, seed = request.config, request.config.seed
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
    clean = store.run(check_preconditions, twin, samples, config.precondition)
    evidence.precondition = clean
    if clean.reasons:
        return Verdict(label="inconclusive", reasons=clean.reasons)
    sites = evidence.site_statistics = store.run(measure_sites, twin, samples)
    targeted = evidence.targeted = store.run(
        find_targeted_noise, twin, samples, sites, clean, config.noise, seed
    )
    epsilon = targeted.epsilon if config.noise.epsilon is None else config.noise.epsilon
    untargeted = evidence.untargeted = store.run(
        find_untargeted_noise, twin, samples, sites, clean, config.noise, epsilon, seed
    )
    mask = evidence.mask = store.run(find_mask, twin, samples, sites, untargeted, config.mask, seed)
    verdict = store.run(judge.judge, clean, targeted, untargeted, mask, config.judge)
    if not config.reference.enabled:
        return verdict
    evidence.reference = store.run(run_reference, twin, samples, sites, config.reference, seed)
    return judge.accompany(judge.reference_statistic(evidence.reference), verdict)


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


def choose_device(name: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda`; `auto` takes CUDA where there is one.

    Raises:
        ConfigError: for another name, or for `cuda` without a CUDA device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"unknown device `{name}`: expected `auto`, `cpu` or `cuda`")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("no CUDA device found; use `--device auto` or `--device cpu`")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _environment(device: torch.device) -> dict[str, str]:
    found = {"python": sys.version.split()[0], "platform": platform.platform()}
    found |= {"device": str(device), "threads": str(torch.get_num_threads())}
    installed = {each.metadata["Name"].lower() for each in metadata.distributions()}
    return found | {name: metadata.version(name) for name in PACKAGES if name in installed}
