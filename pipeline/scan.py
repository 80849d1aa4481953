"""The walk of one model from file to verdict: which stages, in which order."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import torch

from pipeline.config import ScanConfig
from pipeline.peak import peak_rss_mb
from pipeline.references import weigh
from pipeline.result import Evidence, ScanResult
from pipeline.store import Store
from pipeline.walk import ScanRequest, class_profile, clean_behaviour, prepare
from stages import judge
from stages.errors import CannotJudge, ConfigError
from stages.mask import find_mask
from stages.noise import find_untargeted_noise
from stages.reference import run_reference
from stages.references import Vetted
from stages.types import Statistic, TorchTwin, Verdict

STEPS = 12
"""Steps of a full walk without options: for whoever shows how far a scan is."""

OPTIONAL_STEPS = {"mask": 2, "reference": 1}
"""Further steps that a section of settings enables."""

logger = logging.getLogger(__name__)

PACKAGES = ("ban-gate", "torch", "onnx", "onnx2torch", "onnxruntime-gpu", "onnxruntime", "numpy")


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
    verdict = judge.condemn(evidence.findings, verdict)
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


def steps_of(request: ScanRequest) -> int:
    """How many steps the walk of this request has, if it comes to an end."""
    config = request.config
    enabled = {"mask": config.mask.enabled, "reference": config.reference.enabled}
    further = sum(OPTIONAL_STEPS[section] for section, on in enabled.items() if on)
    return STEPS + further + bool(request.references)


def _walk(
    request: ScanRequest, store: Store, device: torch.device, evidence: Evidence, workspace: Path
) -> Verdict:
    """Fills `evidence` stage by stage and returns the verdict."""
    config = request.config
    twin = prepare(request, store, device, evidence, workspace)
    clean = clean_behaviour(twin, store, evidence, config)
    if clean.reasons:
        return Verdict(label="inconclusive", reasons=clean.reasons)
    profile = class_profile(twin, request.uri, store, evidence, config)
    references = Vetted(kept=(), remarks=())
    if request.references:
        with store.timed("weigh_references"):
            references, evidence.references = weigh(profile, request, store, device, workspace)
    verdict = store.run(judge.judge, profile, references, config.score, config.judge)
    return judge.accompany(verdict, *_accompanying(twin, store, evidence, config))


def _accompanying(
    twin: TorchTwin, store: Store, evidence: Evidence, config: ScanConfig
) -> Iterator[Statistic]:
    """What the paper's noise and mask say, where they are enabled; they do not decide."""
    samples, clean, seed = evidence.samples, evidence.precondition, config.seed
    sites, targeted = evidence.site_statistics, evidence.targeted
    assert samples is not None, "`prepare` reads them"  # noqa: S101 (our own logic)
    assert clean is not None, "`clean_behaviour` comes first"  # noqa: S101 (same)
    assert sites is not None, "`class_profile` comes first"  # noqa: S101 (same)
    assert targeted is not None, "`class_profile` comes first"  # noqa: S101 (same)
    if config.mask.enabled:
        epsilon = targeted.epsilon if config.noise.epsilon is None else config.noise.epsilon
        untargeted = evidence.untargeted = store.run(
            find_untargeted_noise, twin, samples, sites, clean, config.noise, epsilon, seed
        )
        mask = evidence.mask = store.run(
            find_mask, twin, samples, sites, untargeted, config.mask, seed
        )
        yield from judge.masked_statistics(clean, untargeted, mask)
    if config.reference.enabled:
        found = evidence.reference = store.run(
            run_reference, twin, samples, sites, config.reference, seed
        )
        yield judge.reference_statistic(found)


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
