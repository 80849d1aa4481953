"""The command in a report gives the same scan again, and no secrets."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest

from mlflow_project.cli.scan import scan
from mlflow_project.commands import ScanCall
from mlflow_project.repeat_command import repeat_command
from mlflow_project.tracking import Target
from pipeline.config import ScanConfig, load_config
from pipeline.evidence import ReferenceSummary, ScanResult
from pipeline.samples.preparation import Preparation
from tests.support.finished_scans import with_evidence

Make = Callable[..., ScanResult]
SET = (
    "judge.false_alarm_rate=0.01",
    "blend.faint=0.2",
    "feature_mask.enabled=true",
    "isolation.without=[]",
)


def _call(folder: Path, **changes: object) -> ScanCall:
    """A call with files that are there, one with a space and a quote in its name."""
    model, samples = folder / "my model's.onnx", folder / "clean.npz"
    for path in (model, samples):
        path.write_bytes(b"x")
    call = ScanCall(model=str(model), uri=str(model), samples=str(samples), config=ScanConfig())
    return replace(call, **changes)  # type: ignore[arg-type] # real fields


def _parsed(command: str) -> dict[str, object]:
    """What the command line reads of a command."""
    program, name, *words = shlex.split(command)
    assert (program, name) == ("ban-gate", "scan")
    with click.Context(scan) as context:
        scan.parse_args(context, list(words))
        return dict(context.params)


def test_the_settings_come_back(make_result: Make, tmp_path: Path) -> None:
    """Whether they came from options or a file: seed, output, and all that is not as shipped."""
    config = load_config(None, SET, seed=7, output="logits")
    command = repeat_command(_call(tmp_path), make_result(config=config))

    read = _parsed(command)

    assert (
        load_config(
            None,
            read["overrides"],  # type: ignore[arg-type] # a tuple of texts
            seed=read["seed"],  # type: ignore[arg-type] # a number
            output=read["output_name"],  # type: ignore[arg-type] # a text
        )
        == config
    )
    assert read["models"] == (str(tmp_path / "my model's.onnx"),)


def test_a_scan_as_shipped_is_a_short_command(make_result: Make, tmp_path: Path) -> None:
    """Nothing that is the default stands in it."""
    call = _call(tmp_path, output=tmp_path / "out", target=Target(uri="http://host:5000"))

    command = repeat_command(call, make_result(config=ScanConfig()))

    assert shlex.split(command) == [
        "ban-gate", "scan", call.model, "--samples", call.samples
    ]  # fmt: skip


def test_the_preparation_comes_back(make_result: Make, tmp_path: Path) -> None:
    """Pictures are prepared in the same way."""
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\n")
    asked = Preparation(
        preprocess="imagenet", resize=(256,), crop=(224, 192), mean=(0.5, 0.25, 0.125),
        std=(0.5,), range="0-255", channels="bgr", layout="nchw", per_class=20, class_names=names,
    )  # fmt: skip

    read = _parsed(repeat_command(_call(tmp_path, preparation=asked), make_result()))

    for field in ("preprocess", "resize", "crop", "mean", "std", "channels", "layout"):
        assert read[field] == getattr(asked, field)
    assert read["value_range"] == asked.range
    assert (read["per_class"], read["class_names"]) == (20, names)


def test_the_references_that_were_compared_with_stand_in_it(
    make_result: Make, tmp_path: Path
) -> None:
    """Those of a gate, too, each once, and with the server that has them."""
    reference = ReferenceSummary(
        uri="models:/net/1", digest="ab", verdict="clean", p_value=0.4, p_is_bound=False, used=True
    )
    call = _call(tmp_path, references=("models:/net/1",), target=Target(uri="http://host:5000"))

    read = _parsed(repeat_command(call, with_evidence(make_result(), references=(reference,))))

    assert read["references"] == ("models:/net/1",)
    assert read["tracking_uri"] == "http://host:5000"


@pytest.mark.parametrize(
    "uri",
    [
        "https://me:secret@host/mlflow/model?token=secret",
        "s3://key:secret@bucket/model#secret",
        "runs:/abc/model?secret",
    ],
)
def test_no_secret_is_in_it(make_result: Make, tmp_path: Path, uri: str) -> None:
    """Neither in the model's address, nor in that of samples or server."""
    call = _call(tmp_path, uri=uri, samples=uri, target=Target(uri="http://me:secret@host"))

    command = repeat_command(call, make_result())

    assert "secret" not in command
    assert "abc" in command or "host" in command or "bucket" in command
