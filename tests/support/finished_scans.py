"""Finished scans: evidence built by hand, results of any kind, real scans of the demo models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.ci_formats.checks import Outcome
from pipeline.config import ScanConfig, load_config
from pipeline.evidence import Evidence, ScanResult
from pipeline.intake.sandbox import Isolation
from pipeline.request import ScanRequest
from pipeline.scan import scan
from pipeline.steps import STEPS, steps_of
from stages.published.results import MaskResult, UntargetedNoise
from stages.published.settings import FeatureMaskConfig
from stages.published.statistics import masked_statistics
from stages.searches import SEARCHES
from stages.twin.summary import TwinSummary
from stages.types import (
    Arithmetic,
    CleanSamples,
    NoiseSite,
    OnnxArtifact,
    ParityResult,
    PreconditionResult,
    Statistic,
    TensorSpec,
    Verdict,
)
from tests.support.finished_searches import searches
from tests.support.places import DEMO
from tests.support.scanned_home import scanned_store

MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
FOUND_BY = {
    "inspect_onnx": "artifact",
    "read_samples": "samples",
    "prove_conversion": "parity",
    "build_twin": "twin",
    "check_preconditions": "precondition",
    "find_untargeted_noise": "untargeted",
    "find_mask": "mask",
}
"""The field of the evidence that a step fills; those of the searches are `searches`."""


@pytest.fixture
def make_artifact(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., OnnxArtifact]:
    """Builds what inspection says of a model with inputs (any, 1, 4, 4) and 5 logits."""

    def make(**changes: object) -> OnnxArtifact:
        path = tmp_path_factory.mktemp("model") / "model.onnx"
        path.write_bytes(b"the bytes of a model")
        artifact = OnnxArtifact(
            path=path,
            framework="pytorch",
            producer="pytorch 2.14",
            digest="ab" * 32,
            content_digest="cd" * 32,
            opset=17,
            parameters=1234,
            input=TensorSpec(name="image", shape=(None, 1, 4, 4), dtype="float32"),
            output=TensorSpec(name="logits", shape=(None, 5), dtype="float32"),
        )
        return replace(artifact, **changes)  # type: ignore[arg-type] # tests name real fields

    return make


SITES = tuple(NoiseSite(node=name, kind="conv", channels=8, axis=-3) for name in ("one", "two"))


@pytest.fixture
def evidence(make_artifact: Callable[..., OnnxArtifact]) -> Evidence:
    """Everything a full scan of 5 classes and 2 sites finds; class 3 stands out."""
    random, labels = np.random.default_rng(0), np.arange(40, dtype=np.int64) % 5
    return Evidence(
        isolation=Isolation(layers=("signals",), missing=("TCP: no Landlock",)),
        artifact=make_artifact(),
        samples=CleanSamples(images=random.random((40, 1, 4, 4), np.float32), labels=labels),
        parity=ParityResult(
            max_abs=1e-6,
            max_rel=2e-7,
            median_rel=1e-8,
            tolerance=1e-4,
            top1_agreement=1.0,
            batches=(1, 7),
            n=8,
            logits=random.standard_normal((8, 5)).astype(np.float32),
        ),
        twin=TwinSummary(
            classes=5,
            trainable_share=1.0,
            sites=SITES,
            features="two",
            classifier="fc",
            arithmetic=Arithmetic(layout="channels_last"),
            device="cpu",
        ),
        precondition=PreconditionResult(
            logits=np.eye(5, dtype=np.float32)[labels],
            clean_accuracy=1.0,
            covered_classes=5,
            reasons=(),
        ),
        searches=searches(random),
        untargeted=UntargetedNoise(
            epsilon=0.3,
            scale=(np.zeros(8, np.float32), np.ones(8, np.float32)),
            shift=(np.ones(8, np.float32), np.zeros(8, np.float32)),
            loss=np.array([0.1, 2.0, 3.5], np.float32),
            predictions=np.array([1, 2, 3, 30, 4]),
            accuracy=0.2,
        ),
        mask=MaskResult(
            mask=np.ones(6, np.float32),
            benign_loss=np.array([1.0, 0.5], np.float32),
            other_loss=np.array([1.0, 2.0], np.float32),
            benign_accuracy=0.9,
            predictions=np.array([0, 0, 0, 40, 0]),
        ),
    )


def with_permutation(result: ScanResult) -> ScanResult:
    """The scan of a model in which one trigger carries each class to the next."""
    found = result.evidence.searches["permutation"]
    assert found.mapping is not None
    statistics = {name: -2 * values for name, values in found.statistics.items()}
    targets = tuple(found.mapping.tolist())
    found = replace(found, statistics=statistics, targets=targets)
    return with_evidence(result, searches={**result.evidence.searches, "permutation": found})


def statistics_of(found: Evidence) -> tuple[Statistic, ...]:
    """What the searches say, as a verdict has it."""
    return tuple(
        Statistic.of(f"{search.name}.{spec.name}", spec.unit, result.statistics[spec.name])
        for search in SEARCHES
        if (result := found.searches.get(search.name))
        for spec in search.statistics
    )


def blocked(found: Evidence) -> Verdict:
    """The verdict `backdoored` with class 3, by the score of the evidence's five classes."""
    assert found.precondition
    assert found.untargeted
    assert found.mask
    return Verdict(
        label="backdoored",
        reasons=("class 3 stands out (anomaly score 5.12, critical value 1.69, p < 0.016)",),
        suspected_class=3,
        anomaly_score=5.125,
        critical_value=1.6875,
        p_value=1 / 64,
        p_is_bound=True,
        class_scores=(0.25, 0.0, 0.5, 5.125, 0.75),
        statistics=statistics_of(found),
        published=masked_statistics(found.precondition, found.untargeted, found.mask),
    )


@pytest.fixture
def make_result(evidence: Evidence) -> Callable[..., ScanResult]:
    """Builds a finished scan, backdoored with class 3 unless fields are given."""
    config = replace(ScanConfig(), feature_mask=FeatureMaskConfig(enabled=True))

    def make(**changes: object) -> ScanResult:
        result = ScanResult(
            model_uri="model.onnx",
            config=config,
            verdict=blocked(evidence),
            evidence=evidence,
            done=done(config),
            seconds={"build_twin": 0.5, "find_neuron_noise": 12.25},
            reused=("find_neuron_noise",),
            peak_rss_mb=512.0,
            environment={"python": "3.11", "ban-gate": "0.1.0"},
            ended=MOMENT,
        )
        return replace(result, **changes)  # type: ignore[arg-type] # tests name real fields

    return make


def done(config: ScanConfig) -> tuple[str, ...]:
    """The steps of a scan without references that came to an end."""
    request = ScanRequest(model="model.onnx", samples=Path("s.npz"), uri="m", config=config)
    return tuple(step.name for step in steps_of(request))


def ended_at(result: ScanResult, step: str) -> ScanResult:
    """The scan as it is if it ends without a verdict at a step: later ones left nothing."""
    names = [each.name for each in STEPS]
    reached = names[: names.index(step)]
    lost = {field: None for name, field in FOUND_BY.items() if name not in reached}
    known = {
        name: each for name, each in result.evidence.searches.items() if f"find_{name}" in reached
    }
    return replace(
        result,
        verdict=Verdict(label="inconclusive", reasons=("it broke",)),
        evidence=replace(result.evidence, searches=known, **lost),  # type: ignore[arg-type] # fields
        done=tuple(name for name in result.done if name in reached),
    )


def without_search(result: ScanResult, *names: str) -> ScanResult:
    """The scan without what some searches found."""
    left = {name: each for name, each in result.evidence.searches.items() if name not in names}
    return with_evidence(result, searches=left)


def with_evidence(result: ScanResult, **changes: object) -> ScanResult:
    """The scan with other evidence."""
    return replace(
        result,
        evidence=replace(result.evidence, **changes),  # type: ignore[arg-type] # real fields
    )


@pytest.fixture
def refused(make_result: Callable[..., ScanResult]) -> ScanResult:
    """A scan that ended at the first step: nothing is known but the reason."""
    verdict = Verdict(label="inconclusive", reasons=("`model.onnx` is not ONNX; export it again",))
    nothing = {"seconds": {}, "reused": (), "done": ("fetch",)}
    return make_result(verdict=verdict, evidence=Evidence(), **nothing)


@pytest.fixture
def make_outcome(make_result: Callable[..., ScanResult]) -> Callable[..., Outcome]:
    """Builds what a pipeline is told: of `make_result()` unless `result` is given."""

    def make(**changes: object) -> Outcome:
        outcome = Outcome(result=make_result(), moment=MOMENT)
        return replace(outcome, **changes)  # type: ignore[arg-type] # tests name real fields

    return make


@pytest.fixture(scope="session")
def real_scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ScanResult]:
    """Real scans of the demo's models: one per verdict, and one of a file that is no model."""
    folder = tmp_path_factory.mktemp("scans")
    broken = folder / "broken.onnx"
    broken.write_text("this is no model")
    store = scanned_store(folder, "blended", "clean")

    def judged(model: Path, *settings: str) -> ScanResult:
        request = ScanRequest(
            model=str(model),
            samples=DEMO / "samples.npz",
            uri=f"models/{model.name}",
            config=load_config(None, settings),
        )
        return scan(request, store.quiet(), tmp_path_factory.mktemp("workspace"))

    return {
        "backdoored": judged(DEMO / "blended.onnx", "judge.until_certain=false"),
        "clean": judged(DEMO / "clean.onnx"),
        "inconclusive": judged(DEMO / "patch.onnx", "precondition.min_samples=100000"),
        "refused": judged(broken),
    }


@pytest.fixture(scope="session")
def real_outcomes(real_scans: dict[str, ScanResult]) -> dict[str, Outcome]:
    """Real scans of the demo models and of a file that is no model, by label of their verdict."""
    results = (real_scans[name] for name in ("clean", "backdoored", "refused"))
    return {each.verdict.label: Outcome(result=each, moment=MOMENT) for each in results}
