"""Laws for files that only a run shows to be hostile: those that want too much, or cannot run."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from pipeline.intake.sandbox import IsolationConfig, isolated
from pipeline.intake.untrusted import describe
from stages.errors import CannotJudge, ModelRefused
from tests.support.bombs import BOMBS, bomb
from tests.support.hostile_files import Change
from tests.support.hostile_judging import LIMITS, prove, require_sentence, written
from tests.support.tiny_model import append, set_attribute, tiny


def _huge_fill(model: ModelProto) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["bomb"]),
        helper.make_node("ReduceSum", ["bomb"], ["sum"], keepdims=0),
        helper.make_node("Add", ["logits", "sum"], ["last"]),
    ]
    append(model, *nodes, size=[2**45])


def _huge_tile(model: ModelProto) -> None:
    append(model, helper.make_node("Tile", ["logits", "times"], ["last"]), times=[2**45, 1])


def _stride_of_zero(model: ModelProto) -> None:
    set_attribute(model, "strides", [0, 0])


def _pads_for_one_axis(model: ModelProto) -> None:
    set_attribute(model, "pads", [1])


def _weights_of_other_precision(model: ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((4, 5)), "matrix"))


def _terminal_code_in_an_attribute(model: ModelProto) -> None:
    set_attribute(model, "auto_pad", "\x1b[2J")


def _weights_that_do_not_fit(model: ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(
        numpy_helper.from_array(np.ones((7, 5), np.float32), "matrix")
    )


@pytest.mark.parametrize(
    "change",
    [
        *(_huge_fill, _huge_tile, _stride_of_zero, _pads_for_one_axis),
        *(_weights_of_other_precision, _weights_that_do_not_fit, _terminal_code_in_an_attribute),
    ],
)
def test_what_only_running_shows_ends_in_one_sentence(change: Change, tmp_path: Path) -> None:
    """What passes the checker but cannot run is refused by the proof of parity at the latest."""
    model = tiny()
    change(model)

    with pytest.raises(CannotJudge) as told:
        isolated(LIMITS, prove, written(model.SerializeToString(), tmp_path))

    require_sentence(told.value)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
@pytest.mark.parametrize("operator", BOMBS)
def test_memory_bombs_meet_the_limit(operator: str, tmp_path: Path) -> None:
    """What wants a gigabyte is refused for taking more than the child may have, and soon."""
    path = written(bomb(BOMBS[operator], 2**28).SerializeToString(), tmp_path)
    started = time.monotonic()

    with pytest.raises(CannotJudge, match="takes more than 512 MiB of memory") as told:
        isolated(LIMITS, prove, path)

    require_sentence(told.value)
    assert path.stat().st_size < 2**12
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("operator", BOMBS)
def test_absurd_bombs_are_refused_whatever_is_done_with_them(operator: str, tmp_path: Path) -> None:
    """2⁴⁵ values are refused, by whoever sees them first, or by the clock."""
    path = written(bomb(BOMBS[operator], 2**45).SerializeToString(), tmp_path)
    started = time.monotonic()

    for work in (describe, prove):
        with pytest.raises(CannotJudge) as told:
            isolated(IsolationConfig(seconds=3, memory_mb=512), work, path)
        require_sentence(told.value)

    assert time.monotonic() - started < 15


@pytest.mark.parametrize("operator", ["Tile", "Einsum"])
def test_small_bombs_are_no_bombs(operator: str, tmp_path: Path) -> None:
    """The same nodes at a harmless size compute: it is the size that is refused."""
    model = bomb(BOMBS[operator].replace("wide", "narrow"), 2**4)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2]), "narrow"))

    result = isolated(LIMITS, prove, written(model.SerializeToString(), tmp_path))

    assert result.parity.n == 8


def test_scores_of_no_image_are_refused(tmp_path: Path) -> None:
    """A graph that drops every image has nothing to compare, and is no classifier."""
    model = bomb("last = Slice(logits, zeros, zeros)", 1)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zeros"))

    with pytest.raises(ModelRefused, match=r"values of shape \(0, 5\) for 1 images, expected"):
        isolated(LIMITS, prove, written(model.SerializeToString(), tmp_path))
