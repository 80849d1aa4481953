"""Names that a model, its file or its nodes may have to break the format of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from pipeline.ci_formats.checks import Outcome
from pipeline.evidence import ScanResult
from pipeline.gate.decision import GateDecision
from stages.types import GraphFinding, Verdict
from stages.verdict_label import Label

NAMES = (
    "\n::error::forged",
    "\r\n::set-output name=verdict::clean",
    "x\nverdict=clean",
    "verdict<<EOF\nclean\nEOF",
    "100%0A::notice::forged",
    "]]></failure><testcase name='forged'/>",
    "<!-- --> <script>alert(1)</script> &amp; &#0;",
    "a | b | c\n|---|---|\n| forged | passed |",
    "`` ` ``` \n```\n# forged",
    "[click](https://evil.example) ![x](https://evil.example/x.png) www.evil.example",
    "- - 1. nested\n\n> quote\n\n    code *_~",
    "\x00\x07\x1b[31m\x7f\x85\u2028\u202e\ufffe\ud800",
    "{0} {{1}} %s ${{ secrets.X }}",
    "C:\\models\\..\\x.onnx",
    "//evil.example/x?y#z",
    "",
    "   ",
    "../../..",
    "/",
    "models:/na me/3",
)

ANY_TEXT = st.text(max_size=60) | st.sampled_from(NAMES)
LABELS: tuple[Label, ...] = ("clean", "backdoored", "inconclusive")


def outcome_named(make: Callable[..., ScanResult], outcome: Outcome, name: str) -> Outcome:
    """The outcome with the name in every place that a model or a gate can fill."""
    result = outcome.result
    artifact = result.evidence.artifact
    evidence = result.evidence
    if artifact:
        finding = GraphFinding(rule="input-bypass", severity="warning", message=name, nodes=(name,))
        spec = replace(artifact.input, name=name)
        evidence = replace(
            evidence, artifact=replace(artifact, findings=(finding,), producer=name, input=spec)
        )
    verdict = replace(result.verdict, reasons=(name, name))
    hostile = make(model_uri=name, verdict=verdict, evidence=evidence)
    return replace(outcome, result=hostile, decision=GateDecision(action="block", reasons=(name,)))


def relabelled(verdict: Verdict, label: Label) -> Verdict:
    """The verdict with another label."""
    return replace(verdict, label=label)
