"""The evidence can be trusted: splits do not mix, attacks do what they say, tables count right."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from benchmarks import data, demo_models
from benchmarks.detection import (
    Outcome,
    alone,
    attack_table,
    auroc,
    blocked_table,
    found_at,
    in_common,
    method_table,
    misses,
    referenced,
)
from benchmarks.profiles import Known
from benchmarks.zoo import architectures, exporters, input_aware, training
from benchmarks.zoo.__main__ import build
from benchmarks.zoo.attacks import OTHER, QUIET, SINGLE_TARGET, TRIGGERS
from benchmarks.zoo.recipe import CLEAN, Recipe
from benchmarks.zoo.splits import SPLITS, TASKS, recipes
from pipeline.config import ScanConfig
from stages.searches import STATISTICS
from tests.support.known_models import known_model


def outcome(
    attack: str, *, blocked: bool = False, suspected: int | None = None, score: float = 0.0
) -> Outcome:
    return Outcome(
        name=f"model-{attack}",
        task="digits",
        architecture="vgg",
        attack=attack,
        target=None if attack == CLEAN else 3,
        score=score,
        suspected=suspected,
        blocked=blocked,
    )


def test_splits_share_no_seed() -> None:
    """No reported model has the seed of a tuned or calibrating one, nor has a demo model."""
    seeds = [{recipe.seed for recipe in recipes(split)} for split in SPLITS]
    demo = {recipe.seed for recipe in demo_models.RECIPES.values()}

    every = [seed for group in (*seeds, demo) for seed in group]
    assert len(every) == len(set(every))


def test_reported_architectures_are_never_tuned_on() -> None:
    """What is reported shares no architecture with what tunes or calibrates."""
    used = {split: {recipe.architecture for recipe in recipes(split)} for split in SPLITS}

    assert not used["report"] & (used["tuning"] | used["calibration"])


@pytest.mark.parametrize("split", ["tuning", "report"])
def test_every_model_has_a_name_of_its_own(split: str) -> None:
    """Names are unique; every task and architecture meets the commonest attacks and stays clean."""
    made = list(recipes(split))

    assert len({recipe.name for recipe in made}) == len(made)
    met = {(recipe.task, recipe.architecture, recipe.attack) for recipe in made}
    names = architectures.TUNING if split == "tuning" else architectures.REPORT
    common = (CLEAN, "badnets", "blend-noise", "blend-picture", "wanet")
    assert met >= {(t, a, b) for t in TASKS for a in names for b in common}
    assert {attack for _, _, attack in met} - {*QUIET} == {CLEAN, *SINGLE_TARGET, *OTHER}


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
@pytest.mark.parametrize(("channels", "side"), [(1, 16), (1, 28), (3, 32)])
def test_architectures_fit_every_task(name: str, channels: int, side: int) -> None:
    """Every architecture turns images of every task into ten logits."""
    model = architectures.ARCHITECTURES[name](channels, 10, side).eval()

    logits = model(torch.rand(2, channels, side, side))

    assert logits.shape == (2, 10)
    assert logits.isfinite().all()


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
def test_triggers_are_fixed_and_stay_in_range(attack: str) -> None:
    """A trigger is the same each time, changes every image, and keeps it in [0, 1]."""
    images = data.digits().test_images[:8]

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
    truth = json.loads((demo_models.FOLDER / "truth.json").read_text())

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
        (demo_models.FOLDER / f"{name}.onnx").read_bytes(), providers=["CPUExecutionProvider"]
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


ROWS = [
    outcome("clean"),
    outcome("clean", blocked=True, suspected=8, score=2.0),
    outcome("wanet", blocked=True, suspected=3, score=4.0),
    outcome("wanet", blocked=True, suspected=8, score=3.0),
    outcome("wanet", score=1.0),
]


def test_table_counts_blocked_and_right_apart() -> None:
    """A model blocked for the wrong class counts as blocked and not as right."""
    lines = blocked_table(ROWS, lambda each: each.attack)

    assert lines[2].startswith("| clean | 2 | 1 |")
    assert lines[2].endswith("| – |")
    assert lines[3].startswith("| wanet | 3 | 2 |")
    assert lines[3].endswith("| 1 |")


def test_every_wrong_verdict_is_listed() -> None:
    """False alarms, misses and wrong classes each have a line, right verdicts none."""
    lines = misses(ROWS)

    assert [line.split()[0] for line in lines] == ["false", "wrong", "missed"]


def test_auroc_counts_pairs_and_leaves_out_other_attacks() -> None:
    """It is the share of pairs in which the backdoored model scores higher."""
    others = [outcome("all-to-all", score=-9.0), outcome("sig", score=-9.0)]

    area, low, high = auroc([*ROWS, *others])

    assert area == pytest.approx(5 / 6)
    assert 0 <= low <= area <= high <= 1


def test_detection_at_a_rate_is_read_off_the_clean_scores() -> None:
    """Only what scores above the clean quantile is found; a right class counts among those."""
    found, right = found_at(ROWS, 0.0)

    assert found == pytest.approx(2 / 3)
    assert right == pytest.approx(1 / 2)


def test_methods_are_compared_on_the_models_that_all_of_them_judged() -> None:
    """What one method did not judge counts for none; a method that judged nothing excludes none."""
    clean, wanet = outcome(CLEAN), outcome("wanet", score=1.0)

    shared = in_common({"ours": [clean, wanet], "theirs": [wanet], "unmeasured": []})

    assert shared == {"ours": [wanet], "theirs": [wanet], "unmeasured": []}
    assert in_common({"unmeasured": []}) == {"unmeasured": []}


def test_only_the_right_class_counts_per_attack() -> None:
    """Each method has a threshold of its own; a wrong class above it is no find."""
    ours = [outcome(CLEAN), outcome("wanet", score=1.0, suspected=3)]
    theirs = [outcome(CLEAN), outcome("wanet", score=1.0, suspected=4)]

    lines = attack_table({"ours": ours, "theirs": theirs, "unmeasured": []})

    assert lines[0] == "| attack | ours | theirs |"
    assert lines[2:] == ["| wanet | 1 of 1 | 0 of 1 |"]


def test_a_method_without_results_has_no_row() -> None:
    """Methods that were not run are left out, and the others are not."""
    lines = method_table({"ours": ROWS, "theirs": []})

    assert len(lines) == 3
    assert lines[2].startswith("| ours | 2 | 3 | 0.833")


def with_class_above(name: str, by: float, attack: str = "badnets") -> Known:
    """A model in which class 3 lies above the others by so much."""
    values = np.linspace(0.9, 1.1, 10, dtype=np.float32)
    values[3] += by
    return known_model(name, dict.fromkeys(STATISTICS, values), attack)


def test_what_is_only_bounded_is_still_ranked() -> None:
    """Models whose p is printed as the same bound are ranked by how far their class stands out."""
    config = ScanConfig()
    models = [with_class_above(f"by-{by}", by) for by in (6.0, 8.0, 20.0)]
    bound = config.calibration.alone.smallest_p

    outcomes = alone(models, config)

    found = [each.score for each in outcomes]
    assert found == sorted(set(found))
    assert min(found) > -np.log(bound)
    assert all(each.blocked and each.right for each in outcomes)


def test_a_model_that_stands_out_less_scores_lower_and_is_not_blocked() -> None:
    """A clean model is not blocked, has no right class, and scores as its p-value says."""
    config = ScanConfig()

    (found,) = alone([with_class_above("plain", 0.0, CLEAN)], config)

    assert not found.blocked
    assert not found.right
    assert 0 <= found.score < -np.log(config.judge.false_alarm_rate)


def test_every_model_meets_every_clean_one_of_its_task() -> None:
    """References are the other clean models of the task, one at a time, never the model itself."""
    clean = [with_class_above(name, 0.0, CLEAN) for name in ("one", "two")]
    stranger = replace(with_class_above("stranger", 0.0, CLEAN), task="mnist")

    outcomes = referenced([*clean, with_class_above("bad", 8.0), stranger], ScanConfig())

    assert sorted(each.name for each in outcomes) == ["bad", "bad", "one", "two"]
    assert [each.right for each in outcomes if each.name == "bad"] == [True, True]
