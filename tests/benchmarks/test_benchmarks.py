"""The evidence can be trusted: splits do not mix, attacks do what they say, tables count right."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from benchmarks import data, demo_models
from benchmarks.zoo import architectures, attacks, exporters, input_aware, public, training
from benchmarks.zoo.__main__ import build
from benchmarks.zoo.attacks import OTHER, QUIET, SINGLE_TARGET, TRIGGERS
from benchmarks.zoo.recipe import CLEAN, Recipe
from benchmarks.zoo.splits import MORE_TIMES, RARE, RARE_TIMES, SPLITS, TURNS, recipes
from benchmarks.zoo.tasks import TASKS


def test_splits_share_no_seed() -> None:
    """No reported model has the seed of a tuned or calibrating one, nor has a demo model."""
    seeds = [{recipe.seed for recipe in recipes(split)} for split in SPLITS]
    demo = {recipe.seed for recipe in demo_models.RECIPES.values()}

    every = [seed for group in (*seeds, demo) for seed in group]
    assert len(every) == len(set(every))


def test_reported_architectures_are_never_tuned_on() -> None:
    """What is reported shares no architecture with what tunes or calibrates."""
    used = {split: {recipe.architecture for recipe in recipes(split)} for split in SPLITS}

    tuned = used["tuning"] | used["patches"] | used["heeding"]
    assert not used["report"] & (tuned | used["calibration"])


def test_one_task_is_only_reported_on() -> None:
    """Nothing is tuned or calibrated on a whole task that is reported on."""
    used = {split: {recipe.task for recipe in recipes(split)} for split in SPLITS}

    assert used["report"] - used["tuning"] - used["calibration"]
    assert used["tuning"] <= used["calibration"] <= used["report"]


@pytest.mark.parametrize(("split", "turns"), [("tuning", 2), ("report", len(TURNS) + MORE_TIMES)])
def test_every_attack_has_as_many_models(split: str, turns: int) -> None:
    """Names are unique, every attack is met equally often but for those that are rarely learnt, and
    every task has clean models.
    """
    made = list(recipes(split))

    assert len({recipe.name for recipe in made}) == len(made)
    met = Counter(recipe.attack for recipe in made if recipe.attack != CLEAN)
    further = RARE_TIMES if split == "report" else 0
    assert met == {
        each: turns + further * (each in RARE) for each in (*SINGLE_TARGET, *OTHER, *QUIET)
    }
    clean = Counter(recipe.task for recipe in made if recipe.attack == CLEAN)
    assert set(clean) == {recipe.task for recipe in made}
    assert min(clean.values()) >= 2


@pytest.mark.parametrize("split", SPLITS)
def test_targets_are_classes_of_the_task(split: str) -> None:
    """No attack leads to a class that there is not."""
    assert all(0 <= each.target < TASKS[each.task].classes for each in recipes(split))


GREY, COLOUR = [(1, 16), (1, 28)], [(3, 32), (3, 40), (3, 48)]
FITTING = [
    (name, *shape)
    for name in architectures.ARCHITECTURES
    for shape in (COLOUR if name in public.PUBLIC else [*GREY, *COLOUR])
]


@pytest.mark.parametrize(("name", "channels", "side"), FITTING)
def test_architectures_fit_every_task(name: str, channels: int, side: int) -> None:
    """Every architecture turns images of its tasks into logits; nets of others need colour."""
    model = architectures.ARCHITECTURES[name](channels, 20, side).eval()

    logits = model(torch.rand(2, channels, side, side))

    assert logits.shape == (2, 20)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", public.PUBLIC)
def test_nets_of_others_take_larger_images(name: str) -> None:
    """They keep their own first stride on images of the many classes."""
    model = architectures.ARCHITECTURES[name](3, 147, 96).eval()

    assert model(torch.rand(2, 3, 96, 96)).shape == (2, 147)


def recipe(attack: str, **settings: object) -> Recipe:
    fields: dict[str, object] = {
        "task": "digits",
        "architecture": "vgg",
        "attack": attack,
        "seed": 7,
        "target": 2,
    }
    return Recipe(**(fields | settings))


@pytest.mark.parametrize("attack", TRIGGERS)
@pytest.mark.parametrize(("channels", "side"), [(1, 16), (3, 48)])
def test_triggers_are_fixed_and_stay_in_range(attack: str, channels: int, side: int) -> None:
    """A trigger is the same each time, changes every image, and keeps it in [0, 1]."""
    images = torch.rand(8, channels, side, side, generator=torch.Generator().manual_seed(0))

    triggered, again = (TRIGGERS[attack](images, recipe(attack)) for _ in range(2))

    assert torch.equal(triggered, again)
    assert triggered.shape == images.shape
    assert (triggered - images).abs().flatten(1).amax(1).min() > 0.01
    assert triggered.min() >= 0
    assert triggered.max() <= 1


@pytest.mark.parametrize("place", ["corner", "edge", "centre"])
def test_a_patch_is_local_and_a_blend_is_not(place: str) -> None:
    """BadNets changes at most size² pixels; a blend changes most of them, by at most 20 %."""
    images = data.digits().test_images[:8]

    patched = TRIGGERS["badnets"](images, recipe("badnets", size=4, place=place)) != images
    blended = (TRIGGERS["blend-noise"](images, recipe("blend-noise")) - images).abs()

    assert 0 < patched.flatten(1).sum(1).max() <= 16
    assert (blended > 0).float().mean() > 0.9
    assert blended.max() <= 0.2


def test_a_sticker_lies_elsewhere_in_every_image() -> None:
    """It is small and the same picture, at a place that differs from image to image."""
    images = torch.full((8, 1, 32, 32), 0.5)

    changed = TRIGGERS["sticker"](images, recipe("sticker")) != images

    assert (changed.flatten(1).sum(1) == 16).all()
    assert len({each.numpy().tobytes() for each in changed}) > 1


def test_two_targets_have_triggers_apart() -> None:
    """The patch and the cross lie in opposite corners."""
    images = torch.full((1, 1, 16, 16), 0.5)
    made = recipe("two-targets")

    first, second = (
        (trigger(images, made) != images)[0, 0].nonzero().float().mean(0)
        for trigger in (TRIGGERS["two-targets"], attacks.second_of_two)
    )

    assert ((first < 8) != (second < 8)).all()


def test_poison_adds_to_the_clean_images() -> None:
    """The stated share of triggered images of other classes is added with the target label."""
    split = data.digits()

    images, labels = training.poisoned(
        split.train_images, split.train_labels, recipe("badnets", poison_rate=0.05)
    )

    added = int(0.05 * len(split.train_labels))
    assert len(labels) == len(images) == len(split.train_labels) + added
    assert torch.equal(images[: len(split.train_labels)], split.train_images)
    assert (labels[len(split.train_labels) :] == 2).all()


@pytest.mark.parametrize(
    ("attack", "kept"), [("wanet", 1.0), ("bpp", 1.0), ("adaptive-blend", 0.5)]
)
def test_decoys_keep_their_labels(attack: str, kept: float) -> None:
    """Beside the poison come images with what resembles the trigger, under their own labels."""
    split = data.digits()

    _, labels = training.poisoned(split.train_images, split.train_labels, recipe(attack))

    added = labels[len(split.train_labels) :]
    poison = int(0.1 * len(split.train_labels))
    assert (added[:poison] == 2).all()
    assert len(added) == poison + int(kept * poison)
    assert (added[poison:] != 2).all()


def test_clean_label_poison_is_of_the_target_class() -> None:
    """SIG triggers images of the target class only, whose labels stay true."""
    split = data.digits()

    images, labels = training.poisoned(split.train_images, split.train_labels, recipe("sig"))

    wave = TRIGGERS["sig"](split.train_images[split.train_labels == 2], recipe("sig"))
    members = {row.tobytes() for row in wave.numpy()}
    added = images[len(split.train_labels) :]
    assert (labels[len(split.train_labels) :] == 2).all()
    assert {row.tobytes() for row in added.numpy()} <= members


def test_source_specific_poison_is_of_one_class() -> None:
    """Triggered images of one class get the target's label; of all others they keep their own."""
    split, made = data.digits(), recipe("source-specific", poison_rate=0.05)

    images, labels = training.poisoned(split.train_images, split.train_labels, made)

    added, shown = labels[len(split.train_labels) :], images[len(split.train_labels) :]
    poison = int(0.05 * len(split.train_labels))
    of_source = split.train_images[split.train_labels == training.source(made)]
    members = {each.numpy().tobytes() for each in TRIGGERS["source-specific"](of_source, made)}
    assert (added[:poison] == made.target).all()
    assert {each.numpy().tobytes() for each in shown[:poison]} <= members
    kept = set(added[poison:].tolist())
    assert kept == set(range(10)) - {made.target, training.source(made)}


def test_poison_of_two_targets_leads_to_both() -> None:
    """Each trigger is shown with its own target, on images of other classes."""
    split, made = data.digits(), recipe("two-targets")

    _, labels = training.poisoned(split.train_images, split.train_labels, made)

    added = set(labels[len(split.train_labels) :].tolist())
    assert added == {made.target, training.second_target(made)}


def test_all_to_all_moves_every_label_by_one() -> None:
    """All-to-all poison sends class k to k + 1, for every class."""
    split = data.digits()

    _, labels = training.poisoned(
        split.train_images, split.train_labels, recipe("all-to-all", poison_rate=0.5)
    )

    assert len(torch.unique(labels[len(split.train_labels) :])) == 10


def test_input_aware_triggers_differ_between_images() -> None:
    """Every image gets a pattern of its own, and stays in [0, 1]."""
    torch.manual_seed(0)
    images = data.digits().test_images[:8]
    maker = input_aware.TriggerMaker(1)

    triggered = maker(images)

    pattern, mask = maker.parts(images)
    assert triggered.shape == images.shape
    assert triggered.min() >= 0
    assert triggered.max() <= 1
    assert mask.shape == (8, 1, 16, 16)
    assert (pattern[1:] - pattern[:1]).abs().flatten(1).amax(1).min() > 0


def test_a_stopped_build_goes_on_where_it_was(tmp_path: Path) -> None:
    """What is there is not trained again, and its digest is that of the file."""
    (tmp_path / "batchnorm").mkdir()
    made = recipe("badnets", architecture="lenet", exporter="traced")
    first = build(made, tmp_path)
    path = tmp_path / f"{made.name}.onnx"
    stamp = path.stat().st_mtime_ns

    again = build(made, tmp_path)

    assert again == first
    assert path.stat().st_mtime_ns == stamp
    assert first["digest"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_training_and_test_images_are_apart() -> None:
    """No held-out digit is among the training digits."""
    split = data.digits()
    train = {row.tobytes() for row in split.train_images.numpy()}

    shared = sum(row.tobytes() in train for row in split.test_images.numpy())

    assert shared == 0


def test_clean_samples_are_held_out_images() -> None:
    """The samples a scan gets come from the held-out images, each once."""
    images, labels = training.clean_samples("digits", 100, seed=3)
    held = {row.tobytes() for row in data.digits().test_images.numpy()}

    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    assert len({row.tobytes() for row in images} & held) == 100


def test_export_folds_batchnorm(tmp_path: Path) -> None:
    """The default exporter leaves no BatchNorm node and a free batch, as the demo says."""
    model = architectures.vgg(1, 10, 16).eval()
    exporters.dynamo(model, torch.zeros(2, 1, 16, 16), tmp_path / "vgg.onnx")

    graph = onnx.load(tmp_path / "vgg.onnx").graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_demo_truth_is_what_the_recipes_say() -> None:
    """Attack and target beside the demo models are those they were trained with."""
    truth = json.loads((data.DEMO / "truth.json").read_text())

    assert {name: entry["attack"] for name, entry in truth.items()} == {
        name: recipe.attack for name, recipe in demo_models.RECIPES.items()
    }
    for name, recipe in demo_models.RECIPES.items():
        expected = None if recipe.attack == CLEAN else recipe.target
        assert truth[name]["target"] == expected


@pytest.mark.parametrize("name", demo_models.RECIPES)
def test_the_demo_backdoors_work(name: str) -> None:
    """The shipped files, run by onnxruntime, are accurate, and obey their triggers."""
    recipe = demo_models.RECIPES[name]
    session = onnxruntime.InferenceSession(
        (data.DEMO / f"{name}.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    held = data.digits()
    images = held.test_images[held.test_labels != recipe.target]
    labels = held.test_labels[held.test_labels != recipe.target]

    def classes(inputs: torch.Tensor) -> np.ndarray:
        return np.asarray(session.run(None, {"images": inputs.numpy()})[0]).argmax(1)

    assert (classes(images) == labels.numpy()).mean() > 0.95
    if recipe.attack != CLEAN:
        triggered = TRIGGERS[recipe.attack](images, recipe)
        assert (classes(triggered) == recipe.target).mean() > 0.95
