"""Says what is wrong with samples that a model fails on, by trying what people do by mistake.

It runs only where a scan is refused, on the twin, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from pipeline.samples.input_form import form_of
from pipeline.samples.label_maps import LabelMap, best_map
from pipeline.samples.value_forms import ValueForm, twisted_forms, value_forms
from stages.errors import SamplesError
from stages.types import CleanSamples, Floats, Integers, TensorSpec

TRIED = 128
"""Samples on which everything is tried."""
GAIN = 0.2
"""By how much accuracy must rise for something to count as the mistake."""
SURE = 0.8
"""Accuracy from which two mistakes at once are believed."""
DOUBT = 0.03
"""Accuracy that one more mistake must bring to be believed; twice that for the order of classes,
which is fitted to the samples.
"""

Classify = Callable[[Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Mend:
    """What would mend the samples: another form of the images, another order of classes, or both;
    and the accuracy with it.
    """

    form: ValueForm | None
    order: LabelMap | None
    accuracy: float


def diagnosis(
    samples: CleanSamples, logits: Floats, spec: TensorSpec, classify: Classify, enough: float
) -> str | None:
    """One sentence on what brings the accuracy to `enough` or more, with both accuracies.

    `logits` (N, K) are the model's on the samples, `spec` is its input, and `classify` gives its
    logits for other images. None if nothing that is tried explains the failure.
    """
    now = _accuracy(logits, samples.labels)
    least = max(enough, now + GAIN)
    best = _best(samples, _forms(samples.images, spec), classify, least)
    if best is None:
        return None
    found = logits if best.form is None else classify(best.form.apply(samples.images))
    mend = _mends(best.form, found, samples.labels)[best.order is not None]
    return _sentence(mend, now, samples) if _is_believed(mend, least) else None


def _forms(images: Floats, spec: TensorSpec) -> Iterator[ValueForm | None]:
    """Everything that is tried: first the images as they are, and then other forms of pictures."""
    yield None
    with suppress(SamplesError):
        form = form_of(spec)
        yield from value_forms(images, form)
        yield from twisted_forms(images, form)


def _best(
    samples: CleanSamples, forms: Iterator[ValueForm | None], classify: Classify, least: float
) -> Mend | None:
    """What raises the accuracy on some of the samples most, a simple mistake before a double."""
    some = np.linspace(0, len(samples) - 1, min(TRIED, len(samples))).astype(np.int64)
    images, labels = samples.images[some], samples.labels[some]
    found: list[Mend] = []
    for form in forms:
        logits = classify(images if form is None else form.apply(images))
        found += [mend for mend in _mends(form, logits, labels) if _is_believed(mend, least)]
    return max(found, key=_merit, default=None)


def _is_believed(mend: Mend, least: float) -> bool:
    is_double = mend.form is not None and mend.order is not None
    return mend.accuracy >= (max(least, SURE) if is_double else least)


def _merit(mend: Mend) -> float:
    """The accuracy, less a little for each thing that would be wrong."""
    return mend.accuracy - DOUBT * ((mend.form is not None) + 2 * (mend.order is not None))


def _mends(form: ValueForm | None, logits: Floats, labels: Integers) -> tuple[Mend, Mend]:
    """The form alone, and with the order of the classes changed as well."""
    order = best_map(logits, labels)
    return (
        Mend(form=form, order=None, accuracy=_accuracy(logits, labels)),
        Mend(form=form, order=order, accuracy=order.accuracy),
    )


def _accuracy(logits: Floats, labels: Integers) -> float:
    return float((logits.argmax(1) == labels).mean())


def _sentence(mend: Mend, now: float, samples: CleanSamples) -> str:
    """What was found and what to do, for arrays or for pictures."""
    found = [f"with {mend.form.title}"] if mend.form else []
    found += [f"if {mend.order.words}"] if mend.order else []
    advice = " and ".join(_advice(mend, made=bool(samples.provenance)))
    return (
        f"clean accuracy is {now:.2f}, and {mend.accuracy:.2f} {' and '.join(found)};"
        f" if that is right, {advice}"
    )


def _advice(mend: Mend, *, made: bool) -> Iterator[str]:
    """How to do it; `made` samples are of pictures, and options make others."""
    if mend.form and made and mend.form.options:
        yield f"make the samples with `{mend.form.options}`"
    elif mend.form:
        yield f"save `{mend.form.code}` as `images`"
    if mend.order and (made or not mend.order.code):
        yield "name the classes in the model's order by `--class-names FILE`"
    elif mend.order:
        yield f"save `{mend.order.code}` as `labels`"
