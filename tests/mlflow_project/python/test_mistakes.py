"""What people do in a notebook works, or gets the one sentence that mends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import ban_gate
from stages.passes import normalise
from stages.twin.convert import build_module
from tests.support.pictures import MODEL, digits, save_digits

IMAGES, LABELS = digits(200)
FEW = 60
NAMES = [f"digit-{each}" for each in range(10)]
Samples = tuple[Any, ...]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of other tests is used."""
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))


class Items(Dataset[Any]):
    """A data set of whatever is in a list."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def pairs() -> TensorDataset:
    """Images and labels."""
    return TensorDataset(torch.tensor(IMAGES[:FEW]), torch.tensor(LABELS[:FEW]))


def as_grey(image: Any) -> Image.Image:
    """A picture as torchvision gives it without transforms."""
    return Image.fromarray((image[0] * 255).astype(np.uint8))


def pickled_graph() -> nn.Module:
    """A module that holds a tensor which came out of a computation."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    module.cached = module[1].weight * 2
    return module


SAMPLES: dict[str, tuple[Callable[[], Samples], str]] = {
    "one-hot labels": (
        lambda: (IMAGES, np.eye(10)[LABELS]),
        r"of one-hot labels or scores take `labels.argmax\(1\)`",
    ),
    "names as labels": (
        lambda: (IMAGES, [NAMES[each] for each in LABELS]),
        "names such as `digit-.` become numbers by their place in the model's order",
    ),
    "labels from 1": (lambda: (IMAGES, LABELS + 1), "they count from 1, so save `labels - 1`"),
    "fewer labels": (lambda: (IMAGES, LABELS[:-1]), r"shape \(199,\), expected \(200,\)"),
    "one image": (lambda: (IMAGES[0], LABELS[:1]), r"has shape \(1, 16, 16\), the model's input"),
    "bytes with the channels last": (
        lambda: ((IMAGES.transpose(0, 2, 3, 1) * 255).astype(np.uint8), LABELS),
        "save `images / 255` as `images`",
    ),
    "coloured pictures": (
        lambda: (IMAGES.repeat(3, 1), LABELS),
        r"make coloured images grey, such as with Pillow's `convert\('L'\)`",
    ),
    "sorted labels cut off": (lambda: (IMAGES, np.zeros(200, int)), "shuffle before you cut"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_that_do_not_fit_get_the_sentence_that_mends_them(name: str) -> None:
    """In the result, as for a file: there is no verdict, and the reason says what to do."""
    make, told = SAMPLES[name]

    result = ban_gate.scan(MODEL, *make())

    assert result.verdict == "inconclusive"
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(result.reasons[0])


GIVEN: dict[str, tuple[Callable[[], Samples], str]] = {
    "the samples first": (lambda: (IMAGES, LABELS, MODEL), "a `ndarray` is no model; expected"),
    "a loader first": (lambda: (DataLoader(pairs()), MODEL), "a `DataLoader` is no model"),
    "a tensor first": (lambda: (torch.zeros(3), MODEL), "a `Tensor` is no model; .* after it"),
    "arrays for a model": (lambda: (IMAGES, IMAGES, LABELS), "a `ndarray` is no model; expected"),
    "a class": (lambda: (nn.Linear, IMAGES, LABELS), r"`Linear` is a class, .*; call it, as in"),
    "a state dict": (
        lambda: (nn.Linear(2, 2).state_dict(), IMAGES, LABELS),
        "a `OrderedDict` holds weights at most, .* with `load_state_dict` and give that",
    ),
    "a session": (
        lambda: (onnxruntime.InferenceSession(MODEL), IMAGES, LABELS),
        "a `InferenceSession` is no model; expected a path, a URI, an ONNX model or a model of",
    ),
    "no labels": (lambda: (MODEL, IMAGES), "give one class number per image"),
    "labels beside a loader": (
        lambda: (MODEL, DataLoader(Items([(IMAGES[0], 1)])), LABELS),
        "a data set gives its own labels",
    ),
    "a dictionary for samples": (lambda: (MODEL, {"x": IMAGES}, LABELS), "a `dict` is no samples"),
    "images of several sizes": (
        lambda: (MODEL, [np.zeros((1, 8, 8)), np.zeros((1, 9, 9))], [0, 1]),
        "the images are not all of one shape; bring them to the size",
    ),
    "objects for images": (
        lambda: (MODEL, np.array([object()] * 4), [0, 1, 2, 3]),
        "the images are a `ndarray` of object, expected an array or tensor of numbers",
    ),
    "pictures without a transform": (
        lambda: (MODEL, Items([(as_grey(each), 1) for each in IMAGES[:9]])),
        "cannot be read .*; end its transforms with `ToTensor`, or give the folder",
    ),
    "a data set that fails": (
        lambda: (MODEL, DataLoader(Items([(IMAGES[0], 1), 1 // 1, None]), batch_size=2)),
        "the data set cannot be read .*; iterate over it yourself",
    ),
    "batches of several sizes": (
        lambda: (MODEL, DataLoader(Items([(IMAGES[0], 1), (IMAGES[1][:, :9], 1)]))),
        "do not fit together .*; resize all images",
    ),
    "names that nobody knows": (
        lambda: (MODEL, DataLoader(Items([{"a": IMAGES[0], "b": 1}]))),
        "the data set gives `a`, `b`, expected pairs of images and labels",
    ),
    "images without labels": (
        lambda: (MODEL, DataLoader(Items([IMAGES[0]]))),
        "the data set gives a `Tensor`, expected pairs",
    ),
    "no sample at all": (lambda: (MODEL, DataLoader(Items([]))), "the data set is empty"),
    "a live module and images with the channels last": (
        lambda: (nn.Conv2d(1, 4, 3), IMAGES.transpose(0, 2, 3, 1), LABELS),
        r"the model fails on images of shape \(8, 16, 16, 1\) .*; put the channels first",
    ),
    "a live module and images without channels": (
        lambda: (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), IMAGES[:, 0], LABELS),
        "add the axis of channels with",
    ),
    "a live module that needs another size": (
        lambda: (nn.Sequential(nn.Flatten(), nn.Linear(99, 10)), IMAGES, LABELS),
        r"the model fails on images of shape \(8, 1, 16, 16\) .*; give images of the shape",
    ),
    "a live module that cannot be copied": (
        lambda: (pickled_graph(), IMAGES, LABELS),
        "the `Sequential` cannot be copied .*; build it anew",
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_no_model_or_no_samples_is_told(name: str) -> None:
    """By an exception, as nothing can be scanned."""
    make, told = GIVEN[name]

    with pytest.raises(ban_gate.CannotJudge, match=told) as error:
        ban_gate.scan(*make())

    assert str(error.value).count("\n") == 0


def test_a_live_module_and_a_folder_need_a_size(tmp_path: Path) -> None:
    """A module of torch does not say what it takes; with the size it is judged."""
    folder = save_digits(tmp_path / "pictures", FEW)
    module = build_module(normalise(onnx.load(MODEL)))

    with pytest.raises(ban_gate.ConfigError, match=r'say it, as in `preprocess={"crop": 32}`'):
        ban_gate.scan(module, folder)
    result = ban_gate.scan(module, folder, preprocess={"crop": 16, "channels": "grey"})

    assert result.reasons[0].startswith("only 60 clean samples")
    assert result.class_names == tuple(NAMES)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"preprocess": {"crp": 32}}, "unknown setting `preprocess.crp`; did you mean"),
        ({"preprocess": {"crop": "big"}}, "`preprocess.crop` is 'big', expected a side, or"),
        ({"preprocess": {"range": "0-2"}}, "expected one of '0-1', '0-255', '-1-1'"),
        ({"preprocess": "imagnet"}, "did you mean `imagenet`"),
        ({"settings": {"judge.false_alarm": 0.1}}, "did you mean `judge.false_alarm_rate`"),
        ({"settings": {"judge.false_alarm_rate": 5}}, "`judge.false_alarm_rate` is 5, expected"),
        ({"settings": {"seed": {1}}}, "settings are numbers, texts or lists by name"),
        ({"settings": ["seed=1"]}, "settings are numbers, texts or lists by name"),
        ({"device": "gpu"}, "expected one of 'auto', 'cpu', 'cuda'"),
        ({"experiment": "scans"}, "the experiment `scans` is that of a run, .*; give one"),
        ({"seed": -1}, "`seed` is -1, expected a whole number"),
        ({"budget": "soon"}, "`soon` is no duration, expected one such as 90s"),
        ({"budget": 0}, "the budget is 0 s, expected more than 0"),
        ({"class_names": ["cat", "dog"]}, "2 class names were given, the model has 10 classes"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, Any], told: str, tmp_path: Path) -> None:
    """With what was meant, or what is expected."""
    folder = save_digits(tmp_path / "pictures", FEW)

    with pytest.raises(ban_gate.ConfigError, match=told):
        ban_gate.scan(MODEL, folder, **arguments)


class Doubled(nn.Module):
    """Right in eval mode alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores in the order of the classes, or in another."""
        scores: torch.Tensor = self.inner(images)
        return scores.flip(1) if self.training else scores


def demo() -> nn.Module:
    """The demo's clean model as a live module."""
    return build_module(normalise(onnx.load(MODEL)))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "in training": lambda: Doubled(demo()).train(),
    "in doubles": lambda: demo().double(),
    "in halves": lambda: demo().half(),
    "for several devices": lambda: nn.DataParallel(demo()),
    "compiled": lambda: torch.compile(demo()),  # type: ignore[return-value] # it is one
    "with a gradient": lambda: demo().requires_grad_(requires_grad=True),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_live_module_is_judged_in_whatever_state_it_is(name: str) -> None:
    """And is left in it."""
    module = MODULES[name]()
    kinds = {each.dtype for each in module.parameters()}

    result = ban_gate.scan(module, IMAGES[:FEW], LABELS[:FEW])

    assert result.reasons == ("only 60 clean samples, at least 100 are needed",)
    clean = result.to_dict()["samples"]
    assert isinstance(clean, dict)
    assert clean["clean_accuracy"] > 0.9
    assert {each.dtype for each in module.parameters()} == kinds


def as_dictionaries() -> DataLoader[Any]:
    """As data sets of transformers give them."""
    items = [
        {"pixel_values": image, "labels": label, "id": number}
        for number, (image, label) in enumerate(zip(IMAGES[:FEW], LABELS[:FEW], strict=True))
    ]
    return DataLoader(Items(items), batch_size=7)


def of_hugging_face() -> Any:
    """Pictures with the names of their classes, in memory."""
    datasets = pytest.importorskip("datasets")
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    columns = {"image": [as_grey(each) for each in IMAGES[:FEW]], "label": list(LABELS[:FEW])}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


LOADERS: dict[str, Callable[[], Samples]] = {
    "dictionaries": lambda: (as_dictionaries(),),
    "batches of one": lambda: (DataLoader(pairs(), batch_size=1),),
    "no batches": lambda: (DataLoader(pairs(), batch_size=None),),
    "shuffled": lambda: (DataLoader(pairs(), batch_size=16, shuffle=True),),
    "in workers": lambda: (DataLoader(pairs(), batch_size=16, num_workers=1),),
    "a list of tensors": lambda: (list(torch.tensor(IMAGES[:FEW])), list(LABELS[:FEW])),
    "a data set of Hugging Face": lambda: (of_hugging_face(),),
    "bfloat16": lambda: (torch.tensor(IMAGES[:FEW]).bfloat16(), LABELS[:FEW]),
    "bytes of a file": lambda: (IMAGES[:FEW].transpose(0, 2, 3, 1), LABELS[:FEW].astype(np.uint8)),
}


@pytest.mark.parametrize("name", LOADERS)
def test_samples_are_taken_in_whatever_form_they_are(name: str) -> None:
    """All of them are there, each with its label."""
    result = ban_gate.scan(MODEL, *LOADERS[name]())

    assert result.reasons == ("only 60 clean samples, at least 100 are needed",)
    clean = result.to_dict()["samples"]
    assert isinstance(clean, dict)
    assert clean["clean_accuracy"] > 0.9


def test_a_shuffled_loader_gives_the_same_samples_each_time() -> None:
    """The seed decides, and torch's own generator is left as it was."""
    loader = DataLoader(pairs(), batch_size=16, shuffle=True)
    before = torch.get_rng_state()
    digests = [ban_gate.scan(MODEL, loader, seed=seed).to_dict()["samples"] for seed in (0, 0, 1)]

    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    assert torch.equal(torch.get_rng_state(), before)


def test_names_as_labels_become_numbers_where_the_names_are_given() -> None:
    """By their place; a name that is not there is told."""
    labels = [NAMES[each] for each in LABELS[:FEW]]

    result = ban_gate.scan(MODEL, IMAGES[:FEW], labels, class_names=NAMES)

    assert result.class_names == tuple(NAMES)
    assert result.reasons == ("only 60 clean samples, at least 100 are needed",)
    with pytest.raises(ban_gate.CannotJudge, match=r"`digit-.` is none of the 10 class names"):
        ban_gate.scan(MODEL, IMAGES[:FEW], labels, class_names=[f"n{each}" for each in range(10)])
