"""May this version be promoted? The facts of a scan and a policy give the decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pipeline.gate.acceptance import sample_objections, way_objections
from pipeline.gate.policy import Policy, Waiver
from pipeline.gate.provenance import Provenance
from stages.verdict_label import Label

Action = Literal["pass", "block"]
Outcome = Literal["PASSED", "WARNED", "FAILED"]


@dataclass(frozen=True, kw_only=True)
class ScanFacts:
    """What a decision needs to know about a scan, and which version it was a scan of.

    `provenance` is how the verdict came about.
    `outside` is the verdict's: in which respect the model is unlike those of the calibration.
    `unscanned` are outputs of the model that no search looked at, `unexplained` is what else can be
    served from the version's folder, and `accepted_files` are files of it, each with its sha256,
    that were not judged and that the gate's policy accepted.
    """

    model: str
    version: int
    verdict: Label
    provenance: Provenance
    p_value: float | None = None
    p_is_bound: bool = False
    outside: str = ""
    unscanned: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    accepted_files: tuple[str, ...] = ()
    content_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """The answer of a gate: reasons as sentences, and the waiver that overrules the verdict."""

    action: Action
    reasons: tuple[str, ...]
    warned: bool = False
    waiver: Waiver | None = None

    @property
    def outcome(self) -> Outcome:
        """The answer in in-toto's words: a pass in spite of the verdict is `WARNED`."""
        if self.action == "block":
            return "FAILED"
        return "WARNED" if self.warned else "PASSED"


def decide(facts: ScanFacts, policy: Policy, now: datetime) -> GateDecision:
    """The decision on a version; whatever the policy does not allow is blocked.

    A waiver changes the decision and never the verdict; an expired one is only mentioned. Nothing
    lets a scan pass that was not done to its end.
    """
    objections = tuple(_objections(facts, policy))
    if not objections:
        remarks = tuple(_remarks(facts))
        reasons = remarks or ("the verdict is `clean`, as the policy requires",)
        return GateDecision(action="pass", reasons=reasons, warned=bool(remarks))
    if facts.provenance.unfinished:
        return GateDecision(action="block", reasons=objections)
    waivers = [
        each
        for each in policy.waiver
        if each.covers(facts.model, facts.version, facts.content_digest)
    ]
    for waiver in waivers:
        if not waiver.expired(now):
            reasons = (f"let pass by the {waiver}", *objections)
            return GateDecision(action="pass", reasons=reasons, warned=True, waiver=waiver)
    expired = tuple(f"expired on {each.expires} and ignored: the {each}" for each in waivers)
    return GateDecision(action="block", reasons=(*objections, *expired))


def _objections(facts: ScanFacts, policy: Policy) -> Iterator[str]:
    yield from _file_objections(facts, policy)
    yield from _verdict_objections(facts, policy)
    yield from way_objections(facts.provenance, policy)


def _verdict_objections(facts: ScanFacts, policy: Policy) -> Iterator[str]:
    match facts.verdict:
        case "clean":
            yield from _rate_objections(facts.p_value, facts.p_is_bound, policy)
            yield from sample_objections(facts.provenance, policy)
            if facts.outside and not policy.outside_calibration:
                yield (
                    f"the calibration was measured on models unlike this one ({facts.outside}), and"
                    " the policy does not accept a pass from outside; set `outside_calibration` to"
                    " accept it"
                )
            if missed := sorted(set(facts.unscanned) - set(policy.unscanned_outputs)):
                yield (
                    f"the outputs {', '.join(f'`{name}`' for name in missed)} were not looked at,"
                    " and the policy does not name them in `unscanned_outputs`"
                )
        case "backdoored" if policy.required_verdict == "any":
            return
        case "inconclusive" if policy.inconclusive == "warn":
            return
        case _:
            yield f"the verdict is `{facts.verdict}`, the policy requires `clean`"


def _file_objections(facts: ScanFacts, policy: Policy) -> Iterator[str]:
    """No verdict, and no leniency with one, is about what was not judged."""
    if facts.unexplained:
        yield f"not all of the version was judged: {', '.join(facts.unexplained)}"
    for each in facts.accepted_files:
        name, _, digest = each.rpartition(" sha256:")
        if digest not in policy.accepted_files:
            yield (
                f"the file `{name}` was not judged, and the policy does not name its sha256"
                f" {digest} in `accepted_files`"
            )


def _rate_objections(p_value: float | None, is_bound: bool, policy: Policy) -> Iterator[str]:
    if p_value is None:
        yield "the verdict is `clean` without a p-value, expected one"
    elif policy.false_alarm_rate is not None and (is_bound or p_value <= policy.false_alarm_rate):
        # a bound only says that p is smaller, so p may lie below any rate
        yield (
            f"p {'<' if is_bound else '='} {p_value:.2g}, the policy requires more than its"
            f" false-alarm rate {policy.false_alarm_rate:g}"
        )


def _remarks(facts: ScanFacts) -> Iterator[str]:
    """The remark on a version that the policy lets pass without a clean verdict."""
    if facts.verdict != "clean":
        yield f"the verdict is `{facts.verdict}`, which the policy lets pass with this remark"
