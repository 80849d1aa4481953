"""A small file with enormous arrays is refused before anything of it is unpacked."""

from __future__ import annotations

import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.intake import npz
from pipeline.intake.samples import first_images
from stages import zip_names
from stages.errors import ConfigError, ModelRefused, SamplesError
from stages.export.detect import find_source


def bomb(path: Path, size: int) -> Path:
    """A small file whose images take `size` bytes and more, as compression allows."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (size // 4,)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("labels.npy", "w") as member:
            np.lib.format.write_array(member, np.zeros(3, np.int64))
        with archive.open("images.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for _ in range(size // 2**24):
                member.write(bytes(2**24))
    return path


def test_samples_beyond_the_limit_are_refused_unread(tmp_path: Path) -> None:
    """A file of some megabytes takes no gigabytes of memory, and the sentence says both sizes."""
    path = bomb(tmp_path / "bomb.npz", npz.LARGEST + 2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(
        SamplesError, match=r"are too large: they take 2,164,\d+,\d+ bytes unpacked"
    ):
        first_images(path, 8)

    assert path.stat().st_size < 10 * 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


@pytest.mark.parametrize("shape", [(2**40,), (5,), (-3,), (2**62, 2**62)])
def test_a_header_that_claims_another_size_is_refused(tmp_path: Path, shape: tuple[int]) -> None:
    """What is there counts, not what is claimed: neither more nor less is taken."""
    path = tmp_path / "false.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("images.npy", "w") as member:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(16))

    with pytest.raises(ValueError, match="but its header claims"):
        npz.require_within(path, ["images.npy"], npz.LARGEST)


def test_what_is_within_the_limit_is_taken(tmp_path: Path) -> None:
    """The limit is on all arrays together, to the byte, headers included."""
    path = tmp_path / "good.npz"
    np.savez(path, images=np.zeros((4, 4), np.float32), labels=np.zeros(4, np.int64))
    names = ["images.npy", "labels.npy"]

    npz.require_within(path, names, 128 + 64 + 128 + 32)

    with pytest.raises(npz.TooLargeError, match="they take 352 bytes unpacked, expected 351"):
        npz.require_within(path, names, 351)


def test_an_archive_of_endless_members_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names in an archive are read up to a limit, and its refusal is one sentence."""
    monkeypatch.setattr(zip_names._Bounded, "left", 10_000)
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1000):
            archive.writestr(f"net/data/{number}", b"")

    with pytest.raises(ModelRefused, match="its directory has more than"):
        find_source(str(path))


def test_nor_is_one_in_a_folder_of_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for a lone file holds for the model file that `MLmodel` names."""
    monkeypatch.setattr(zip_names._Bounded, "left", 10_000)
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_text("flavors:\n  pytorch:\n    model_data: data\n")
    with zipfile.ZipFile(tmp_path / "data" / "model.pth", "w") as archive:
        for number in range(1000):
            archive.writestr(f"net/data/{number}", b"")

    with pytest.raises(ModelRefused, match="its directory has more than"):
        find_source(str(tmp_path))


def test_a_config_without_end_is_none(tmp_path: Path) -> None:
    """Of a `config.json` only so much is read; what does not end there is no model's."""
    (tmp_path / "config.json").write_text('{"model_type": "vit", "x": "' + "x" * 11 * 2**20 + '"}')

    with pytest.raises(ConfigError, match="holds no model that is known"):
        find_source(str(tmp_path))
