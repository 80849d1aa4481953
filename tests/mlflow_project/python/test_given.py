"""Models and samples as a caller in Python has them become the files that a scan takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from mlflow_project.python import batches, given_models, given_samples
from pipeline.samples.preparation import Preparation
from stages.errors import CannotJudge, ModelRefused, SamplesError
from tests.support import zoo

IMAGES = np.random.default_rng(0).random((40, 3, 32, 32), dtype=np.float32)
LABELS = np.arange(40) % zoo.CLASSES
TOLERANCE = 1e-4
ASKED = Preparation()


def probes(_shape: tuple[int, ...] | None) -> np.ndarray:
    """What a live model is exported with."""
    return IMAGES[:8]


def pairs() -> TensorDataset:
    """The samples as a Dataset."""
    return TensorDataset(torch.tensor(IMAGES), torch.tensor(LABELS))


GIVEN: dict[str, Callable[[], tuple[given_samples.Samples, given_samples.Labels]]] = {
    "numpy": lambda: (IMAGES, LABELS),
    "doubles": lambda: (IMAGES.astype(np.float64), LABELS.astype(np.float32)),
    "torch": lambda: (torch.tensor(IMAGES), torch.tensor(LABELS)),
    "a gradient": lambda: (torch.tensor(IMAGES, requires_grad=True), torch.tensor(LABELS)),
    "a list of labels": lambda: (IMAGES, [int(each) for each in LABELS]),
    "a DataLoader": lambda: (DataLoader(pairs(), batch_size=7), None),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_samples_of_any_kind_are_one_file(kind: str, tmp_path: Path) -> None:
    """The same images and labels, in the types of the contract."""
    with np.load(given_samples.written(*GIVEN[kind](), ASKED, tmp_path)) as stored:
        images, labels = stored["images"], stored["labels"]

    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_a_dataset_is_drawn_by_the_seed(tmp_path: Path) -> None:
    """Every sample once, in an order that the seed decides."""
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with np.load(
            given_samples.written(pairs(), None, Preparation(seed=seed), folder)
        ) as stored:
            drawn.append(stored["labels"])

    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(np.sort(drawn[0]), np.sort(LABELS))


class Endless(Dataset[tuple[torch.Tensor, int]]):
    """A large data set that says which of its samples were asked for."""

    def __init__(self) -> None:
        self.asked: set[int] = set()

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        self.asked.add(index)
        return torch.zeros(1, 2, 2), index % 10


def test_no_more_is_read_than_a_scan_needs(tmp_path: Path) -> None:
    """A million pictures are not decoded."""
    source = Endless()

    with np.load(given_samples.written(source, None, ASKED, tmp_path)) as stored:
        assert len(stored["images"]) == batches.MOST

    assert len(source.asked) < batches.MOST + batches.BATCH


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        (IMAGES, None, "no labels"),
        (pairs(), LABELS, "gives its own labels"),
        ("samples.npz", LABELS, "labels of their own"),
        (TensorDataset(torch.tensor(IMAGES)), None, "expected pairs"),
    ],
)
def test_missing_and_double_labels_are_refused(
    images: given_samples.Samples, labels: given_samples.Labels, told: str, tmp_path: Path
) -> None:
    """One sentence says which."""
    with pytest.raises(SamplesError, match=told):
        given_samples.written(images, labels, ASKED, tmp_path)


def test_a_live_module_becomes_its_file_and_stays_as_it_is(tmp_path: Path) -> None:
    """The file gives the module's scores in eval mode; the module is still in training."""
    module = zoo.net("small_cnn").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}

    path = given_models.written(module, probes, TOLERANCE, tmp_path)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: IMAGES[:8]})
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.no_grad():
        expected = module.eval()(torch.tensor(IMAGES[:8])).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_a_proto_becomes_its_file(tmp_path: Path) -> None:
    """Byte for byte what onnx writes."""
    model = onnx.load_model_from_string(zoo.exported("small_cnn", "legacy"))

    path = given_models.written(model, probes, TOLERANCE, tmp_path)

    assert onnx.load(path) == model


def test_a_module_whose_file_says_otherwise_is_refused(tmp_path: Path) -> None:
    """Parity comes before the verdict for live models as well."""

    class Drifting(nn.Module):
        """Gives other scores at every call."""

        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = nn.Linear(3 * 32 * 32, 4), 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            scores: torch.Tensor = self.layer(images.flatten(1)) * float(self.calls)
            return scores

    with pytest.raises(CannotJudge):
        given_models.written(Drifting(), probes, TOLERANCE, tmp_path)


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    """An object of no framework."""
    with pytest.raises(ModelRefused, match="`dict`"):
        given_models.written({}, probes, TOLERANCE, tmp_path)
