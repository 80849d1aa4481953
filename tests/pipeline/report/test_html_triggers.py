"""The page shows what was recovered for the class it accuses, and what noise does inside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.evidence import ScanResult
from pipeline.report import sections
from pipeline.report.html_page import render
from pipeline.report.wording import WORDING
from stages.types import CleanSamples
from tests.support.finished_scans import with_evidence, with_permutation
from tests.support.report_pages import Reader

Make = Callable[..., ScanResult]

RECOVERED, OTHERS = "The recovered trigger", "What the other searches found"
STRONGEST = "The strongest triggers the searches found"
PERMUTING = "One trigger, each class to another"
AIMED = {name: each for name, each in WORDING.items() if name != "permutation"}
"""Searches that lead everything to one class."""


def _leading_to(result: ScanResult, targets: dict[str, int]) -> ScanResult:
    """The scan in which some searches lead to other classes."""
    found = dict(result.evidence.searches)
    for name, target in targets.items():
        found[name] = replace(found[name], targets=(target,))
    return with_evidence(result, searches=found)


@pytest.mark.parametrize(
    "elsewhere", [{}, {"patch": 1}, {"blend": 0, "neuron_noise": 4}, {"warp": 2, "tone": 1}]
)
def test_only_triggers_to_the_suspected_class_are_the_recovered_trigger(
    make_result: Make, elsewhere: dict[str, int]
) -> None:
    """Under its heading each search that leads there stands, and no other; those stand apart."""
    result = _leading_to(make_result(), elsewhere)

    chapters = Reader(render(result)).chapters

    for name, wording in AIMED.items():
        target = elsewhere.get(name, 3)
        title = f"{wording.title} to class {target}"
        assert (title in chapters[RECOVERED]) == (name not in elsewhere)
        assert (title in chapters.get(OTHERS, "")) == (name in elsewhere)
    assert all(f"to class {target}" not in chapters[RECOVERED] for target in elsewhere.values())


def test_several_searches_may_accuse_a_class_that_none_leads_to(make_result: Make) -> None:
    """The page then says so, and calls nothing the recovered trigger."""
    result = _leading_to(make_result(), dict.fromkeys(AIMED, 1))

    chapters = Reader(render(result)).chapters

    assert RECOVERED not in chapters
    assert "No search by itself leads to class 3; several together do." in chapters[STRONGEST]


def test_a_clean_model_has_no_recovered_trigger(real_scans: dict[str, ScanResult]) -> None:
    """Its strongest triggers are shown as what every search returns."""
    result = real_scans["clean"]
    silent = [name for name, each in result.evidence.searches.items() if each.silent]

    chapters = Reader(render(result)).chapters

    assert RECOVERED not in chapters
    assert "in a clean model as well" in chapters[STRONGEST]
    shown = [name for name, wording in AIMED.items() if wording.title in chapters[STRONGEST]]
    assert shown == [name for name in AIMED if name not in silent]


def test_a_search_that_says_nothing_says_why(real_scans: dict[str, ScanResult]) -> None:
    """Among what was tested: one that ended early, and one that counts beside references only."""
    result = real_scans["clean"]
    silent = {each.silent for each in result.evidence.searches.values() if each.silent}

    prose = Reader(render(result)).prose

    assert len(silent) > 1
    assert all(why in prose for why in silent)


@pytest.mark.parametrize("name", [name for name in AIMED if name != "head_probe"])
def test_the_success_of_every_trigger_stands_with_its_samples(make_result: Make, name: str) -> None:
    """Beside what was recovered its attack success rate is said, and on how many samples."""
    result = make_result()
    success = result.evidence.searches[name].success
    assert success is not None

    recovered = Reader(render(result)).chapters[RECOVERED]

    sources = "other classes" if success.source is None else f"class {success.source}"
    told = f"turns {success.rate:.0%} of {success.samples} clean images of {sources}"
    assert told in recovered
    before = recovered[: recovered.index(told)].rsplit(".", 1)[-1]
    assert ("inside the twin" in before) == success.inside_twin == (name == "neuron_noise")


def test_a_trigger_that_was_never_tried_claims_no_success(make_result: Make) -> None:
    """Where every sample was searched on, the page gives no rate."""
    result = make_result()
    untried = {name: replace(each, success=None) for name, each in result.evidence.searches.items()}

    text = Reader(render(with_evidence(result, searches=untried))).prose

    assert "clean images of other classes into" not in text


def test_a_trigger_that_permutes_the_classes_stands_apart(make_result: Make) -> None:
    """With where each class goes, how often, and pictures; it is the trigger to no class."""
    page = render(with_permutation(make_result()))

    chapters = Reader(page).chapters

    told = chapters[PERMUTING]
    assert "carries 12% of 40 clean images to the class that theirs goes to" in told
    assert "Goes to 0 1 1 2 2 3 3 4 4 0".replace(" ", "") in told.replace(" ", "")
    assert "the trigger from each class to another, by itself" in page
    assert all("Permutation" not in chapters.get(name, "") for name in (RECOVERED, OTHERS))
    assert "Permutation to" not in page


def test_a_permutation_that_was_not_found_is_not_shown(
    make_result: Make, real_scans: dict[str, ScanResult]
) -> None:
    """The search always ends with a mapping, which by itself says nothing."""
    chapters = Reader(render(make_result())).chapters

    assert PERMUTING not in chapters
    found = real_scans["clean"].evidence.searches["permutation"]
    assert (PERMUTING in Reader(render(real_scans["clean"])).chapters) == bool(found.targets)


def test_noise_of_many_classes_is_shown_for_those_that_were_searched(make_result: Make) -> None:
    """Others are not drawn as if nothing reached them, and the suspected class may be one."""
    result = make_result()
    noise = result.evidence.searches["neuron_noise"]
    assert noise.sweep is not None
    known = np.isin(np.arange(5), (0, 1, 2))
    rates = np.where(known, noise.sweep.success_rate, np.float32(np.nan))
    by_site = np.where(known[:, None], noise.sweep.by_site, np.float32(np.nan))
    margin = np.where(known, noise.sweep.target_margin, np.float32(np.nan))
    swept = replace(noise.sweep, success_rate=rates, by_site=by_site, target_margin=margin)
    searched = replace(noise, targets=(1,), sweep=swept)
    result = with_evidence(result, searches={**result.evidence.searches, "neuron_noise": searched})

    found = sections.noise(result)

    assert found is not None
    assert found.marked == 1
    assert len(found.sweep.lines) == 2 + 2
    assert all(math.isfinite(each.median) for each in (*found.layers, *found.bounds))
    assert "nan" not in Reader(render(result)).chapters["Inside the network"]


def test_models_without_pictures_have_a_page(
    make_result: Make, real_scans: dict[str, ScanResult]
) -> None:
    """Samples that are rows of numbers have no picture, and the page says so, clean or not."""
    for result in (make_result(), real_scans["clean"]):
        samples = result.evidence.samples
        assert samples is not None
        rows = CleanSamples(
            images=samples.images.reshape(len(samples), -1), labels=samples.labels.copy()
        )

        page = render(with_evidence(result, samples=rows))

        assert "does not take images" in page
        assert "<img" not in page


def test_the_network_section_shows_the_bound_of_the_verdict(make_result: Make) -> None:
    """Its ε is that of the sweep, the first at which the median class is half the way."""
    result = make_result()
    assert result.evidence.sweep is not None
    assert result.evidence.untargeted is not None

    found, text = sections.noise(result), Reader(render(result)).chapters["Inside the network"]

    assert found is not None
    assert found.epsilon == result.evidence.sweep.epsilon != result.evidence.untargeted.epsilon
    assert "The verdict looks at ε = 0.1, the first of these bounds" in text
    assert text.count("ε = ") == text.count("ε = 0.1")


def test_a_net_that_resists_all_noise_is_judged_at_the_last_bound(make_result: Make) -> None:
    """The page does not claim that the median class came half the way."""
    result = make_result()
    noise = result.evidence.searches["neuron_noise"]
    assert noise.sweep is not None
    low = np.full_like(noise.sweep.target_margin, -0.9)
    swept = replace(noise.sweep, target_margin=low, chosen=2)
    found = {**result.evidence.searches, "neuron_noise": replace(noise, sweep=swept)}

    text = Reader(render(with_evidence(result, searches=found))).chapters["Inside the network"]

    assert "looks at ε = 1, the largest of these bounds" in text
    assert "the first of these bounds" not in text


def test_noise_is_shown_for_the_class_it_leads_to(make_result: Make) -> None:
    """Without a suspected class, triggers and network speak of one and the same class."""
    verdict = replace(make_result().verdict, label="clean", suspected_class=None)
    result = _leading_to(make_result(verdict=verdict), {"neuron_noise": 1})

    chapters = Reader(render(result)).chapters

    assert "Neuron noise to class 1" in chapters[STRONGEST]
    assert "turns them into class 1." in chapters["Inside the network"]


def test_only_what_was_evaluated_is_called_an_attack_success_rate(make_result: Make) -> None:
    """The curves of the sweep are shares of probe samples, so no two rates share a name."""
    chapters = Reader(render(make_result())).chapters

    assert "attack success rate" not in chapters["Inside the network"].lower()
    assert "share of probe samples carried" in chapters["Inside the network"]
    assert "Attack success rate" in chapters["Why"]
