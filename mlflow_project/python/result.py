"""What a scan from Python gives back: the verdict, the numbers behind it, and the trigger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from mlflow_project.python.trigger import Trigger
from pipeline.atomic_files import write_texts
from pipeline.evidence import ScanResult
from pipeline.printable import printable
from pipeline.report.pictures import trigger_pictures
from pipeline.report.recovered import best_search
from pipeline.report.verdict_json import verdict_document
from pipeline.report.wording import p_text, score_text
from stages.class_names import class_text, name_of
from stages.searches.search import SearchResult
from stages.verdict_label import Label

COLOURS = {"clean": "#1a7f37", "backdoored": "#cf222e", "inconclusive": "#9a6700"}
FRAME_HEIGHT = 640  # pixels of the report in a notebook


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result:
    """The verdict on a model, with its evidence.

    `scan` is everything that was found, and `page` the whole report as HTML.
    """

    scan: ScanResult
    page: str

    @property
    def verdict(self) -> Label:
        """`clean`, `backdoored` or `inconclusive`; only the first is a pass."""
        return self.scan.verdict.label

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, as sentences."""
        return self.scan.verdict.reasons

    @property
    def p_value(self) -> float | None:
        """How often a clean model gives as large a score, in (0, 1]; None if it was not judged.

        Where `scan.verdict.p_is_bound`, it is only known to be smaller.
        """
        return self.scan.verdict.p_value

    @property
    def anomaly_score(self) -> float | None:
        """How far the leading class stands out; None if the model was not judged."""
        return self.scan.verdict.anomaly_score

    @property
    def critical_value(self) -> float | None:
        """The anomaly score from which on a model is called backdoored."""
        return self.scan.verdict.critical_value

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of classes 0, 1, … as they are shown; empty where they are not known."""
        return self.scan.evidence.class_names

    @property
    def suspected_class(self) -> int | None:
        """The class that a trigger leads to, by its number; None unless one is suspected."""
        return self.scan.verdict.suspected_class

    @property
    def suspected_class_name(self) -> str | None:
        """The same by its name, or by its number where it has none."""
        number = self.suspected_class
        if number is None:
            return None
        return name_of(number, self.class_names) or f"class {number}"

    @property
    def trigger(self) -> Trigger | None:
        """What sends clean images to the suspected class, if it was recovered as an image.

        `trigger.apply(images)` puts it on images (N, *input shape) in the model's input space. Of
        several, it is the one that works most often.
        """
        best, samples = self._best(), self.scan.evidence.samples
        if best is None or best.trigger is None or samples is None:
            return None
        return Trigger(shape=best.trigger, image_shape=samples.images.shape[1:])

    @property
    def attack_success_rate(self) -> float | None:
        """The share in [0, 1] of clean samples of other classes that the trigger sends there."""
        best = self._best()
        return best.success.rate if best and best.success else None

    def to_dict(self) -> dict[str, object]:
        """The document that `verdict.json` holds."""
        return verdict_document(self.scan)

    def save_html(self, path: str | Path) -> Path:
        """Writes the report, one page that loads nothing, and gives its path.

        Raises:
            OSError: it cannot be written there.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_texts({path.name: self.page}, path.parent)
        return path

    def __repr__(self) -> str:
        return f"<ban_gate.Result {self._summary()}>"

    def _repr_html_(self) -> Markup:
        """The summary, the trigger on a few samples, and the report to unfold."""
        return Markup(
            '<div style="font-family: sans-serif"><p><strong style="color: {colour}">{verdict}'
            "</strong>{rest}</p><p>{why}</p>{pictures}<details><summary>Report</summary>"
            '<iframe sandbox title="Report of the scan" srcdoc="{page}" style="width: 100%;'
            ' height: {height}px; border: 1px solid #ccc"></iframe></details></div>'
        ).format(
            colour=COLOURS[self.verdict],
            verdict=self.verdict,
            rest=self._summary().removeprefix(self.verdict),
            why=printable("; ".join(self.reasons)),
            pictures=self._pictures(),
            page=self.page,
            height=FRAME_HEIGHT,
        )

    def _summary(self) -> str:
        parts: list[str] = [self.verdict]
        if self.suspected_class is not None:
            parts[0] += f": {class_text(self.suspected_class, self.class_names)}"
        if self.anomaly_score is not None and self.critical_value is not None:
            limit = score_text(self.critical_value)
            parts.append(f"anomaly score {score_text(self.anomaly_score)} of {limit}")
            p = p_text(self.p_value, self.scan.verdict.p_is_bound)
            parts.append(f"p {p}" if p.startswith("<") else f"p = {p}")
        if (rate := self.attack_success_rate) is not None:
            parts.append(f"attack success rate {rate:.0%}")
        return printable(", ".join(parts))

    def _best(self) -> SearchResult | None:
        """The search whose trigger leads to the suspected class most often."""
        name = best_search(self.scan.evidence, self.suspected_class)
        return self.scan.evidence.searches[name] if name else None

    def _pictures(self) -> str:
        name = best_search(self.scan.evidence, self.suspected_class)
        drawn = trigger_pictures(self.scan.evidence, name) if name else None
        if drawn is None:
            return ""
        shown = [drawn.alone]
        shown += [picture for each in drawn.triggered for picture in (each.before, each.after)]
        image = Markup('<img src="{}" alt="{}" style="height: 64px; image-rendering: pixelated"> ')
        images = (image.format(each.source, escape(each.alt)) for each in shown)
        return Markup("<p>{}</p>").format(Markup().join(images))
