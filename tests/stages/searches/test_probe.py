"""What triggers are searched on: correctly classified samples, all classes alike."""

from __future__ import annotations

import numpy as np
import torch

from stages.searches.probe import Probe, balanced, probe, probes
from tests.support import twins


def drawn(count: int = 20, seed: int = 0, memory_mb: int = 512) -> Probe:
    """A probe set of the small net."""
    return probe(twins.subject(), count, seed, memory_mb)


def test_a_probe_set_holds_what_a_trigger_is_laid_on() -> None:
    """Correctly classified samples only, all classes alike, and the values that inputs take."""
    twin, samples = twins.twin(), twins.samples()

    found = drawn()

    assert found.images.shape == (20, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(twin.module(found.images).argmax(1), found.labels)
    assert len(set(found.labels.tolist())) == samples.classes
    assert bool((found.values(torch.zeros(3, 32, 32)) == found.low).all())
    torch.testing.assert_close(found.values(torch.ones(3, 32, 32)), found.high.expand(3, 32, 32))


def test_a_seed_draws_the_samples_of_a_probe_set() -> None:
    """The same ones again, and others for another seed."""
    one, again, other = (drawn(seed=seed).images for seed in (5, 5, 6))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_smaller_probe_sets_are_the_beginning_of_the_largest() -> None:
    """What is searched on a few samples is evaluated on these and more."""
    few, many = probes(twins.subject(), (8, 20), 3, 512)

    assert (len(few.images), len(many.images)) == (8, 20)
    assert torch.equal(few.images, many.images[:8])
    assert torch.equal(few.labels, many.labels[:8])
    assert torch.equal(many.images, drawn(20, 3).images)


def test_logits_of_many_images_are_those_of_the_module() -> None:
    """Folding the classes into the batch changes no logit."""
    twin = twins.twin()
    shown = torch.tensor(twins.samples().images[:12]).reshape(3, 4, 3, 32, 32)

    found = drawn().logits(shown)

    expected = torch.stack([twin.module(images) for images in shown])
    assert found.shape == (3, 4, 10)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_balanced_takes_correct_samples_of_every_class() -> None:
    """Classes are served in turn, and misclassified samples never."""
    samples, logits = twins.samples(), twins.clean().logits.copy()
    wrong = np.arange(0, len(samples), 3)
    logits[wrong] = -logits[wrong]
    correct = logits.argmax(1) == samples.labels

    rows = balanced(samples, logits, 12, seed=0)

    assert correct[rows].all()
    assert set(samples.labels[rows]) == set(samples.labels[correct])
    assert len(set(rows.tolist())) == len(rows) == 12
