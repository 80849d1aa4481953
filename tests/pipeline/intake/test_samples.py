"""Clean samples are taken only if they fit the contract and the model."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pipeline.intake.samples import read_samples
from stages.errors import SamplesError
from stages.types import OnnxArtifact, TensorSpec

IMAGES = np.random.default_rng(0).random((10, 1, 4, 4), np.float32)
LABELS = np.arange(10, dtype=np.int64) % 5


@pytest.fixture
def artifact(make_artifact: Callable[..., OnnxArtifact]) -> OnnxArtifact:
    """A model of (any, 1, 4, 4) and 5 classes."""
    return make_artifact()


def _saved(folder: Path, **arrays: object) -> Path:
    path = folder / "clean.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type] # wrong things are saved on purpose
    return path


def _with_nan() -> np.ndarray:
    images = IMAGES.copy()
    images[0, 0, 0] = [np.nan, np.inf, -np.inf, 0]
    return images


def test_good_samples_are_read_as_they_are(tmp_path: Path, artifact: OnnxArtifact) -> None:
    """Nothing is scaled, reordered or dropped."""
    found = read_samples(_saved(tmp_path, images=IMAGES, labels=LABELS), artifact)

    assert np.array_equal(IMAGES, found.images)
    assert np.array_equal(LABELS, found.labels)
    assert found.images.dtype == np.float32
    assert found.labels.dtype == np.int64


def test_the_digest_is_that_of_the_numbers(tmp_path: Path, artifact: OnnxArtifact) -> None:
    """Compression, other arrays and the width of the labels do not make other samples."""
    path = tmp_path / "small.npz"
    np.savez_compressed(path, images=IMAGES, labels=LABELS.astype(np.int32), names=np.arange(3))

    packed = read_samples(path, artifact)
    plain = read_samples(_saved(tmp_path, images=IMAGES, labels=LABELS), artifact)

    assert packed.digest == plain.digest


def test_free_sizes_take_any_size(
    tmp_path: Path, make_artifact: Callable[..., OnnxArtifact]
) -> None:
    """Where the model leaves a size or the classes open, the samples decide."""
    artifact = make_artifact(
        input=TensorSpec(name="image", shape=(1, None, None, 4), dtype="float32"),
        output=TensorSpec(name="logits", shape=(None, None), dtype="float32"),
    )

    found = read_samples(_saved(tmp_path, images=IMAGES, labels=LABELS + 100), artifact)

    assert len(found) == 10


def test_channels_go_where_the_model_has_them(tmp_path: Path, artifact: OnnxArtifact) -> None:
    """Channels last are put first where the shape leaves no other reading."""
    path = _saved(tmp_path, images=IMAGES.transpose(0, 2, 3, 1), labels=LABELS)

    found = read_samples(path, artifact)

    np.testing.assert_array_equal(found.images, IMAGES)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": IMAGES}, "lack `labels`, found `images`"),
        ({"x": IMAGES, "y": LABELS}, "lack `images` and `labels`, found `x`, `y`"),
        ({}, "found no arrays"),
        ({"images": IMAGES.astype(np.float64), "labels": LABELS}, "is float64, expected float32"),
        ({"images": (IMAGES * 255).astype(np.uint8), "labels": LABELS}, "own input space"),
        ({"images": IMAGES[:, 0], "labels": LABELS}, r"\(10, 4, 4\), the model's input `image`"),
        ({"images": np.float32(1), "labels": LABELS}, r"shape \(\), the model's input"),
        ({"images": IMAGES[:, :, :2], "labels": LABELS}, r"expects \(N, 1, 4, 4\); resize"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "`images` is empty"),
        ({"images": _with_nan(), "labels": LABELS}, "3 values that are NaN or infinite"),
        ({"images": IMAGES, "labels": LABELS.astype(np.float32)}, "is float32, expected int64"),
        ({"images": IMAGES, "labels": LABELS.astype(np.uint8)}, "is uint8, expected int64"),
        ({"images": IMAGES, "labels": LABELS[:9]}, r"\(9,\), expected \(10,\)"),
        ({"images": IMAGES, "labels": np.eye(5, dtype=np.int64)[LABELS]}, r"\(10, 5\), expected"),
        ({"images": IMAGES, "labels": LABELS + 1}, "range from 1 to 5, .* numbered 0 … 4"),
        ({"images": IMAGES, "labels": LABELS - 1}, "range from -1 to 3"),
        ({"images": IMAGES, "labels": np.zeros(10, np.int64)}, "every label is 0"),
        ({"images": IMAGES, "labels": LABELS.astype(object)}, "holds Python objects"),
    ],
)
def test_each_fault_is_told_in_a_sentence(
    tmp_path: Path, artifact: OnnxArtifact, arrays: dict[str, object], sentence: str
) -> None:
    """What was found stands beside what is expected."""
    path = _saved(tmp_path, **arrays)

    with pytest.raises(SamplesError, match=sentence):
        read_samples(path, artifact)


@pytest.mark.parametrize("content", [b"", b"images", b"PK\x03\x04 cut short"])
def test_what_is_no_npz_is_not_read(tmp_path: Path, artifact: OnnxArtifact, content: bytes) -> None:
    """A file of another kind is named as such."""
    path = tmp_path / "clean.npz"
    path.write_bytes(content)

    with pytest.raises(SamplesError, match=r"not an `.npz` file"):
        read_samples(path, artifact)


def test_a_single_array_is_not_samples(tmp_path: Path, artifact: OnnxArtifact) -> None:
    """An `.npy` file is told apart from an `.npz`."""
    path = tmp_path / "images.npy"
    np.save(path, IMAGES)

    with pytest.raises(SamplesError, match=r"not an `.npz` file"):
        read_samples(path, artifact)


def test_a_folder_gets_a_sentence_of_its_own(tmp_path: Path, artifact: OnnxArtifact) -> None:
    """Folders of images are not samples."""
    with pytest.raises(SamplesError, match=r"is a folder, expected an `\.npz` file"):
        read_samples(tmp_path, artifact)


@pytest.mark.parametrize("position", [0.05, 0.3, 0.5, 0.9])
def test_damage_never_passes_unseen(
    tmp_path: Path, artifact: OnnxArtifact, position: float
) -> None:
    """A changed byte inside the numbers is found by the archive's checksum."""
    path = _saved(tmp_path, images=IMAGES, labels=LABELS)
    content = bytearray(path.read_bytes())
    content[int(len(content) * position)] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(SamplesError):
        read_samples(path, artifact)


@pytest.mark.filterwarnings("ignore:Data type alias:DeprecationWarning", "ignore:Reading .npy")
@pytest.mark.parametrize("name", ["images", "labels"])
def test_no_broken_header_breaks_the_reader(
    tmp_path: Path, artifact: OnnxArtifact, name: str
) -> None:
    """Each byte of an array's header, changed in several ways, gives a sentence or good samples.

    The archive is written anew around the damage, so no checksum catches it first.
    """
    packed = {each: io.BytesIO() for each in ("images", "labels")}
    np.save(packed["images"], IMAGES)
    np.save(packed["labels"], LABELS)
    good = packed[name].getvalue()
    for position in range(128):
        for change in (0x01, 0x08, 0x20, 0xFF):
            broken = bytearray(good)
            broken[position] ^= change
            path = tmp_path / "broken.npz"
            with zipfile.ZipFile(path, "w") as archive:
                for each, content in packed.items():
                    archive.writestr(
                        f"{each}.npy", bytes(broken) if each == name else content.getvalue()
                    )

            with suppress(SamplesError):
                assert len(read_samples(path, artifact)) == 10


@pytest.mark.parametrize("shape", [(2**40, 1, 4, 4), (2**62, 2**62), (-1, 1, 4, 4)])
def test_a_claim_beyond_all_memory_is_not_believed(
    tmp_path: Path, artifact: OnnxArtifact, shape: tuple[int, ...]
) -> None:
    """A header that promises petabytes ends in a sentence, not in a crash."""
    path = tmp_path / "bomb.npz"
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("images", "labels"):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(member, header)

    with pytest.raises(SamplesError, match="cannot be read"):
        read_samples(path, artifact)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_only_a_file_is_opened(
    tmp_path: Path, artifact: OnnxArtifact, make: Callable[[Path], None]
) -> None:
    """A pipe would keep the scan waiting, a device would feed it for ever."""
    path = tmp_path / "clean.npz"
    make(path)

    with pytest.raises(SamplesError, match=r"not an `\.npz` file"):
        read_samples(path, artifact)


@pytest.mark.parametrize("order", ["big endian", "Fortran", "read-only", "memory-mapped"])
def test_the_way_numbers_lie_in_memory_is_no_matter(
    tmp_path: Path, artifact: OnnxArtifact, order: str
) -> None:
    """Equal numbers are equal samples with one digest; another byte order is named."""
    np.save(tmp_path / "images.npy", IMAGES)
    images = {
        "big endian": IMAGES.astype(">f4"),
        "Fortran": np.asfortranarray(IMAGES),
        "read-only": np.broadcast_to(IMAGES, IMAGES.shape),
        "memory-mapped": np.load(tmp_path / "images.npy", mmap_mode="r"),
    }[order]
    path = _saved(tmp_path, images=images, labels=LABELS)

    if order == "big endian":
        with pytest.raises(SamplesError, match="is >f4, expected float32"):
            read_samples(path, artifact)
        return
    found = read_samples(path, artifact)

    plain = read_samples(_saved(tmp_path, images=IMAGES, labels=LABELS), artifact)
    assert found.digest == plain.digest
    assert not found.images.flags.writeable


def test_labels_of_both_widths_are_the_same_samples(tmp_path: Path, artifact: OnnxArtifact) -> None:
    """int32 labels become int64."""
    narrow = read_samples(_saved(tmp_path, images=IMAGES, labels=LABELS.astype("i4")), artifact)

    assert narrow.labels.dtype == np.int64
    assert np.array_equal(narrow.labels, LABELS)
