"""One case from its exporter to its row."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from benchmarks.conversion.case import Case, NotTried, Row
from benchmarks.conversion.judgement import (
    FEWEST_GRADIENTS,
    SMALLEST_SHARE,
    Judgement,
    judge_file,
)
from stages.errors import CannotJudge

_LONGEST_REASON = 400  # characters


def try_case(case: Case, folder: Path) -> Row:
    """Makes the case's file below `folder` where it is missing, and judges it; never raises."""
    row = Row(
        family=case.family,
        model=case.model,
        exporter=case.exporter,
        refusal=case.refusal,
        outcome="ok",
    )
    started = time.perf_counter()
    try:
        path = build(case, folder)
        row = replace(row, export_seconds=time.perf_counter() - started, opset=_opset(path))
    except NotTried as missing:
        return replace(row, outcome="not tried", reason=str(missing))
    except Exception as error:  # noqa: BLE001 # exporters fail with errors of every class
        return replace(row, outcome="not exported", reason=_sentence(error))
    started = time.perf_counter()
    row = _judged(row, path, case.free)
    return replace(row, seconds=time.perf_counter() - started)


def build(case: Case, folder: Path) -> Path:
    """The case's file; a file that is there is left as it is."""
    path = case.file(folder)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        case.write(draft)
        draft.replace(path)
    return path


def _opset(path: Path) -> int | None:
    """The file's version of the default operators; None where it cannot be read."""
    try:
        imports = onnx.load(path, load_external_data=False).opset_import
    except DecodeError:
        return None
    return next((one.version for one in imports if one.domain in ("", "ai.onnx")), None)


def _judged(row: Row, path: Path, free: tuple[int, ...]) -> Row:
    try:
        judgement = judge_file(path, free)
    except CannotJudge as refusal:
        return replace(row, outcome="refused", reason=_sentence(refusal))
    except Exception as error:  # noqa: BLE001 # a crash is a finding, and the others must go on
        return replace(row, outcome="crashed", reason=_sentence(error))
    return weighed(row, judgement)


def weighed(row: Row, judgement: Judgement) -> Row:
    """The row of a file that the pipeline's gate accepts, with the outcome its numbers give.

    A file that must be refused may be so for having no place for noise.
    """
    row = replace(
        row,
        parity=judgement.parity,
        fresh=judgement.fresh,
        share=judgement.share,
        sites=judgement.sites,
        gradients=judgement.gradients,
        reason=judgement.no_sites,
    )
    if row.refusal and not judgement.sites:
        return replace(row, outcome="refused")
    if not judgement.fresh <= judgement.tolerance:
        said = f"accepted, but differs by {judgement.fresh:.2g} on other images"
        return replace(row, outcome="mismatch", reason=said)
    if judgement.accusation:
        return replace(row, outcome="accused", reason=judgement.accusation)
    if judgement.gradients < FEWEST_GRADIENTS:
        said = f"a gradient reaches {judgement.gradients:.0%} of the images"
        return replace(row, outcome="no gradient", reason=said)
    if judgement.share < SMALLEST_SHARE:
        said = f"only {judgement.share:.1%} of the weights are trainable, not {judgement.frozen}"
        reasons = (said, judgement.no_sites)
        return replace(row, outcome="frozen", reason="; ".join(one for one in reasons if one))
    return row


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]
