"""The verdict of a scan that was not done to its end: never a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from pipeline.cache.store import Store
from pipeline.evidence import Evidence
from pipeline.pace.course import Course
from pipeline.pace.duration import time_text
from pipeline.pace.extent import Extent
from pipeline.pace.searching import Unfinished
from pipeline.references.measure import Measured, kept_of, select_references
from pipeline.run import Run
from stages.searches import SEARCHES
from stages.searches.search import Subject
from stages.types import Verdict
from stages.verdict.early import certain_verdict
from stages.verdict.profile import profile_of


def cut_short(found: Unfinished, subject: Subject, run: Run) -> Verdict:
    """`backdoored` where what was found suffices for the whole scan to block, else `inconclusive`.

    Notes the extent of the scan.
    """
    course, request = run.course, run.request
    why = why_unfinished(found, course, keeps=run.store.root is not None)
    verdict = certain(found, subject, run, partial(kept_of, run))
    extent = Extent(
        quick=request.quick,
        budget=request.budget,
        unfinished=why,
        settled=verdict is not None and not course.quick and not course.is_spent(),
        needs=course.needed if course.is_spent() else None,
    )
    run.note(extent=extent)
    if verdict is None:
        return Verdict(label="inconclusive", reasons=(why,))
    return replace(verdict, reasons=(*verdict.reasons, why))


def why_unfinished(found: Unfinished, course: Course, *, keeps: bool) -> str:
    """What was done, what was not, and what to do; `keeps` says whether results are kept."""
    names = _in_words(found.results)
    done = f"searched so far: {names}" if names else "no search came to its end"
    if not course.is_spent():
        if course.quick:
            return f"this was a first look, which never passes a model ({done}); run the full scan"
        left = _in_words(each.name for each in SEARCHES if each.name not in found.results)
        return (
            f"the scan ended as soon as this was certain ({done}; not {left}); with"
            " `judge.until_certain=false` it goes on to the end"
        )
    assert course.budget is not None, "it is spent"  # noqa: S101 (our own logic)
    spent = f"the budget of {time_text(course.budget)} is spent ({done})"
    about = f"about {time_text(course.needed)}" if course.needed is not None else "longer"
    if not keeps:
        return f"{spent}; nothing is kept with `--fresh`, and the rest alone needs {about}"
    return f"{spent}; the rest needs {about}, and the same command goes on from here"


def _in_words(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def where_it_goes_on(evidence: Evidence, store: Store) -> str:
    """What the next call makes of a scan that was ended from outside."""
    done = len(evidence.searches)
    if store.root is None:
        return "nothing was judged, and nothing is kept with `--fresh`"
    if not done:
        return "nothing was judged, and no search was done yet"
    return (
        f"nothing was judged yet; {done} of {len(SEARCHES)} searches are kept, and the same command"
        " goes on from there"
    )


def certain(
    found: Unfinished, subject: Subject, run: Run, kept_of_run: Callable[[], Measured | None]
) -> Verdict | None:
    """The verdict that is certain already, or None.

    References count as in the whole scan, so that nothing is certain where they are not kept, nor
    beside any that the whole scan may search for further ones of many classes.
    """
    config = run.config
    if found.chosen is None or not found.results:
        return None
    if run.request.references and config.screen.screens(subject.twin.classes):
        return None
    if (kept := kept_of_run()) is None:
        return None
    profile = profile_of(run.request.uri, subject, found.chosen, found.results)
    references, summaries = select_references(profile, kept, run)
    run.note(references=summaries)
    return certain_verdict(profile, references, config.calibration, config.judge)
