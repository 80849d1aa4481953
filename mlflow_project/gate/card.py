"""The verdict in a version's description, in Markdown, beside whatever its owner wrote there."""

from __future__ import annotations

import re

from pipeline.gate.attestation import Claim
from pipeline.printable import printable
from pipeline.report.wording import p_text

BEGIN, END = "<!-- ban-gate: begin -->", "<!-- ban-gate: end -->"
LONGEST_REASON = 300
LONGEST_DESCRIPTION = 5000
"""Characters, as MLflow's database column has."""

_CARD = re.compile(rf"{re.escape(BEGIN)}(?:(?!{re.escape(BEGIN)}).)*?{re.escape(END)}", re.DOTALL)


def with_card(description: str, claim: Claim) -> str:
    """The description with the card of this claim in place of an earlier one, else behind the text.

    Whatever the owner wrote stays as it is. Where there is no room for the card, nothing changes.
    """
    card = f"{BEGIN}\n{_card(claim)}\n{END}"
    if _CARD.search(description):
        changed = _CARD.sub(lambda _: card, description, count=1)
    else:
        changed = f"{description}\n\n{card}" if description else card
    return changed if len(changed) <= LONGEST_DESCRIPTION else description


def _card(claim: Claim) -> str:
    facts = {
        "gate": claim.action,
        "verdict": claim.verdict,
        "anomaly score": _number(claim.anomaly_score),
        "critical value": _number(claim.critical_value),
        "p-value": None if claim.p_value is None else p_text(claim.p_value, claim.p_is_bound),
        "suspected class": claim.suspected_class,
        "waiver": claim.waiver,
        "why": "; ".join(claim.reasons)[:LONGEST_REASON],
        "compared with": ", ".join(claim.provenance.references)[:LONGEST_REASON],
        "run": claim.run_id,
        "at": claim.time,
    }
    rows = (
        f"| {name} | {_plain(str(value))} |"
        for name, value in facts.items()
        if value not in (None, "")
    )
    return "\n".join(("| ban-gate | |", "|---|---|", *rows))


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.2g}"


def _plain(text: str) -> str:
    """Text of any origin as text: no Markdown, HTML, link, cell or marker can come of it."""
    return re.sub(r"[^\w ,=%]|_", lambda found: f"&#{ord(found[0])};", printable(text))
