"""The verdict in a version's description, in Markdown, beside whatever its owner wrote there."""

from __future__ import annotations

import re

from mlflow_project.tracking import page_of
from pipeline.gate.attestation import Claim
from pipeline.printable import printable
from pipeline.report.markdown import literal
from pipeline.report.wording import p_text, score_text

END = "<!-- ban-gate: end of the card -->"
"""What tells a card from the owner's text; last, as lists show the beginning of a description."""
LONGEST_REASON = 300
LONGEST_DESCRIPTION = 5000
"""Characters, as MLflow's database column has."""

_CARD = re.compile(
    rf"^ban-gate: (?:pass|block)\b(?:(?!^ban-gate: ).)*?{re.escape(END)}",
    re.DOTALL | re.MULTILINE,
)


def with_card(description: str, claim: Claim, class_name: str | None = None) -> str:
    """The description with the card of this claim in place of an earlier one, else behind the text.

    `class_name` is what the suspected class is called. Whatever the owner wrote stays as it is.
    Where there is no room for the card, nothing changes.
    """
    card = f"{_card(claim, class_name)}\n\n{END}"
    if _CARD.search(description):
        changed = _CARD.sub(lambda _: card, description, count=1)
    else:
        changed = f"{description}\n\n{card}" if description else card
    return changed if len(changed) <= LONGEST_DESCRIPTION else description


def _card(claim: Claim, class_name: str | None) -> str:
    suspected = None if claim.suspected_class is None else str(claim.suspected_class)
    if suspected and class_name:
        suspected = f"{suspected} ({class_name})"
    facts = {
        "anomaly score": _number(claim.anomaly_score),
        "critical value": _number(claim.critical_value),
        "p-value": None if claim.p_value is None else p_text(claim.p_value, claim.p_is_bound),
        "suspected class": suspected,
        "waiver": claim.waiver,
        "why": "; ".join(claim.reasons)[:LONGEST_REASON],
        "compared with": ", ".join(claim.provenance.references)[:LONGEST_REASON],
        "at": claim.time,
    }
    rows = [
        f"| {name} | {literal(printable(str(value)))} |"
        for name, value in facts.items()
        if value not in (None, "")
    ]
    head = f"ban-gate: {claim.action} (verdict: {claim.verdict})"
    return "\n".join((head, "", "| | |", "|---|---|", *rows, *_run(claim)))


def _run(claim: Claim) -> list[str]:
    """The run with the evidence, as a link within MLflow's own pages where its page is known."""
    if not claim.run_id:
        return []
    page = page_of(claim.run_id)
    shown = literal(printable(claim.run_id))
    return [f"| run | {f'[{shown}]({page})' if page else shown} |"]


def _number(value: float | None) -> str | None:
    return None if value is None else score_text(value)
