"""The one table of a scan's steps, in their order.

Progress counts them, JUnit states their claims, and the report's "What was tested" asks their
questions. `pipeline.scan` and `pipeline.prepare` run them; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.report.wording import WORDING
from pipeline.request import ScanRequest
from stages.searches import SEARCHES


def _always(_request: ScanRequest) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a scan.

    `name` is what its time is noted by; `title` and `asks` are its line in the report, which has
    none without a title; `claim` holds if it passes, where JUnit has a case for it; `runs` says
    whether a request has it; `setting` names what turns it on.
    """

    name: str
    title: str = ""
    asks: str = ""
    claim: str = ""
    runs: Callable[[ScanRequest], bool] = _always
    setting: str = ""


STEPS: tuple[Step, ...] = (
    Step(name="fetch"),
    Step(
        name="inspect_onnx",
        title="Inspection",
        asks="Is the file a plain ONNX classifier, and is its graph free of trigger logic?",
        claim="the file is a classifier that may be opened",
    ),
    Step(name="read_samples", claim="the clean samples fit the model"),
    Step(name="prove_conversion"),
    Step(
        name="build_twin",
        title="Twin",
        asks="Does the torch copy that is tested compute the same logits as the file?",
        claim="the twin computes what the model computes",
    ),
    Step(name="choose_arithmetic"),
    Step(
        name="check_preconditions",
        title="Clean behaviour",
        asks="Does the model do its task on these samples?",
        claim="the model classifies the clean samples",
    ),
    Step(
        name="compare_decisions",
        title="Whole file",
        asks="Does the whole file decide as the logits that were searched?",
        claim="the whole file decides as the logits that are searched",
    ),
    Step(name="measure_sites"),
    Step(name="choose_classes"),
    *(
        Step(
            name=f"find_{search.name}",
            title=WORDING[search.name].title,
            asks=WORDING[search.name].asks,
        )
        for search in SEARCHES
    ),
    Step(
        name="select_references",
        title="References",
        asks="Do clean models of the same task favour the same class?",
        runs=lambda request: bool(request.references),
    ),
    Step(name="judge"),
    Step(name="compare_found"),
    Step(
        name="find_untargeted_noise",
        runs=lambda request: bool(request.config.feature_mask.enabled),
    ),
    Step(
        name="find_mask",
        title="Feature mask",
        asks="What do the features do that clean samples do not need? (does not decide)",
        runs=lambda request: bool(request.config.feature_mask.enabled),
        setting="feature_mask.enabled",
    ),
    Step(
        name="run_ban",
        title="Published algorithm",
        asks="What does the paper's own procedure report? (does not decide)",
        runs=lambda request: bool(request.config.published_ban.enabled),
        setting="published_ban.enabled",
    ),
)


def steps_of(request: ScanRequest) -> tuple[Step, ...]:
    """The steps of a request, if it comes to an end."""
    return tuple(step for step in STEPS if step.runs(request))
