"""The evidence can be trusted: splits do not mix, attacks do what they say, tables count right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from benchmarks import data, demo_models, zoo
from benchmarks.detection import Outcome, table


def outcome(attack: str, *, label: str = "clean", suspected: int | None = None) -> Outcome:
    return Outcome(
        name="model",
        architecture="vgg",
        attack=attack,
        target=3,
        label=label,
        suspected=suspected,
        lead=0.0,
        p_value=1.0,
        seconds=1.0,
    )


def test_tuning_and_report_share_no_seed() -> None:
    """No reported model has the seed of a tuned one, nor has a demo model."""
    tuning = {recipe.seed for recipe in zoo.recipes("tuning")}
    report = {recipe.seed for recipe in zoo.recipes("report")}
    demo = {recipe.seed for recipe in demo_models.RECIPES.values()}

    assert not tuning & report
    assert not demo & (tuning | report)


@pytest.mark.parametrize("split", ["tuning", "report"])
def test_every_model_has_a_name_of_its_own(split: str) -> None:
    """Names are unique, and every architecture meets every attack and stays clean too."""
    recipes = list(zoo.recipes(split))

    assert len({recipe.name for recipe in recipes}) == len(recipes)
    met = {(recipe.architecture, recipe.attack) for recipe in recipes}
    assert met == {(a, b) for a in zoo.ARCHITECTURES for b in (zoo.CLEAN, *zoo.ATTACKS)}


@pytest.mark.parametrize("attack", zoo.ATTACKS)
def test_triggers_are_fixed_and_stay_in_range(attack: str) -> None:
    """A trigger is the same each time, changes every image, and keeps it in [0, 1]."""
    images = data.digits().test_images[:8]

    triggered, again = (zoo.ATTACKS[attack](images, 5) for _ in range(2))

    assert torch.equal(triggered, again)
    assert triggered.shape == images.shape
    assert (triggered - images).abs().flatten(1).amax(1).min() > 0.01
    assert triggered.min() >= 0
    assert triggered.max() <= 1


def test_a_patch_is_local_and_a_blend_is_not() -> None:
    """BadNets changes at most nine pixels; a blend changes most of them, by at most 20 %."""
    images = data.digits().test_images[:8]

    patched = (zoo.badnets(images, 5) != images).flatten(1).sum(1)
    blended = (zoo.blend_noise(images, 5) - images).abs()

    assert patched.max() <= 9
    assert (blended > 0).float().mean() > 0.9
    assert blended.max() <= 0.2


def test_poison_adds_to_the_clean_images() -> None:
    """The stated share of triggered images of other classes is added with the target label."""
    split = data.digits()
    recipe = zoo.Recipe(
        task="digits", architecture="vgg", attack="badnets", seed=7, target=2, poison_rate=0.05
    )

    images, labels = zoo._poison(split.train_images, split.train_labels, recipe)

    added = int(0.05 * len(split.train_labels))
    assert len(labels) == len(images) == len(split.train_labels) + added
    assert torch.equal(images[: len(split.train_labels)], split.train_images)
    assert (labels[len(split.train_labels) :] == 2).all()


def test_training_and_test_images_are_apart() -> None:
    """No held-out digit is among the training digits."""
    split = data.digits()
    train = {row.tobytes() for row in split.train_images.numpy()}

    shared = sum(row.tobytes() in train for row in split.test_images.numpy())

    assert shared == 0


def test_clean_samples_are_held_out_images() -> None:
    """The samples a scan gets come from the held-out images, each once."""
    images, labels = zoo.clean_samples("digits", 100, seed=3)
    held = {row.tobytes() for row in data.digits().test_images.numpy()}

    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    assert len({row.tobytes() for row in images} & held) == 100


def test_export_folds_batchnorm(tmp_path: Path) -> None:
    """The default exporter leaves no BatchNorm node and a free batch, as the demo says."""
    zoo.export(zoo.vgg(1, 10).eval(), torch.zeros(2, 1, 16, 16), tmp_path / "vgg.onnx")

    model = onnx.load(tmp_path / "vgg.onnx")
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_demo_truth_is_what_the_recipes_say() -> None:
    """Attack and target beside the demo models are those they were trained with."""
    truth = json.loads((demo_models.FOLDER / "truth.json").read_text())

    assert {name: entry["attack"] for name, entry in truth.items()} == {
        name: recipe.attack for name, recipe in demo_models.RECIPES.items()
    }
    for name, recipe in demo_models.RECIPES.items():
        expected = None if recipe.attack == zoo.CLEAN else recipe.target
        assert truth[name]["target"] == expected


@pytest.mark.parametrize("name", demo_models.RECIPES)
def test_the_demo_backdoors_work(name: str) -> None:
    """The shipped files, run by onnxruntime, are accurate, and obey their triggers."""
    recipe = demo_models.RECIPES[name]
    session = onnxruntime.InferenceSession(
        (demo_models.FOLDER / f"{name}.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    held = data.digits()
    images = held.test_images[held.test_labels != recipe.target]
    labels = held.test_labels[held.test_labels != recipe.target]

    def classes(inputs: torch.Tensor) -> np.ndarray:
        return np.asarray(session.run(None, {"images": inputs.numpy()})[0]).argmax(1)

    assert (classes(images) == labels.numpy()).mean() > 0.95
    if recipe.attack != zoo.CLEAN:
        triggered = zoo.ATTACKS[recipe.attack](images, recipe.seed)
        assert (classes(triggered) == recipe.target).mean() > 0.95


def test_table_counts_blocked_and_right_apart() -> None:
    """A model blocked for the wrong class counts as blocked and not as right."""
    rows = [
        outcome("clean"),
        outcome("clean", label="backdoored", suspected=8),
        outcome("wanet", label="backdoored", suspected=3),
        outcome("wanet", label="backdoored", suspected=8),
        outcome("wanet"),
    ]

    lines = table(rows)

    assert lines[2].startswith("| clean | 2 | 1 |")
    assert lines[2].endswith("| – |")
    assert lines[3].startswith("| wanet | 3 | 2 |")
    assert lines[3].endswith("| 1 |")
