"""The verdict as one page for people: `report.html`, which loads nothing and runs nothing.

Text, style and pictures are in the file, and its own policy forbids everything else. Whatever is
put into the page goes through `_shown` and is then escaped: names are the work of a model's maker.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.evidence import ScanResult
from pipeline.printable import printable
from pipeline.report import sections
from pipeline.report.tested import tested
from pipeline.report.verdict_json import verdict_document
from pipeline.report.wording import p_text, score_text

REPORT_FILE = "report.html"
TEMPLATES = Path(__file__).parent / "html"


@dataclass(frozen=True, kw_only=True)
class GateSection:
    """What a gate decided on a version of a model, and why, for the top of the page.

    `alias` is the one that was asked for, `attestation` the sha256 of the signed statement.
    """

    version: str
    decision: Literal["pass", "block"]
    reasons: tuple[str, ...]
    policy: str
    alias: str | None = None
    attestation: str | None = None


def render(result: ScanResult, gate: GateSection | None = None) -> str:
    """The page for a scan, also for one that ended early, with a gate's decision if there is one.

    Every number is one of `verdict.json`, or is drawn from the evidence behind it.
    """
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704 (our file)
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            document=verdict_document(result),
            evidence=result.evidence,
            ended=sections.ended(result),
            gate=gate,
            scores=sections.scores(result),
            noise=sections.noise(result),
            statistics=sections.statistics(result),
            settings=sections.settings(result.config),
            steps=tested(result),
            style=style,
            style_digest=policy_digest(style),
            triggers=sections.triggers(result),
            timings=sections.timings(result),
        )
    )


@cache
def environment() -> Environment:
    """The environment of all pages: everything is escaped, and shown as `_shown` says."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["at"] = "{:.1f}".format
    made.filters["exact"] = repr
    made.filters["p"] = p_text
    made.filters["percent"] = _percent
    made.filters["rarity"] = _rarity
    made.filters["score"] = score_text
    made.filters["sentence"] = _sentence
    return made


def _shown(value: object) -> object:
    """A value as the page shows it; names without anything that is not printable."""
    match value:
        case Markup():
            return value
        case None:
            return "not known"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
        case list() | tuple():
            return ", ".join(str(_shown(each)) for each in value) or "none"
    return printable(str(value))


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.3g} %"


def _rarity(p: float, is_bound: bool) -> str:
    """How often a clean model gives such a p-value, in plain words."""
    if p >= 0.5:
        return "most clean models show as much"
    often = "fewer than" if is_bound else "about"
    return f"{often} 1 in {round(1 / p):,} clean models shows as much"


def _sentence(text: str) -> Markup:
    """A reason as a sentence: a capital, a full stop, and code where it has pairs of backticks."""
    parts = printable(f"{text[:1].upper()}{text[1:]}").split("`")
    if len(parts) % 2 == 0:
        parts = ["`".join(parts)]
    marked = (
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )
    return Markup("{}{}").format(Markup().join(marked), "" if text.endswith(".") else ".")


def policy_digest(style: str) -> str:
    """The style's digest as a content security policy names it."""
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
