"""What was tested, and what was not: the steps of the table, and how each ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.evidence import ScanResult
from pipeline.report.wording import WORDING
from pipeline.steps import STEPS, Step
from stages.searches import SEARCHES

State = Literal["done", "stopped here", "not reached", "off", "none"]


@dataclass(frozen=True, kw_only=True)
class Tested:
    """One step of the scan: what it asks, how it ended, and what it found."""

    title: str
    asks: str
    state: State
    detail: str = ""


def tested(result: ScanResult) -> tuple[Tested, ...]:
    """The steps of the scan in their order, those it did not reach as well."""
    lines = [_line(step, result) for step in STEPS if step.title]
    for number, line in enumerate(lines):
        if line.state == "not reached":
            lines[number] = replace(line, state="stopped here")
            break
    return tuple(lines)


def passed(step: str, result: ScanResult) -> bool:
    """Whether a step ended well, so that the scan went on."""
    clean = result.evidence.precondition
    if step == "check_preconditions" and clean is not None and clean.reasons:
        return False
    return step in result.done


def _line(step: Step, result: ScanResult) -> Tested:
    title, asks = step.title, step.asks
    if passed(step.name, result):
        if (why := _spared(step, result)) is not None:
            return Tested(title=title, asks=asks, state="none", detail=why)
        detail = _DETAILS.get(step.name, _of_search)(result, step)
        return Tested(title=title, asks=asks, state="done", detail=detail)
    if step.name == "select_references" and "judge" in result.done:
        detail = "no reference was given"
        return Tested(title=title, asks=asks, state="none", detail=detail)
    if step.setting and not _is_on(step.setting, result):
        detail = f"{step.setting} = true turns it on"
        return Tested(title=title, asks=asks, state="off", detail=detail)
    return Tested(title=title, asks=asks, state="not reached")


def _is_on(setting: str, result: ScanResult) -> bool:
    section, _, name = setting.partition(".")
    return bool(getattr(getattr(result.config, section), name))


def _inspected(result: ScanResult, _step: Step) -> str:
    count = len(result.evidence.findings)
    return f"{count or 'no'} finding{'' if count == 1 else 's'} in the graph"


def _proven(result: ScanResult, _step: Step) -> str:
    parity = result.evidence.parity
    if parity is None:
        return ""
    return f"differs by {parity.max_rel:.1e} of the largest logit, {parity.tolerance:.0e} allowed"


def _behaves(result: ScanResult, _step: Step) -> str:
    clean = result.evidence.precondition
    return "" if clean is None else f"clean accuracy {clean.clean_accuracy:.1%}"


def _decided(result: ScanResult, _step: Step) -> str:
    count = len(result.evidence.decisions)
    return (
        "on clean samples, on every trigger found and on extremes" if not count else "it does not"
    )


def _compared(result: ScanResult, _step: Step) -> str:
    references = result.evidence.references
    return f"{sum(each.used for each in references)} of {len(references)} used"


def _every_class(_result: ScanResult, _step: Step) -> str:
    return "every class"


def _of_search(result: ScanResult, step: Step) -> str:
    """Which classes a search looked at, with which settings, and what that cost."""
    (search,) = (each for each in SEARCHES if step.name == f"find_{each.name}")
    twin, screening = result.evidence.twin, result.config.screen
    found = result.evidence.searches[search.name]
    reach, end = "every class", f", and ended there: {found.silent}" if found.silent else ""
    if twin is not None and not search.joint and screening.screens(twin.classes):
        (one, *_) = found.statistics.values()
        searched = int((~np.isnan(found.early.reached if found.early else one)).sum())
        further = "further" if found.silent else "to the end"
        reach = f"all {twin.classes} classes briefly, {searched} of them {further}"
    settings = result.config.searches[search.name]
    names = WORDING[search.name].settings
    shown = [f"{name} {getattr(settings, name):g}" for name in names]
    return ", ".join([reach, *shown, f"{found.effort.images:,} images shown{end}"])


def _spared(step: Step, result: ScanResult) -> str | None:
    """Why a search was not done that says nothing here; None of any other step."""
    search = next((each for each in SEARCHES if step.name == f"find_{each.name}"), None)
    found = result.evidence.searches.get(search.name) if search else None
    return found.silent if found and found.silent and not found.effort.images else None


_DETAILS: dict[str, Callable[[ScanResult, Step], str]] = {
    "inspect_onnx": _inspected,
    "build_twin": _proven,
    "check_preconditions": _behaves,
    "compare_decisions": _decided,
    "select_references": _compared,
    "find_mask": _every_class,
    "run_ban": _every_class,
}
