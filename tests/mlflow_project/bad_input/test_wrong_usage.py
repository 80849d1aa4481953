"""A call that cannot be right is told so in one sentence before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from tests.support.bad_calls import MALFORMED_TOML, Scan, sentences

pytestmark = pytest.mark.usefixtures("mlflow_settings")

USAGE = {
    "no model": Scan(model="missing.onnx", sentence="does not exist"),
    "a folder for a model": Scan(model="folder", sentence="holds no model that is known"),
    "no samples": Scan(samples="missing.npz", sentence="does not exist"),
    "output is a file": Scan(options=("--output", "{world}/note.npz"), sentence="is a file"),
    "output below a file": Scan(
        options=("--output", "{world}/note.npz/deep/out"),
        sentence="cannot be written ([Errno 20] Not a directory",
    ),
    "output below /proc": Scan(
        options=("--output", "/proc/ban-gate"), sentence="choose a writable folder"
    ),
    "unknown key": Scan(
        options=("--set", "blend.faint_stebs=2"),
        sentence="unknown setting `blend.faint_stebs`; did you mean `blend.faint_steps`?",
    ),
    "unknown section": Scan(
        options=("--set", "nose.steps=2"), sentence="unknown setting `nose`; known are `seed`"
    ),
    "wrong type": Scan(
        options=("--set", "blend.faint_steps=many"),
        sentence="`blend.faint_steps` is 'many', expected a whole number",
    ),
    "one wrong of several": Scan(
        options=("--set", "blend.faint_steps=2; warp.steps=few"),
        sentence="`warp.steps` is 'few', expected a whole number",
    ),
    "no value": Scan(options=("--set", "blend.faint_steps"), sentence="expected KEY=VALUE"),
    "deep value": Scan(options=("--set", "seed=" + "[" * 5000), sentence="expected a whole number"),
    "malformed TOML": MALFORMED_TOML,
    "deep TOML": Scan(options=("--config", "{world}/nested.toml"), sentence="cannot be read"),
    "TOML of another tool": Scan(
        options=("--config", "{world}/unknown.toml"), sentence="unknown setting `nose`"
    ),
    "config is a folder": Scan(options=("--config", "{world}/folder"), sentence="is a directory"),
    "unknown device": Scan(options=("--device", "tpu"), sentence="'auto', 'cpu', 'cuda'"),
    "device in a setting": Scan(
        options=("--set", "device=tpu"), sentence="expected one of 'auto', 'cpu', 'cuda'"
    ),
    "negative seed": Scan(options=("--seed", "-1"), sentence="-1 is not in the range x>=0"),
    "negative seed in a setting": Scan(
        options=("--set", "seed=-1"), sentence="`seed` is -1, expected a whole number from 0 to"
    ),
}
if not torch.cuda.is_available():
    USAGE["no CUDA"] = Scan(options=("--device", "cuda"), sentence="use `--device auto` or")


@pytest.mark.parametrize("scan", [pytest.param(scan, id=name) for name, scan in USAGE.items()])
def test_wrong_usage_is_told_before_anything_is_made(
    run: Callable[..., Result], world: Path, tmp_path: Path, scan: Scan
) -> None:
    """Exit 2, one sentence on stderr, nothing on stdout, and neither database nor output."""
    place = () if "--output" in scan.options else ("--output", tmp_path / "out")

    result = run(*scan.arguments(world), "--tracking-uri", "sqlite:///mlflow.db", *place)

    (sentence,) = sentences(result.stderr)
    assert result.exit_code == 2
    assert scan.sentence in sentence
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "work").iterdir()) == []
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
