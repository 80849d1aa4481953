"""Brings whatever a user has into clean samples for one model: the door to this wing."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.intake.samples import fitting, read_samples
from pipeline.samples.class_order import ClassOrder, order_of
from pipeline.samples.collection import Collection
from pipeline.samples.draw import Drawn, draw
from pipeline.samples.exact_file import names_and_provenance
from pipeline.samples.input_form import form_of
from pipeline.samples.model_names import folder_beside, names_asked, names_in_model
from pipeline.samples.preparation import Preparation
from pipeline.samples.recipe import Recipe, recipe_of
from pipeline.samples.source import collection_of, exact_file
from pipeline.samples.transform import transform_of
from pipeline.versions import versions_of
from stages.types import CleanSamples, OnnxArtifact

SHOWN = 20
"""Pictures left out that the provenance names."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """Clean samples, and a line of sha256 and name for every picture they were made of."""

    samples: CleanSamples
    pictures: tuple[str, ...] = ()


def clean_samples(
    source: Path, artifact: OnnxArtifact, model: str, asked: Preparation
) -> CleanSamples:
    """The clean samples that `source` leads to, in the input space of the model.

    `model` is where the model was found, whose neighbours may state its preprocessing and names.

    Raises:
        SamplesError: they cannot be read, or do not fit the model.
        ConfigError: something was asked for that does not exist or fit.
    """
    exact = exact_file(source)
    if exact is None:
        return made_samples(source, artifact, model, asked).samples
    samples = read_samples(exact, artifact)
    names, provenance = names_and_provenance(exact)
    classes = artifact.output.shape[-1] if artifact.output.shape else None
    if asked.class_names:
        names = names_asked(asked.class_names, classes)
    elif not names or classes not in (None, len(names)):
        names = names_in_model(artifact, folder_beside(model))
    return replace(samples, class_names=names, provenance=provenance)


def made_samples(source: Path, artifact: OnnxArtifact, model: str, asked: Preparation) -> Made:
    """Clean samples made of the pictures that `source` leads to.

    Raises:
        SamplesError: they cannot be read, or do not fit the model.
        ConfigError: something was asked for that does not exist or fit.
    """
    beside = folder_beside(model)
    form = form_of(artifact.input, asked.layout)
    recipe = recipe_of(asked, form, beside)
    collection = collection_of(source)
    order = _order(collection, artifact, beside, asked)
    logger.info(
        "%d pictures in %s; preprocessing: %s; classes: %s",
        *(len(collection), collection.kind, recipe.origin, order.origin),
    )
    transform = transform_of(recipe.preprocessing, form)
    drawn = draw(collection, order.numbers, transform, asked.per_class, asked.seed)
    samples = fitting(drawn.images, drawn.labels, artifact)
    provenance = _provenance(source, collection, recipe, order, drawn, asked)
    return Made(
        samples=replace(samples, class_names=order.names, provenance=provenance),
        pictures=drawn.pictures,
    )


def _order(
    collection: Collection, artifact: OnnxArtifact, beside: Path | None, asked: Preparation
) -> ClassOrder:
    classes = artifact.output.shape[-1] if artifact.output.shape else None
    if asked.class_names:
        names = names_asked(asked.class_names, classes)
        return order_of(collection, names, classes, stated=True)
    return order_of(collection, names_in_model(artifact, beside), classes)


def _provenance(
    source: Path,
    collection: Collection,
    recipe: Recipe,
    order: ClassOrder,
    drawn: Drawn,
    asked: Preparation,
) -> str:
    """Where the samples came from, as the text of a JSON object."""
    return json.dumps(
        {
            "schema": 1,
            "source": source.name,
            "kind": collection.kind,
            "seed": asked.seed,
            "preprocessing": {**recipe.preprocessing.as_facts(), "origin": recipe.origin},
            "class_order": order.origin,
            "per_class": drawn.per_class,
            "skipped": drawn.skipped[:SHOWN],
            "pictures_digest": drawn.digest,
            "environment": versions_of(("ban-gate", "pillow", "torchvision")),
        }
    )
