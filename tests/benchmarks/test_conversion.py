"""The conversion table tells what was accepted rightly from what was not, and hides no failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from torch import fx, nn

from benchmarks.conversion import judgement, table, timm_families, transformers_models
from benchmarks.conversion.__main__ import chosen, main, run
from benchmarks.conversion.case import Case, NotTried, Row, read_rows
from benchmarks.conversion.judgement import fresh_difference, judge_file, reached
from benchmarks.conversion.quantised import half
from benchmarks.conversion.run import try_case, weighed
from benchmarks.conversion.torch_exports import Legacy
from benchmarks.conversion.torch_models import prepare
from benchmarks.conversion.whole_libraries import export as export_either
from benchmarks.conversion.whole_libraries import require_valid
from stages.onnx_file.inspection import inspect_onnx, load_proto
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

    wrong = fresh_difference(inspect_onnx(path), module, IMAGE)

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

    judged = judge_file(path)

    assert judged.fresh < 1e-5


def test_the_second_look_feeds_half_precision(tmp_path: Path) -> None:
    """A file with a float16 input is looked at with float16 images."""
    export(tmp_path / "net.onnx")
    half(tmp_path / "net.onnx", torch.empty(0), tmp_path / "half.onnx", keep=False)

    judged = judge_file(tmp_path / "half.onnx")

    assert judged.fresh < 1e-3


def test_another_temperature_is_a_mismatch(tmp_path: Path) -> None:
    """A twin whose scores are twice too large has others than the file, if of the same order."""
    path = tmp_path / "net.onnx"
    export(path, last=(nn.Softmax(1),))
    module = build_module(normalise(load_proto(path)))
    head = list(module.parameters())[-2:]
    with torch.no_grad():
        for weight in head:
            weight.mul_(2)

    assert fresh_difference(inspect_onnx(path), module, IMAGE) > 0.01


def test_frozen_weights_are_no_ok(tmp_path: Path) -> None:
    """A trainable share below 99 % has a name of its own, with what is frozen."""
    export(tmp_path / "net.onnx")
    judged = judge_file(tmp_path / "net.onnx")

    row = weighed(ROW, replace(judged, share=0.98, frozen="bias (4, 9)"))

    assert row.outcome == "frozen"
    assert row.reason == "only 98.0% of the weights are trainable, not bias (4, 9)"


class Staircase(nn.Module):
    """An end through which no gradient passes."""

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores, of which nothing is known to autograd."""
        return scores.detach()


def test_a_net_without_gradients_is_no_ok(tmp_path: Path) -> None:
    """The share of images that a gradient reaches is measured, and too few of them are no OK."""
    export(tmp_path / "net.onnx")
    judged = judge_file(tmp_path / "net.onnx")
    net = fx.symbolic_trace(nn.Sequential(tiny_net(), Staircase()))
    images = torch.randn(4, *IMAGE)

    assert judged.gradients == 1
    assert reached(net, images.numpy()) == 0
    assert reached(fx.symbolic_trace(tiny_net()), 0 * images.numpy()) == 1
    row = weighed(ROW, replace(judged, gradients=0.25))
    assert row.outcome == "no gradient"
    assert row.reason == "a gradient reaches 25% of the images"


def test_another_choice_is_a_mismatch() -> None:
    """Where the whole file chooses another class than the twin the difference is infinite."""
    scores = np.array([[0.1, 0.9, 0.0], [0.5, 0.2, 0.3]], np.float32)

    assert judgement._misjudged(scores, 20 * scores) == 0
    assert judgement._misjudged(scores, -scores) == np.inf
    assert judgement._misjudged(scores, scores[:, :2]) == np.inf


def test_an_accused_net_is_no_ok(tmp_path: Path) -> None:
    """What in the graph would block a model is a wrong answer to a clean one."""
    export(tmp_path / "net.onnx")
    judged = judge_file(tmp_path / "net.onnx")

    assert judged.accusation == ""
    row = weighed(ROW, replace(judged, accusation="`If` chooses"))
    assert row.outcome == "accused"
    assert row.reason == "`If` chooses"


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_the_tracing_exporter_steps_in(tmp_path: Path) -> None:
    """Where the default exporter fails the tracing one writes the file, and both say why not."""
    images = torch.randn(2, *IMAGE)

    export_either(tiny_net(), images, tmp_path / "default.onnx")
    export_either(Bent(tiny_net()).eval(), images, tmp_path / "traced.onnx")

    versions = [onnx.load(path).opset_import[0].version for path in sorted(tmp_path.iterdir())]
    assert versions[0] > versions[1] == 17
    with pytest.raises(RuntimeError, match=r"^tracing: .*; default: "):
        export_either(nn.Linear(2, 2).eval(), images, tmp_path / "none.onnx")


def test_an_invalid_file_is_no_export(tmp_path: Path) -> None:
    """A file in which a node reads what is nowhere counts as one that was not written."""
    export(tmp_path / "net.onnx")
    require_valid(tmp_path / "net.onnx")
    broken = onnx.load(tmp_path / "net.onnx")
    broken.graph.node[0].input[0] = "nowhere"
    onnx.save(broken, tmp_path / "broken.onnx")

    with pytest.raises(RuntimeError, match=r"invalid file: .*nowhere"):
        require_valid(tmp_path / "broken.onnx")


class Bent(nn.Module):
    """A net that only the tracing exporter takes, as it asks for a number of its input."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The scores of the images, or of the negatives of very bright ones."""
        if images.sum().item() > 1e9:
            return self.net(-images)
        return self.net(images)


@pytest.mark.parametrize(
    ("library", "name"),
    [(timm_families, "test_vit4"), (transformers_models, "Siglip2ForImageClassification")],
)
def test_the_nets_of_whole_libraries_are_seeded(library: ModuleType, name: str) -> None:
    """The same net comes again, gives a score to each class, and tells images apart."""
    images = library.images(name, 4)

    one, other = library.net(name)(images), library.net(name)(images)

    assert one.shape == (4, 10)
    assert torch.equal(one, other)
    assert (one - one.mean(0)).std() > 0.3


def test_every_class_and_family_has_a_case() -> None:
    """The lists have every image classifier of transformers and every module of timm."""
    import timm  # noqa: PLC0415 # slow to import
    from timm.models import _registry  # noqa: PLC0415 # beside it
    from transformers.models.auto import modeling_auto  # noqa: PLC0415 # slow to import

    found = modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.values()
    classes = {name for one in found for name in ((one,) if isinstance(one, str) else one)}
    families = _registry._model_to_module

    assert classes == set(transformers_models.SETTINGS)
    assert {families[one] for one in timm.list_models()} == {
        families[one] for one in timm_families.FAMILIES
    }


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
    assert {one.count("|") for one in (first, second)} == {12}
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
