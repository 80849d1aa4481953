"""From a folder of pictures to a file of samples, and to a verdict."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
from click.testing import Result

from tests.support.pictures import MODEL, save_digits
from tests.support.places import ROOT

pytestmark = pytest.mark.usefixtures("mlflow_settings")

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 digits in class folders."""
    return save_digits(tmp_path_factory.mktemp("pictures"), 300)


def test_a_folder_of_pictures_leads_to_a_verdict(
    call: Call, pictures: Path, tmp_path: Path
) -> None:
    """One line: a folder of 300 PNG files and an ONNX file, nothing else."""
    backdoored = MODEL.with_name("patch.onnx")

    result = call("scan", backdoored, "--samples", pictures, "--output", tmp_path / "out")

    assert result.exit_code == 1, result.stderr
    assert result.stdout.startswith("backdoored ")
    samples = json.loads((tmp_path / "out" / "verdict.json").read_text())["samples"]
    assert (samples["n"], samples["classes"], samples["clean_accuracy"] > 0.9) == (300, 10, True)
    assert samples["provenance"]["kind"] == "class folders"


def test_a_wrong_preprocessing_is_named_with_the_option_that_mends_it(
    call: Call, pictures: Path
) -> None:
    """First on stdout, where a pipeline shows it."""
    result = call("scan", MODEL, "--samples", pictures, "--range", "0-255")

    assert result.exit_code == 3, result.stderr
    assert result.stdout.startswith("inconclusive  clean accuracy is 0.")
    assert "make the samples with `--range 0-1`" in result.stdout


def test_the_file_has_its_origin_inside(call: Call, pictures: Path, tmp_path: Path) -> None:
    """Source, seed and preprocessing, and a line for every picture."""
    result = call(
        *("samples", pictures, "--model", MODEL, "-o", tmp_path / "clean.npz"),
        *("--per-class", 5, "--seed", 3, "--range", "-1-1"),
    )

    assert result.exit_code == 0, result.stderr
    assert "50 samples of 10 classes" in result.stdout
    with np.load(tmp_path / "clean.npz", allow_pickle=False) as stored:
        origin = json.loads(str(stored["provenance"]))
        assert stored["images"].min() == -1
        assert len(stored["pictures"]) == 50
    assert origin["seed"] == 3
    assert origin["preprocessing"]["span"] == [-1, 1]
    assert origin["per_class"] == {str(each): 5 for each in range(10)}


def test_samples_may_lie_in_mlflow(call: Call, pictures: Path, tmp_path: Path) -> None:
    """A folder of pictures that a run logged."""
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(pictures), "pictures")

    result = call(
        *("samples", f"runs:/{run.info.run_id}/pictures", "--model", MODEL),
        *("-o", tmp_path / "clean.npz"),
    )

    assert result.exit_code == 0, result.stderr
    assert "300 samples of 10 classes" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--resize", "big"), 2, "'big' is not understood, expected such as 256 or 256,192"),
        (("--mean", "1,2,3,4,5"), 2, "expected such as 0.485,0.456,0.406"),
        (("--range", "0-1000"), 2, "'0-1', '0-255', '-1-1'"),
        (("--preprocess", "imagnet"), 2, "did you mean `imagenet`?"),
        (("--class-names", "{names}"), 2, "has 2 class names, the model has 10 classes"),
        (("--per-class", "0"), 2, "0 is not in the range"),
    ],
)
def test_a_wrong_option_is_told_in_a_sentence(
    call: Call, pictures: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """Nothing is written."""
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    given = [each.format(names=tmp_path / "names.txt") for each in arguments]

    result = call("samples", pictures, "--model", MODEL, "-o", tmp_path / "clean.npz", *given)

    assert result.exit_code == code
    assert words in result.stderr
    assert not (tmp_path / "clean.npz").exists()


def test_the_page_does_what_it_says(call: Call, pictures: Path) -> None:
    """Its commands run as they stand, those that write a file; the scans differ in nothing else."""
    shutil.copytree(pictures, "pictures")
    shutil.copy(MODEL, "model.onnx")
    Path("names.txt").write_text("".join(f"digit-{each}\n" for each in range(10)))
    rows = [f"pictures/{each.parent.name}/{each.name},{each.parent.name}\n" for each in
            sorted(Path("pictures").rglob("*.png"))]  # fmt: skip
    Path("list.csv").write_text("path,label\n" + "".join(rows))
    page = (ROOT / "docs" / "samples.md").read_text()
    lines = re.findall(r"^\$ ban-gate (samples .*)$", page, re.MULTILINE)

    assert len(lines) >= 4
    for line in lines:
        result = call(*shlex.split(line, comments=True))

        assert result.exit_code == 0, (line, result.stderr)
        assert Path("clean.npz").exists()
        Path("clean.npz").unlink()


def test_a_native_model_takes_pictures_too(call: Call, pictures: Path, tmp_path: Path) -> None:
    """Exported for the size that is asked for; two pictures of each class are too few to judge."""
    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "def build():\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(),\n"
        "        torch.nn.Flatten(), torch.nn.Linear(4 * 14 * 14, 10)).eval()\n"
    )
    net = f"{tmp_path / 'nets.py'}:build"
    options = ("--samples", pictures, "--per-class", "2", "--trust-model-code")

    sized = call("scan", net, *options, "--crop", "16", "--channels", "grey")
    unsized = call("scan", net, *options)

    assert sized.exit_code == 3
    assert "only 20 clean samples" in sized.stderr
    assert unsized.exit_code == 2
    assert "with pictures as samples their size by `--crop`" in unsized.stderr
