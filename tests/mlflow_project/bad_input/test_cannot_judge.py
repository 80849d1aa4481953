"""What cannot be judged is inconclusive wherever a verdict is told, with the same reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from click.testing import Result

from tests.support.bad_calls import EVIDENCE, PICTURE, Scan, sentences
from tests.support.verdict_schema import faults

pytestmark = pytest.mark.usefixtures("mlflow_settings")

CANNOT_JUDGE = {
    "empty model": Scan(model="empty.onnx", sentence="found 0 bytes, expected 1 to"),
    "text": Scan(model="text.onnx", sentence="`text.onnx` is not an ONNX file"),
    "picture": PICTURE,
    "pickle": Scan(model="pickle.onnx", sentence="`pickle.onnx` is not an ONNX file"),
    "cut model": Scan(model="cut.onnx", sentence="`cut.onnx` is not an ONNX file"),
    "two inputs": Scan(model="two_inputs.onnx", sentence="one model input, found `a`, `b`"),
    "two outputs": Scan(model="two_outputs.onnx", sentence="`y`, `z`, which do not"),
    "rank 4": Scan(model="rank_4.onnx", sentence="found `y` float32 (?, 1, 16, 16)"),
    "integers": Scan(model="integers.onnx", sentence="found `y` int64 (?, 1)"),
    "no output": Scan(model="no_output.onnx", sentence="found none"),
    "no neurons": Scan(model="linear.onnx", sentence="no neurons to perturb"),
    "unknown operator": Scan(model="foreign.onnx", sentence="MatMuh"),
    "forged lines": Scan(model="forged.onnx", sentence=r"x\n\x1b[2J\rclean "),
    "samples for the model": Scan(model="good.npz", sentence="the model comes first and the"),
    "images without channels": Scan(samples="no_channel.npz", sentence="(200, 16, 16), the"),
    "colour for grey": Scan(samples="three_channels.npz", sentence="expects (N, 1, 16, 16)"),
    "small images": Scan(samples="small.npz", sentence="resize or crop the images"),
    "negative labels": Scan(samples="negative.npz", sentence="range from -1 to 8"),
    "labels beyond": Scan(samples="beyond.npz", sentence="from 1 to 10, the model's classes are"),
    "labels in fractions": Scan(samples="fractions.npz", sentence="is float32, expected int64"),
    "float64 images": Scan(samples="float64.npz", sentence="is float64, expected float32"),
    "uint8 images": Scan(samples="uint8.npz", sentence="is uint8, expected float32"),
    "NaN and infinity": Scan(samples="not_finite.npz", sentence="holds 2 values that are NaN"),
    "one class": Scan(samples="one_class.npz", sentence="every label is 3"),
    "lengths differ": Scan(samples="lengths.npz", sentence="shape (199,), expected (200,)"),
    "no sample": Scan(samples="nothing.npz", sentence="`images` is empty"),
    "no labels": Scan(samples="no_labels.npz", sentence="lack `labels`, found `images`"),
    "other keys": Scan(samples="other_keys.npz", sentence="found `x`, `y`; save them with"),
    "Python objects": Scan(samples="objects.npz", sentence="holds Python objects"),
    "no archive": Scan(samples="note.npz", sentence="are not an `.npz` file; save them with"),
    "empty samples file": Scan(samples="void.npz", sentence="are not an `.npz` file"),
    "truncated samples": Scan(samples="truncated.npz", sentence="are not an `.npz` file"),
    "corrupt samples": Scan(samples="corrupt.npz", sentence="cannot be read (Bad CRC-32"),
    "headless samples": Scan(samples="headless.npz", sentence="the file is damaged or holds"),
    "petabytes": Scan(samples="bomb.npz", sentence="but its header claims 1,125,899,906"),
    "a folder for samples": Scan(
        samples="folder", sentence="a folder with no subfolders, expected"
    ),
    "a pipe for samples": Scan(samples="pipe.npz", sentence="are not an `.npz` file"),
    "wrong preprocessing": Scan(samples="unscaled.npz", sentence="likely cause is preprocessing"),
    "too few samples": Scan(samples="few.npz", sentence="only 20 clean samples, at least 100"),
    "too few classes": Scan(samples="few_classes.npz", sentence="cover 5 of the model's 10"),
}


@pytest.mark.parametrize(
    "scan", [pytest.param(scan, id=name) for name, scan in CANNOT_JUDGE.items()]
)
def test_what_cannot_be_judged_is_inconclusive_everywhere(
    run: Callable[..., Result],
    world: Path,
    tmp_path: Path,
    experiment: tuple[str, ...],
    scan: Scan,
) -> None:
    """Exit 3; stdout, stderr, verdict.json and the run's tags give the same reason, once each."""
    output = tmp_path / "out"

    result = run(*scan.arguments(world), *experiment, "--output", output)

    (sentence,) = sentences(result.stderr)
    assert result.exit_code == 3
    assert scan.sentence in sentence
    assert result.stdout.startswith("inconclusive  ")
    assert scan.sentence in result.stdout
    assert result.stdout.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert not {"\x1b", "\r"} & {*result.stdout, *result.stderr}
    assert sorted(path.name for path in output.iterdir()) == EVIDENCE
    document = json.loads((output / "verdict.json").read_text(), parse_constant=pytest.fail)
    assert not faults(document)
    assert (document["schema"], document["verdict"]) == (2, "inconclusive")
    assert document["reasons"]
    assert document["anomaly_score"] is document["p_value"] is document["suspected_class"] is None
    tags = mlflow.last_active_run().data.tags  # type: ignore[union-attr] # there is one
    assert (tags["ban.verdict"], tags["ban.gate"]) == ("inconclusive", "block")
    assert scan.sentence in tags["ban.reason"]


def test_names_no_encoding_knows_do_no_harm(
    run: Callable[..., Result], world: Path, tmp_path: Path, experiment: tuple[str, ...]
) -> None:
    """A model and samples whose names are not UTF-8 or hold control characters are judged."""
    model = tmp_path / os.fsdecode(b"mod\xffel\x1b[31m\n.onnx")
    samples = tmp_path / os.fsdecode(b"sam\xfeples.npz")
    model.write_bytes((world / "good.onnx").read_bytes())
    samples.write_bytes((world / "few.npz").read_bytes())

    result = run("scan", model, "--samples", samples, *experiment, "--output", tmp_path / "out")

    assert result.exit_code == 3, result.stderr
    assert result.stdout.endswith("mod\\udcffel\\x1b[31m\\n.onnx\n")
    assert result.stdout.count("\n") == 1
    document = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert document["model"]["uri"] == str(model)
    assert mlflow.last_active_run().info.run_name == "mod\\udcffel\\x1b[31m\\n.onnx"  # type: ignore[union-attr] # there is one


def test_inspect_refuses_in_one_sentence(run: Callable[..., Result], world: Path) -> None:
    """What `scan` refuses by its file alone, `inspect` refuses with the same words."""
    for name in ("empty model", "text", "picture", "two inputs", "no output", "no neurons"):
        scan = CANNOT_JUDGE[name]

        result = run("inspect", world / scan.model)

        (sentence,) = sentences(result.stderr)
        assert result.exit_code == 3, name
        assert scan.sentence in sentence
        assert result.stdout == ""
