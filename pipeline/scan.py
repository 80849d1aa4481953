"""The walk of one model from file to verdict: which stages, in which order."""

from __future__ import annotations

import logging
import platform
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import fx

from pipeline.config import ScanConfig
from pipeline.peak import peak_rss_mb
from pipeline.result import Evidence, ScanResult, TwinSummary
from pipeline.samples import read_samples
from pipeline.store import Store
from stages import judge
from stages.convert import build_module
from stages.errors import CannotJudge, ConfigError
from stages.inspection import inspect_onnx, load_proto
from stages.mask import find_mask
from stages.noise import find_targeted_noise, find_untargeted_noise
from stages.normalise import normalise
from stages.parity import prove_parity
from stages.precondition import check_preconditions
from stages.reference import run_reference
from stages.sites import measure_sites
from stages.twin import make_twin
from stages.types import CleanSamples, OnnxArtifact, TorchTwin, Verdict

STEPS = 11
"""Steps of a full walk, one more in reference mode: for whoever shows how far a scan is."""

logger = logging.getLogger(__name__)

PACKAGES = ("ban-gate", "torch", "onnx", "onnx2torch", "onnxruntime-gpu", "onnxruntime", "numpy")


@dataclass(frozen=True, kw_only=True)
class ScanRequest:
    """What to scan: an ONNX file, its clean samples, and the name the model goes by in reports."""

    model: Path
    samples: Path
    uri: str
    config: ScanConfig = field(default_factory=ScanConfig)


def scan(request: ScanRequest, store: Store) -> ScanResult:
    """The verdict on one model, with its evidence; `inconclusive` where it cannot be judged.

    Raises:
        ConfigError: when a setting is wrong, such as a device that is not there.
    """
    device = choose_device(request.config.device)
    evidence = Evidence()
    try:
        verdict = _walk(request, store, device, evidence)
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


def _walk(request: ScanRequest, store: Store, device: torch.device, evidence: Evidence) -> Verdict:
    """Fills `evidence` stage by stage and returns the verdict."""
    config, seed = request.config, request.config.seed
    with store.timed("inspect_onnx"):
        artifact = evidence.artifact = inspect_onnx(request.model)
    with store.timed("read_samples"):
        samples = evidence.samples = read_samples(request.samples, artifact)
    with store.timed("convert"):
        module = _convert(artifact, device)
    with store.timed("prove_parity"):
        evidence.parity = prove_parity(artifact, module, samples, config.parity)
    with store.timed("find_sites"):
        twin = make_twin(artifact, module, samples, device)
        evidence.twin = _summary(twin)
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


def describe(path: Path) -> tuple[OnnxArtifact, TwinSummary]:
    """What ban-gate sees in an ONNX file, without samples: the artifact, its sites and its split.

    Raises:
        CannotJudge: when the file is refused or cannot become a twin.
    """
    artifact = inspect_onnx(path)
    device = torch.device("cpu")
    noise = np.random.default_rng(0).random((3, *_image_shape(artifact)), dtype=np.float32)
    samples = CleanSamples(images=noise, labels=np.zeros(3, dtype=np.int64))
    return artifact, _summary(make_twin(artifact, _convert(artifact, device), samples, device))


def _image_shape(artifact: OnnxArtifact) -> tuple[int, ...]:
    free = tuple(size for size in artifact.input.shape[1:] if size is None)
    if free:
        raise CannotJudge(
            f"the input `{artifact.input.name}` has {len(free)} free sizes beside the batch; only"
            " a scan with samples can tell where noise may enter"
        )
    return tuple(size for size in artifact.input.shape[1:] if size is not None)


def _convert(artifact: OnnxArtifact, device: torch.device) -> fx.GraphModule:
    return build_module(normalise(load_proto(artifact.path))).to(device)


def _summary(twin: TorchTwin) -> TwinSummary:
    return TwinSummary(
        classes=twin.classes,
        trainable_share=twin.trainable_share,
        sites=twin.sites,
        features=twin.features,
        classifier=twin.classifier,
        device=str(twin.device),
    )


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
