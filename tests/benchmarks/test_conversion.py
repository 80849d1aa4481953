"""The conversion table tells what was accepted rightly from what was not, and hides no failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from benchmarks.conversion import table
from benchmarks.conversion.__main__ import chosen, main, run
from benchmarks.conversion.case import Case, NotTried, Row, read_rows
from benchmarks.conversion.judgement import fresh_difference, judge_file
from benchmarks.conversion.quantised import half
from benchmarks.conversion.run import try_case, weighed
from benchmarks.conversion.torch_exports import Legacy
from benchmarks.conversion.torch_models import prepare
from stages.onnx_file.inspection import load_proto
from stages.passes import normalise
from stages.twin.convert import build_module

IMAGE = (3, 8, 8)


def tiny_net(*last: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    body = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    return nn.Sequential(prepare(nn.Sequential(*body), torch.randn(8, *IMAGE)), *last).eval()


def export(target: Path, *, last: tuple[nn.Module, ...] = (), baked: int | None = None) -> None:
    Legacy(opset=17, baked=baked)(tiny_net(*last), torch.randn(2, *IMAGE), target)


def write_garbage(target: Path) -> None:
    target.write_bytes(b"no model")


def fail(target: Path) -> None:
    raise OSError(f"the exporter | gave up before {target.suffix}")


def miss(target: Path) -> None:
    raise NotTried(f"no interpreter for {target.stem}")


def case(
    model: str, write: Callable[[Path], None], *, refusal: bool = False, family: str = "tiny"
) -> Case:
    return Case(family=family, model=model, exporter="by-hand", write=write, refusal=refusal)


ROW = Row(family="tiny", model="net", exporter="by-hand", refusal=False, outcome="ok")


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the tracing exporter


def test_every_outcome_is_told_apart(tmp_path: Path) -> None:
    """An export is OK, garbage is refused, a failing exporter and a missing one are named so."""
    cases = [case("net", export), case("garbage", write_garbage), case("fail", fail)]
    cases.append(case("miss", miss))

    rows = [try_case(one, tmp_path) for one in cases]

    assert [row.outcome for row in rows] == ["ok", "refused", "not exported", "not tried"]
    assert rows[0].opset == 17
    assert rows[0].sites == 1
    assert rows[0].share == 1
    assert max(rows[0].parity or 1, rows[0].fresh or 1) < 1e-5
    assert rows[1].reason.startswith("ModelRefused: ")
    assert "gave up" in rows[2].reason
    assert rows[3].reason == "no interpreter for net.by-hand".replace("net", "miss")


def test_a_planted_mismatch_is_found(tmp_path: Path) -> None:
    """A twin with one changed weight differs on fresh images, and its row is no OK."""
    path = tmp_path / "net.onnx"
    export(path)
    right = judge_file(path)
    module = build_module(normalise(load_proto(path)))
    with torch.no_grad():
        next(module.parameters()).add_(0.1)

    wrong = fresh_difference(path, "logits", module, IMAGE)

    assert right.fresh < 1e-5
    assert wrong > 1e-3
    assert weighed(ROW, right).outcome == "ok"
    planted = weighed(ROW, replace(right, fresh=wrong))
    assert planted.outcome == "mismatch"
    assert "| MISMATCH |" in table.line(planted)
    assert not weighed(ROW, replace(right, fresh=float("nan"))).is_right


@pytest.mark.parametrize(
    ("last", "baked"), [((), 1), ((), 4), ((nn.Softmax(1),), None), ((nn.Sigmoid(),), None)]
)
def test_the_second_look_sees_through_heads_and_batches(
    tmp_path: Path, last: tuple[nn.Module, ...], baked: int | None
) -> None:
    """Batches written into the file and probabilities in place of logits are no mismatch."""
    path = tmp_path / "net.onnx"
    export(path, last=last, baked=baked)

    judgement = judge_file(path)

    assert judgement.fresh < 1e-5


def test_the_second_look_feeds_half_precision(tmp_path: Path) -> None:
    """A file with a float16 input is looked at with float16 images."""
    export(tmp_path / "net.onnx")
    half(tmp_path / "net.onnx", torch.empty(0), tmp_path / "half.onnx", keep=False)

    judgement = judge_file(tmp_path / "half.onnx")

    assert judgement.fresh < 1e-3


def test_another_temperature_is_a_mismatch(tmp_path: Path) -> None:
    """A twin whose scores are twice too large gives other probabilities than the file."""
    path = tmp_path / "net.onnx"
    export(path, last=(nn.Softmax(1),))
    module = build_module(normalise(load_proto(path)))
    head = list(module.parameters())[-2:]
    with torch.no_grad():
        for weight in head:
            weight.mul_(2)

    assert fresh_difference(path, "output", module, IMAGE) > 0.01


def test_frozen_weights_are_no_ok(tmp_path: Path) -> None:
    """A trainable share below 99 % has a name of its own, with what is frozen."""
    export(tmp_path / "net.onnx")
    judgement = judge_file(tmp_path / "net.onnx")

    row = weighed(ROW, replace(judgement, share=0.98, frozen="bias (4, 9)"))

    assert row.outcome == "frozen"
    assert row.reason == "only 98.0% of the weights are trainable, not bias (4, 9)"


def test_a_refusal_may_be_the_right_answer(tmp_path: Path) -> None:
    """Where a refusal is expected it is right, and being accepted is wrong."""
    refused = try_case(case("garbage", write_garbage, refusal=True), tmp_path)
    accepted = try_case(case("net", export, refusal=True), tmp_path)

    assert refused.is_right
    assert not accepted.is_right
    assert "| OK |" in table.line(accepted)


def test_failures_are_printed_as_plainly_as_successes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each case gets a line when it is done, failures in capitals, with a cell for every column."""
    rows = run([case("net", export), case("fail", fail)], tmp_path, again=False)

    first, second = capsys.readouterr().out.splitlines()
    assert "| ok |" in first
    assert "| NOT EXPORTED |" in second
    assert "OSError: the exporter / gave up" in second
    assert {one.count("|") for one in (first, second)} == {11}
    assert [row.name for row in rows] == ["tiny/net/by-hand", "tiny/fail/by-hand"]


def test_a_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Rows are kept and not judged again, unless asked; what was not tried is tried."""
    run([case("net", export), case("miss", miss)], tmp_path, again=False)
    before = case("net", export).file(tmp_path).stat().st_mtime_ns

    rows = run([case("net", fail), case("miss", export)], tmp_path, again=False)
    again = run([case("net", fail)], tmp_path, again=True)

    assert [row.outcome for row in rows] == ["ok", "ok"]
    assert again[0].outcome == "ok"
    assert case("net", export).file(tmp_path).stat().st_mtime_ns == before
    assert read_rows(tmp_path / "results.jsonl") == {row.name: row for row in [*again, rows[1]]}


def test_an_interrupted_export_leaves_no_file(tmp_path: Path) -> None:
    """A file is there whole or not at all."""

    def stop(target: Path) -> None:
        target.write_bytes(b"half")
        fail(target)

    row = try_case(case("net", stop), tmp_path)

    assert row.outcome == "not exported"
    assert not case("net", stop).file(tmp_path).exists()


def test_the_summary_counts_each_family_apart() -> None:
    """OK, rightly refused, mismatches and failed exports are counted in columns of their own."""
    rows = [
        replace(ROW, sites=3),
        replace(ROW, sites=0),
        replace(ROW, outcome="mismatch"),
        replace(ROW, outcome="crashed"),
        replace(ROW, outcome="not exported"),
        replace(ROW, outcome="refused", refusal=True),
        replace(ROW, outcome="ok", refusal=True),
        replace(ROW, outcome="not tried", family="other"),
    ]

    lines = list(table.summary(rows))

    assert lines[2] == "| tiny | 2 / 4 | 1 / 2 | 1 | 1 | 1 | 0 |"
    assert lines[3] == "| other | not tried | – | – | – | – | – |"
    assert lines[4] == "| all | 2 / 4 | 1 / 2 | 1 | 1 | 1 | 0 |"


def test_cases_are_chosen_by_name_and_family() -> None:
    """The pattern is matched against the whole name, families by how they begin."""
    cases = [case("a", fail), case("b", fail), case("a", fail, family="other")]

    assert chosen(cases, "*", "") == cases
    assert chosen(cases, "*/a/*", "") == [cases[0], cases[2]]
    assert chosen(cases, "*", "oth,none") == [cases[2]]


def test_the_corpus_names_each_file_once(tmp_path: Path) -> None:
    """A run that chooses nothing prints an empty summary; two cases never share a file."""
    from benchmarks.conversion.corpus import Outside, corpus  # noqa: PLC0415 # slow to import

    cases = list(corpus(Outside()))
    result = CliRunner().invoke(main, ["--output", str(tmp_path), "--only", "nothing"])

    assert len({one.file(tmp_path) for one in cases}) == len(cases)
    assert len({one.name for one in cases}) == len(cases)
    assert result.exit_code == 0
    assert "| all | 0 / 0 |" in result.output


def test_a_framework_without_interpreter_is_not_tried(tmp_path: Path) -> None:
    """Without an interpreter the family's rows say which option is missing."""
    from benchmarks.conversion import other_frameworks  # noqa: PLC0415 # beside the corpus

    row = try_case(next(other_frameworks.paddle(None)), tmp_path)

    assert row.outcome == "not tried"
    assert "paddle" in row.reason


def test_a_failing_script_says_its_last_error(tmp_path: Path) -> None:
    """The reason of a failed export is the error the other interpreter ended with."""
    import sys  # noqa: PLC0415 # only here

    from benchmarks.conversion import other_frameworks  # noqa: PLC0415 # beside the corpus

    script = tmp_path / "export_other.py"
    script.write_text("print('a line')\nraise ValueError('no such model')\n")
    write = partial(other_frameworks._run, Path(sys.executable), script, "m", "e", {})

    row = try_case(case("other", write), tmp_path)

    assert row.outcome == "not exported"
    assert row.reason == "RuntimeError: ValueError: no such model"
