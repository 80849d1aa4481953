"""The verdict as one page for people: `report.html`, which loads nothing and runs nothing.

Text, style and pictures are in the file, and its own policy forbids everything else. Whatever is
put into the page goes through `_shown` and is then escaped: names are the work of a model's maker.
"""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.evidence import ScanResult
from pipeline.printable import printable
from pipeline.report import sections
from pipeline.report.given import given
from pipeline.report.tested import tested
from pipeline.report.triggers import triggers
from pipeline.report.verdict_json import verdict_document
from pipeline.report.wording import WORDING, p_text, score_text
from stages.class_names import Names, class_text, name_of

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


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a scan came from: the command that repeats it, and the page of its MLflow run."""

    command: str | None = None
    run_url: str | None = None


def render(
    result: ScanResult, gate: GateSection | None = None, origin: Origin | None = None
) -> str:
    """The page for a scan, also for one that ended early, with a gate's decision if there is one.

    Every number is one of `verdict.json`, or is drawn from the evidence behind it.
    """
    style = Markup(_style("charts.css") + _style("report.css"))  # noqa: S704 (our files)
    return drawn(
        "report.html.jinja",
        result,
        document=verdict_document(result),
        evidence=result.evidence,
        ended=sections.ended(result),
        gate=gate,
        given=given(result),
        moment=result.ended,
        noise=sections.noise(result),
        origin=origin or Origin(),
        scores=sections.scores(result),
        settings=sections.settings(result.config),
        statistics=sections.statistics(result),
        steps=tested(result),
        style=style,
        style_digest=policy_digest(style),
        timings=sections.timings(result),
        triggers=triggers(result),
    )


def drawn(template: str, result: ScanResult, **context: object) -> str:
    """A template filled in, in which `called` and `named` speak of the scan's classes."""
    names = result.evidence.class_names
    return (
        environment()
        .get_template(template)
        .render(
            called=partial(class_text, names=names),
            named=partial(_short_name, names=names),
            figure_style=Markup(_style("figure.css") + _style("charts.css")),  # noqa: S704 (same)
            **context,
        )
    )


@cache
def _style(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


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
    made.filters["capital"] = _capital
    made.filters["exact"] = repr
    made.filters["p"] = p_text
    made.filters["percent"] = _percent
    made.filters["moment"] = _moment
    made.filters["rarity"] = _rarity
    made.filters["score"] = score_text
    made.filters["search_title"] = lambda search: WORDING[search].title
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
    return None if share is None else f"{100 * share:.3g}%"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _short_name(number: int, names: Names) -> str:
    """A class by its name alone, as under a picture, or by its number."""
    return name_of(number, names) or f"class {number}"


def _moment(moment: datetime) -> str:
    """A moment in UTC as people write it, such as `3 April 2026, 17:05 UTC`."""
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _rarity(p: float, is_bound: bool) -> str:
    """How often a clean model gives such a p-value, in words that say no more than is known."""
    if p >= 0.5:
        return "most clean models show as much"
    if is_bound:
        return f"fewer than 1 in {math.floor(1 / p + 1e-9):,} clean models show as much"
    return f"about 1 in {float(f'{1 / p:.1g}'):,.0f} clean models shows as much"


def _sentence(text: str) -> Markup:
    """A reason as a sentence: a capital, a full stop, and code where it has pairs of backticks."""
    parts = printable(_capital(text)).split("`")
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
