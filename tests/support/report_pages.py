"""Pages of scans: what a reader finds in one, and scans whose every name is hostile."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from pipeline.atomic_files import write_text
from pipeline.evidence import ReferenceSummary, ScanResult
from pipeline.report.html_page import REPORT_FILE, GateSection, Origin, render
from stages.types import GraphFinding, NoiseSite
from tests.support.finished_scans import with_evidence

GATE = GateSection(
    version="shop/7",
    decision="block",
    reasons=("the verdict is `backdoored`",),
    policy="production",
    alias="champion",
    attestation="cd" * 32,
)
SPOKEN = ("alt", "aria-label")
"""Attributes whose text a reader meets."""


class Reader(HTMLParser):
    """What a page is made of: its elements in order, its text, and its numbers by column.

    `scores` holds the exact anomaly scores of the table, `data` every exact number with the text
    that stands for it, `spoken` the text of attributes.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text: list[str] = []
        self.spoken: list[str] = []
        self.scores: list[float] = []
        self.data: list[tuple[float, str]] = []
        self._chapters: list[list[str]] = [[""]]
        self._within: list[str] = []
        self._in_scores = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes an element, and the exact number in a cell of the column of scores."""
        self.elements.append((tag, tuple(attrs)))
        given = dict(attrs)
        self._within.append(tag)
        self.spoken += [given[name] or "" for name in SPOKEN if name in given]
        if tag == "h2":
            self._chapters.append([""])
        if tag == "td":
            self._in_scores = "score" in (given.get("class") or "").split()
        if tag == "data":
            self.data.append((float(given["value"] or "nan"), ""))
            if self._in_scores:
                self.scores.append(self.data[-1][0])

    def handle_endtag(self, tag: str) -> None:
        """Notes that an element ended, with those in it that have no end."""
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Notes text, apart from the style."""
        if "style" in self._within:
            return
        self.text.append(data)
        chapter = self._chapters[-1]
        chapter.append(data)
        if "h2" in self._within:
            chapter[0] += data
        if self._within[-1:] == ["data"]:
            self.data[-1] = (self.data[-1][0], self.data[-1][1] + data)

    @property
    def prose(self) -> str:
        """All text of the page with single spaces."""
        return " ".join("".join(self.text).split())

    @property
    def chapters(self) -> dict[str, str]:
        """The text of each part of the page by its heading of the second level."""
        parts = {"".join(each[0].split("\n")): each[1:] for each in self._chapters}
        return {name: " ".join("".join(text).split()) for name, text in parts.items()}

    @property
    def shape(self) -> list[tuple[str, list[str], list[str | None]]]:
        """Elements with the names of their attributes, and where they lead or load from."""
        return [
            (
                tag,
                [name for name, _ in attrs],
                [value for name, value in attrs if name in ("href", "class", "id")],
            )
            for tag, attrs in self.elements
            if tag != "code"
        ]


def named(result: ScanResult, name: str) -> tuple[ScanResult, GateSection]:
    """The scan with every name in it replaced, and a gate's decision on a version of that name.

    It has two noise sites only, so that the page of a real scan stays short.
    """
    evidence = result.evidence
    assert evidence.artifact is not None
    assert evidence.twin is not None
    noise = evidence.searches["neuron_noise"]
    assert noise.sweep is not None
    finding = GraphFinding(rule=name, severity="warning", message=name, nodes=(name,))
    artifact = replace(
        evidence.artifact, framework=name, producer=name, digest=name, findings=(finding,)
    )
    sites = tuple(NoiseSite(node=name, kind="conv", channels=8, axis=-3) for _ in range(2))
    swept = replace(noise.sweep, by_site=noise.sweep.by_site[:, :2].copy())
    reference = ReferenceSummary(
        uri=name, digest=name, verdict="clean", p_value=0.4, p_is_bound=False, used=True
    )
    hostile = with_evidence(
        result,
        artifact=artifact,
        twin=replace(evidence.twin, sites=sites),
        references=(reference,),
        searches={**evidence.searches, "neuron_noise": replace(noise, sweep=swept)},
    )
    gate = replace(GATE, version=name, reasons=(name,), policy=name, alias=name, attestation=name)
    shown = replace(
        hostile,
        model_uri=name,
        verdict=replace(result.verdict, reasons=(name, name)),
        seconds={name: 1.0},
        environment={name: name},
    )
    return shown, gate


def with_names(result: ScanResult, names: tuple[str, ...]) -> ScanResult:
    """The scan on samples that name the classes."""
    samples = result.evidence.samples
    assert samples is not None
    return with_evidence(result, samples=replace(samples, class_names=names))


def page_in(
    folder: Path,
    result: ScanResult,
    gate: GateSection | None = None,
    origin: Origin | None = None,
) -> Path:
    """The page of a scan as a file."""
    return write_text(folder / REPORT_FILE, render(result, gate, origin))
