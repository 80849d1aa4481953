"""Whatever form samples come in, the same pictures are the same clean samples."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.intake.samples import read_samples
from pipeline.samples.clean import clean_samples, made_samples
from pipeline.samples.exact_file import write_exact
from pipeline.samples.preparation import Preparation
from stages.errors import ConfigError, SamplesError
from stages.types import OnnxArtifact
from tests.support.pictures import MODEL, demo_artifact, digits, save_digits

COUNT = 120
NAMES = tuple(f"digit-{each}" for each in range(10))


@pytest.fixture(scope="module")
def artifact() -> OnnxArtifact:
    """The demo's clean model, for pictures of 16 × 16 in grey."""
    return demo_artifact()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits in ten class folders."""
    return save_digits(tmp_path_factory.mktemp("pictures"), COUNT)


def _table(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place / "pictures")
    with (place / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for path in sorted((place / "pictures").rglob("*.png")):
            rows.writerow([path.relative_to(place).as_posix(), path.parent.name])
    return place / "list.csv"


def _saved_data_set(folder: Path, place: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    files = sorted(folder.rglob("*.png"))
    features = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=list(NAMES)),
    }
    rows = {
        "image": [{"bytes": each.read_bytes(), "path": None} for each in files],
        "label": [each.parent.name for each in files],
    }
    rows["label"] = [NAMES.index(each) for each in rows["label"]]
    one = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    datasets.DatasetDict({"test": one, "train": one.select([0])}).save_to_disk(str(place / "set"))
    return place / "set"


def _sorted(images: np.ndarray, labels: np.ndarray) -> list[tuple[int, bytes]]:
    """Labels and the bytes of the pictures, whatever their order is."""
    pixels = (images * 255).round().astype(np.uint8)
    return sorted(
        (int(label), image.tobytes()) for label, image in zip(labels, pixels, strict=True)
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("form", [_table, _saved_data_set, lambda folder, _place: folder])
def test_every_form_gives_the_same_samples(
    folder: Path, artifact: OnnxArtifact, tmp_path: Path, form: object
) -> None:
    """Folders, tables and saved data sets: pixel by pixel what the pictures were made of."""
    source = form(folder, tmp_path)  # type: ignore[operator] # a function

    found = clean_samples(source, artifact, str(MODEL), Preparation())

    assert _sorted(found.images, found.labels) == _sorted(*digits(COUNT))
    assert found.class_names == NAMES
    assert found.images.dtype == np.float32
    assert json.loads(found.provenance)["per_class"].keys() == {str(each) for each in range(10)}


def test_the_file_that_is_written_is_read_as_the_same(
    folder: Path, artifact: OnnxArtifact, tmp_path: Path
) -> None:
    """Samples, names and provenance survive, and the contract's own reader takes the file."""
    made = made_samples(folder, artifact, str(MODEL), Preparation())

    write_exact(tmp_path / "clean.npz", made.samples, made.pictures)

    found = clean_samples(tmp_path / "clean.npz", artifact, str(MODEL), Preparation())
    assert found.digest == made.samples.digest
    assert read_samples(tmp_path / "clean.npz", artifact).digest == found.digest
    assert (found.class_names, found.provenance) == (NAMES, made.samples.provenance)
    with np.load(tmp_path / "clean.npz", allow_pickle=False) as stored:
        assert tuple(stored["pictures"]) == made.pictures


def test_the_same_seed_draws_the_same_pictures(folder: Path, artifact: OnnxArtifact) -> None:
    """As many of each class, in turn; another seed draws others."""
    draws = [
        clean_samples(folder, artifact, str(MODEL), Preparation(per_class=3, seed=seed))
        for seed in (1, 1, 2)
    ]

    assert draws[0].digest == draws[1].digest != draws[2].digest
    assert draws[0].labels.tolist() == [*range(10)] * 3


def test_a_folder_that_holds_the_file_is_the_file(
    folder: Path, artifact: OnnxArtifact, tmp_path: Path
) -> None:
    """As MLflow downloads an artifact."""
    made = made_samples(folder, artifact, str(MODEL), Preparation())
    write_exact(tmp_path / "clean.npz", made.samples)

    found = clean_samples(tmp_path, artifact, str(MODEL), Preparation())

    assert found.digest == made.samples.digest


def test_the_names_in_the_model_give_the_order(
    folder: Path, artifact: OnnxArtifact, tmp_path: Path
) -> None:
    """Names that the file, its neighbours or the user state come before sorting."""
    backwards = NAMES[::-1]
    stated = replace(artifact, class_names=backwards)
    (tmp_path / "config.json").write_text(json.dumps({"id2label": dict(enumerate(backwards))}))
    model = shutil.copy(MODEL, tmp_path)
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    mine = Preparation(class_names=tmp_path / "names.txt")

    by_file = clean_samples(folder, stated, "nowhere.onnx", Preparation())
    by_neighbour = clean_samples(folder, artifact, str(model), Preparation())
    by_user = clean_samples(folder, artifact, str(model), mine)

    assert by_file.class_names == by_neighbour.class_names == backwards
    assert by_file.digest == by_neighbour.digest != by_user.digest
    assert by_user.digest == clean_samples(folder, artifact, str(MODEL), Preparation()).digest


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"mean": (0.5, 0.5)}, ConfigError, "has 2 means, the model's images have 1 channel"),
        ({"mean": (123.7,)}, ConfigError, "means of 0 to 255 need `--range 0-255`"),
        ({"channels": "bgr"}, ConfigError, "an order of three channels"),
        ({"preprocess": "imagnet"}, ConfigError, "did you mean `imagenet`?"),
        ({"preprocess": "imagenet"}, ConfigError, "has 3 means, the model's images have 1"),
        ({"preprocess": "gone.json"}, ConfigError, "cannot be read as a `preprocessor_config"),
        ({"std": (0.0,)}, ConfigError, "a std is 0"),
        ({"resize": (10**6,)}, ConfigError, "`resize` is 1000000, expected 1 to 8192"),
        ({"crop": (8, 8)}, SamplesError, r"has shape \(120, 1, 8, 8\), the model's input"),
    ],
)
def test_what_does_not_fit_the_model_is_told(
    folder: Path,
    artifact: OnnxArtifact,
    changes: dict[str, object],
    kind: type[Exception],
    sentence: str,
) -> None:
    """Each contradiction in a sentence of its own."""
    asked = Preparation(**changes)  # type: ignore[arg-type] # tests name real fields

    with pytest.raises(kind, match=sentence):
        clean_samples(folder, artifact, str(MODEL), asked)
