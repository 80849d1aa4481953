"""What was recovered for the class that a report is about, and how often it works."""

from __future__ import annotations

from pipeline.evidence import Evidence, ScanResult
from pipeline.report.wording import success_text
from stages.searches.search import SearchResult


def best_search(evidence: Evidence, target: int | None) -> str | None:
    """The search whose find carries samples to a class most often, by name; None if there is none.

    What can be laid on an image comes before noise inside the twin, and what works on images of
    every class before what works on those of one.
    """
    found = {
        name: each
        for name, each in evidence.searches.items()
        if each.accused is not None and each.accused == target and each.success
    }
    return max(found, key=lambda name: _worth(found[name]), default=None)


def recovered_text(result: ScanResult) -> str | None:
    """How often the best find for the suspected class works, as a sentence without full stop."""
    suspected, evidence = result.verdict.suspected_class, result.evidence
    name = best_search(evidence, suspected)
    success = evidence.searches[name].success if name else None
    if suspected is None or success is None:
        return None
    return success_text(success, suspected, evidence.class_names)


def _worth(found: SearchResult) -> tuple[bool, bool, float]:
    success = found.success
    everywhere = success is not None and success.source is None
    return found.trigger is not None, everywhere, success.rate if success else 0.0
