"""The page tells the verdict to people: on a phone, in the dark, by ear, by keyboard, on paper."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import browser
import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from mlflow_project.commands import DEMO
from pipeline import html_report, sections
from pipeline.config import load_config
from pipeline.drafts import write_text
from pipeline.html_report import GateSection, render
from pipeline.native import ExportResult
from pipeline.printable import printable
from pipeline.report import verdict_document
from pipeline.result import Evidence, ReferenceSummary, ScanResult
from pipeline.scan import scan
from pipeline.store import Store
from pipeline.walk import ScanRequest
from stages.types import CleanSamples, GraphFinding, NoiseSite, Verdict

Make = Callable[..., ScanResult]

GATE = GateSection(
    version="shop/7",
    decision="block",
    reasons=("the verdict is `backdoored`",),
    policy="production",
    alias="champion",
    attestation="cd" * 32,
)
HOSTILE = [
    "<script>document.title = 'run'</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "{{ 7 * 7 }} {% raw %} %s {0} ${x}",
    "</style></title></svg></table><iframe src=//example.org>",
    "javascript:alert(1)",
    "\x1b[2J\x07\x00",
    "\u202egnp.exe\u2028\u2029\x85",
    "lone \udcff surrogate",
    "W" * 400,
]
EXTENTS = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
PAPER = 718  # CSS pixels between the margins of a sheet of A4
PAGES = ("backdoored", "clean", "inconclusive", "refused", "hostile")


class Reader(HTMLParser):
    """What a page is made of: its elements in order, its text, and its numbers by column."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text: list[str] = []
        self.scores: list[float] = []
        self._in_scores = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes an element, and the exact number in a cell of the column of scores."""
        self.elements.append((tag, tuple(attrs)))
        given = dict(attrs)
        if tag == "td":
            self._in_scores = "score" in (given.get("class") or "").split()
        if tag == "data" and self._in_scores:
            self.scores.append(float(given["value"] or "nan"))

    def handle_data(self, data: str) -> None:
        """Notes text."""
        self.text.append(data)

    @property
    def shape(self) -> list[tuple[str, list[str], list[str | None]]]:
        """Elements with the names of their attributes, and where they lead or load from."""
        return [
            (
                tag,
                [name for name, _ in attrs],
                [value for name, value in attrs if name in ("href", "class", "id")],
            )
            for tag, attrs in self.elements
            if tag != "code"
        ]


def _named(result: ScanResult, name: str) -> tuple[ScanResult, GateSection]:
    """The scan with every name in it replaced, and a gate's decision on a version of that name."""
    evidence = result.evidence
    assert evidence.artifact is not None
    assert evidence.twin is not None
    finding = GraphFinding(rule=name, severity="warning", message=name, nodes=(name,))
    evidence.artifact = replace(
        evidence.artifact, framework=name, producer=name, digest=name, findings=(finding,)
    )
    sites = tuple(NoiseSite(node=name, kind="conv", channels=8, axis=-3) for _ in range(2))
    evidence.twin = replace(evidence.twin, sites=sites)
    evidence.references = (
        ReferenceSummary(uri=name, digest=name, verdict="clean", p_value=0.4, used=True),
    )
    leading = result.verdict.statistics[0]
    verdict = replace(
        result.verdict,
        reasons=(name, name),
        statistics=(leading, replace(leading, name=name or "name")),
    )
    gate = replace(GATE, version=name, reasons=(name,), policy=name, alias=name, attestation=name)
    told = replace(
        result, model_uri=name, verdict=verdict, seconds={name: 1.0}, environment={name: name}
    )
    return told, gate


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ScanResult]:
    """Real scans of the demo's models: one per verdict, and one of a file that is no model."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "note.onnx").write_text("not what you think")
    store, samples = Store(folder / "store"), DEMO / "samples.npz"

    def judged(model: Path, *settings: str) -> ScanResult:
        request = ScanRequest(
            model=str(model), samples=samples, uri=model.name, config=load_config(None, settings)
        )
        return scan(request, store, tmp_path_factory.mktemp("workspace"))

    return {
        "backdoored": judged(DEMO / "blended.onnx"),
        "clean": judged(DEMO / "clean.onnx"),
        "inconclusive": judged(DEMO / "patch.onnx", "precondition.min_samples=100000"),
        "refused": judged(folder / "note.onnx"),
    }


def page_in(folder: Path, result: ScanResult, gate: GateSection | None = None) -> Path:
    """The page of a scan as a file."""
    return write_text(folder / html_report.REPORT_FILE, render(result, gate))


@pytest.fixture(scope="module")
def pages(
    scans: dict[str, ScanResult], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The pages of the scans as files, and one in which every name is as long as a line."""
    written = {}
    for name, result in scans.items():
        folder = tmp_path_factory.mktemp(name)
        written[name] = page_in(folder, result, GATE if name == "backdoored" else None)
    evidence = replace(scans["backdoored"].evidence)  # a copy, whose names may change
    told, gate = _named(_few_sites(replace(scans["backdoored"], evidence=evidence)), "W" * 400)
    written["hostile"] = page_in(tmp_path_factory.mktemp("hostile"), told, gate)
    return written


def _few_sites(result: ScanResult) -> ScanResult:
    """The scan with the first two noise sites only."""
    targeted = result.evidence.targeted
    assert targeted is not None
    result.evidence.targeted = replace(targeted, by_site=targeted.by_site[:, :2].copy())
    return result


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """One browser for all tests of this file."""
    with browser.chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_changes_nothing_but_text(make_result: Make, name: str) -> None:
    """The page has the elements, attributes and links it has with a plain name, and the name."""
    plain, hostile = (_named(make_result(), each) for each in ("plain", name))

    usual, page = (Reader(render(*each)) for each in (plain, hostile))

    assert page.shape == usual.shape
    assert printable(name) in "".join(page.text)
    assert all(each.isprintable() or each == "\n" for each in "".join(page.text))
    assert render(*hostile).encode()


def test_every_number_of_the_leading_statistic_is_in_the_table(
    scans: dict[str, ScanResult],
) -> None:
    """The table beside the chart holds the scores of `verdict.json`, exactly and in order."""
    for name in ("backdoored", "clean"):
        document = json.loads(json.dumps(verdict_document(scans[name])))

        shown = Reader(render(scans[name])).scores

        assert shown == document["statistics"]["score"]["per_class"]
        assert len(shown) == 10


def test_the_table_says_where_a_number_is_none(make_result: Make) -> None:
    """What JSON has as null has a dash, and the numbers beside it stay."""
    verdict = make_result().verdict
    leading = replace(verdict.statistics[0], per_class=(0.5, float("nan"), float("inf"), 2.0, 1.0))

    page = render(make_result(verdict=replace(verdict, statistics=(leading,))))

    assert Reader(page).scores == [0.5, 2.0, 1.0]
    assert page.count('<td class="number score"><span class="faint">–</span>') == 2


@pytest.mark.parametrize("classes", [2, 21, 1000])
def test_any_number_of_classes_has_a_page(
    refused: ScanResult, make_result: Make, classes: int
) -> None:
    """A row per class, and a chart whose labels still have room; nothing else need be known."""
    leading = replace(
        make_result().verdict.statistics[0], per_class=tuple(np.linspace(0, 5, classes).tolist())
    )
    verdict = replace(make_result().verdict, statistics=(leading, leading))

    found = sections.leading(replace(refused, verdict=verdict))
    page = Reader(render(replace(refused, verdict=verdict)))

    assert page.scores == list(leading.per_class)
    assert found is not None
    assert len(found.chart.x_ticks) <= 20


def test_models_without_pictures_have_a_page(make_result: Make) -> None:
    """Samples that are rows of numbers have no picture, and the page says so."""
    result = make_result()
    samples = result.evidence.samples
    assert samples is not None
    result.evidence.samples = CleanSamples(
        images=samples.images.reshape(len(samples), -1), labels=samples.labels
    )

    page = render(result)

    assert "does not take images" in page
    assert "<img" not in page


@pytest.mark.parametrize(
    ("name", "heading", "meaning"),
    [
        ("backdoored", "Backdoored: class 7", "Do not use this model"),
        ("clean", "No backdoor found", "not proof that there is none"),
        ("inconclusive", "No verdict", "not a pass"),
        ("refused", "No verdict", "not a pass"),
    ],
)
def test_the_verdict_is_told_in_plain_words(
    scans: dict[str, ScanResult], name: str, heading: str, meaning: str
) -> None:
    """The answer and what it means; a model that was not judged is never called free of one."""
    text = " ".join("".join(Reader(render(scans[name])).text).split())

    assert heading in text
    assert meaning in text
    assert ("No backdoor found" in text) == (name == "clean")
    assert printable(scans[name].verdict.reasons[0])[1:].replace("`", "") in text.replace("`", "")


STAGES = (
    "artifact",
    "samples",
    "parity",
    "twin",
    "precondition",
    "blend",
    "patch",
    "warp",
    "targeted",
)


@pytest.mark.parametrize("reached", range(len(STAGES)))
def test_a_scan_that_ended_anywhere_has_a_page(
    evidence: Evidence, make_result: Make, reached: int
) -> None:
    """Steps that were done are told, one stopped, and the later ones were not reached."""
    for name in STAGES[reached:]:
        setattr(evidence, name, None)
    evidence.untargeted = evidence.mask = None
    result = make_result(verdict=Verdict(label="inconclusive", reasons=("it broke",)))

    page, steps = render(result), sections.steps(result)

    states = [each.state for each in steps if each.state not in ("off", "none")]
    assert states.count("stopped here") == 1
    first = states.index("stopped here")
    assert set(states[:first]) <= {"done"}
    assert set(states[first + 1 :]) <= {"not reached"}
    assert "It broke." in page
    assert "stopped here" in page


@pytest.mark.parametrize(
    ("classes", "told"),
    [(24, "every class"), (200, "all 200 classes briefly, 14 of them to the end")],
)
def test_it_says_how_thoroughly_classes_were_searched(
    make_result: Make, classes: int, told: str
) -> None:
    """Where a screen spared some of them, the page does not claim otherwise."""
    result = make_result()
    assert result.evidence.twin is not None
    result.evidence.twin = replace(result.evidence.twin, classes=classes)

    steps = {each.title: each.told for each in sections.steps(result)}

    assert steps["Warp"] == told
    assert steps["Patch"].startswith(told)
    assert steps["Blended pattern"].startswith(told)


def test_no_reason_is_needed(refused: ScanResult) -> None:
    """A verdict without a reason, and a scan without environment, still have a page."""
    bare = replace(refused, verdict=Verdict(label="inconclusive", reasons=()), environment={})

    assert "No reason is known" in render(bare)


def test_logic_in_the_graph_is_told_as_the_cause(make_result: Make) -> None:
    """A file that is blocked for its graph says so, and names no class that was not found."""
    result = make_result(verdict=Verdict(label="backdoored", reasons=("the graph decides",)))
    assert result.evidence.artifact is not None
    finding = GraphFinding(
        rule="input-bypass", severity="blocking", message="an `If`", nodes=("trap",)
    )
    result.evidence.artifact = replace(result.evidence.artifact, findings=(finding,))

    text = "".join(Reader(render(result)).text)

    assert "The graph of the file itself decides" in text
    assert "class None" not in text
    assert "trap" in text


def test_an_exported_model_is_compared_with_its_origin(make_result: Make) -> None:
    """The page tells how far the ONNX is from the native model."""
    result = make_result()
    evidence = result.evidence
    assert evidence.parity is not None
    assert evidence.artifact is not None
    evidence.export = ExportResult(
        path=evidence.artifact.path,
        framework="keras",
        packages={"keras": "3.9"},
        parity=replace(evidence.parity, max_rel=0.000125),
    )

    text = " ".join("".join(Reader(render(result)).text).split())

    assert "differs from it by at most 0.000125 of the largest score" in text
    assert "keras" in text


@pytest.mark.parametrize(
    ("p", "told"),
    [
        (0.6, "most clean models show as much"),
        (0.25, "about 1 in 4 clean models shows as much"),
        (0.0001, "about 1 in 10,000 clean models shows as much"),
        (1e-300, "fewer than 1 in a million clean models shows as much"),
    ],
)
def test_a_p_value_is_told_in_plain_words(make_result: Make, p: float, told: str) -> None:
    """What a p-value means stands below it, also at its ends."""
    result = make_result()

    assert told in render(replace(result, verdict=replace(result.verdict, p_value=p)))


def test_a_gate_decision_stands_at_the_top(make_result: Make) -> None:
    """With a gate the page says what it decided and on what; without, nothing of it."""
    text = "".join(Reader(render(make_result(), GATE)).text)

    for told in ("Gate: block", "shop/7", "production", "champion", "cd" * 32):
        assert told in text
    assert text.index("Gate: block") < text.index("Why")
    assert "Gate:" not in render(make_result())


def test_changed_settings_are_marked(make_result: Make) -> None:
    """Every setting is listed; those that are not at their default are called changed."""
    config = load_config(None, ("judge.false_alarm_rate=0.01",))

    listed = {each.name: each for each in sections.settings(config)}

    assert [each for each in listed if listed[each].changed] == ["judge.false_alarm_rate"]
    assert render(make_result(config=config)).count("<td>changed</td>") == 1


def test_the_blocking_score_is_drawn_where_the_judge_draws_it(
    scans: dict[str, ScanResult],
) -> None:
    """A model is blocked exactly if its highest class reaches the limit in the chart."""
    for name in ("backdoored", "clean"):
        found = sections.leading(scans[name])
        assert found is not None
        assert found.limit is not None
        assert (found.statistic.value >= found.limit) == (name == "backdoored")


def test_a_failed_write_leaves_the_earlier_page(make_result: Make, tmp_path: Path) -> None:
    """Until the new page is whole the old one stands; here the place of the draft is taken."""
    before = page_in(tmp_path, make_result()).read_bytes()
    (tmp_path / "report.draft").mkdir()

    with pytest.raises(OSError, match="directory"):
        page_in(tmp_path, make_result(model_uri="another.onnx"))

    assert (tmp_path / html_report.REPORT_FILE).read_bytes() == before


def test_the_same_scan_gives_the_same_page(scans: dict[str, ScanResult]) -> None:
    """Nothing in the page depends on when or how often it was made."""
    assert render(scans["backdoored"]) == render(scans["backdoored"])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_requests_nothing_and_has_no_errors(
    chromium: browser.Browser, pages: dict[str, Path], name: str
) -> None:
    """Chromium asks for the page alone, decodes every picture, and logs nothing."""
    chromium.open(pages[name])

    asked = [each for each in chromium.requests() if not each.startswith("data:image/png")]
    widths = chromium.run("return [...document.images].map(each => each.naturalWidth)")

    assert asked == [pages[name].as_uri()]
    assert chromium.errors() == []
    assert all(width > 0 for width in widths)
    assert bool(widths) == (name not in ("inconclusive", "refused"))


def test_the_policy_stops_what_escaping_missed(
    chromium: browser.Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    """Scripts, styles and addresses that got into the page all the same have no effect."""
    bad = tmp_path / "bad.html"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        planted = (
            "<script>document.title = 'run'</script><style>body { opacity: 0 }</style>"
            f"<img src='http://127.0.0.1:{listener.getsockname()[1]}/x'>"
            "<p id='p' style='opacity: 0'>text</p>"
            "<img src='data:,' onerror=\"document.title = 'run'\">"
        )
        bad.write_text(pages["clean"].read_text().replace("</main>", f"{planted}</main>"))
        chromium.open(bad)
        with pytest.raises(BlockingIOError):  # nobody has called
            listener.accept()

    opacity = "return ['body', '#p'].map(e => getComputedStyle(document.querySelector(e)).opacity)"
    assert chromium.driver.title.startswith("clean: ")
    assert chromium.run(opacity) == ["1", "1"]
    assert sum("Content Security Policy" in each for each in chromium.errors()) >= 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["backdoored", "clean", "inconclusive"])
def test_axe_finds_no_barrier(
    chromium: browser.Browser, pages: dict[str, Path], name: str, scheme: str
) -> None:
    """With everything unfolded, axe-core has nothing to say against either colour scheme."""
    chromium.open(pages[name], scheme=scheme)
    chromium.run("document.querySelectorAll('details').forEach(each => each.open = true)")

    found = chromium.violations()

    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_axe_would_find_a_barrier(
    chromium: browser.Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    """The check itself can fail: a picture without a text is found."""
    bad = tmp_path / "bad.html"
    bad.write_text(pages["clean"].read_text().replace("</main>", "<img src='data:,'></main>"))

    chromium.open(bad)

    assert "image-alt" in [each["id"] for each in chromium.violations()]


def test_the_schemes_differ_and_charts_are_legible_in_both(
    chromium: browser.Browser, pages: dict[str, Path]
) -> None:
    """Labels have a contrast of 4.5 to the card they stand on, bars of 3, in light and in dark."""
    grounds = set()
    for scheme in ("light", "dark"):
        chromium.open(pages["backdoored"], scheme=scheme)
        ground = _colour(chromium, ".card", "backgroundColor")
        grounds.add(ground)

        assert _contrast(ground, _colour(chromium, ".chart text", "fill")) >= 4.5
        assert _contrast(ground, _colour(chromium, ".chart .tick", "fill")) >= 4.5
        assert _contrast(ground, _colour(chromium, ".chart .bar", "fill")) >= 3
        assert _contrast(ground, _colour(chromium, ".chart .bar.marked", "fill")) >= 3

    assert len(grounds) == 2


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(
    chromium: browser.Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    """Nothing is wider than the screen, however long the names are; tables scroll by themselves."""
    chromium.open(pages[name], width)
    chromium.run("document.querySelectorAll('details').forEach(each => each.open = true)")

    extents = chromium.run(EXTENTS)

    assert extents[0] <= extents[1] <= width


def test_every_control_can_be_reached_and_used_by_keyboard(
    chromium: browser.Browser, pages: dict[str, Path]
) -> None:
    """Tab goes to every link, fold and table in turn, Enter unfolds, and the focus is seen."""
    chromium.open(pages["backdoored"])
    chromium.run(
        "window.controls = [...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')]"
    )
    total, reached = chromium.run("return window.controls.length"), []
    for _ in range(2 * total):
        chromium.driver.switch_to.active_element.send_keys(Keys.TAB)
        number, folded, outline = chromium.run(
            "const it = document.activeElement;"
            "return [window.controls.indexOf(it), it.matches('details:not([open]) > summary'),"
            " getComputedStyle(it).outlineStyle]"
        )
        if number < 0:
            break
        reached.append(number)
        assert outline == "solid"
        if folded:
            chromium.driver.switch_to.active_element.send_keys(Keys.ENTER)

    assert reached == list(range(total))
    assert total > 15
    assert chromium.run("return document.querySelectorAll('details:not([open])').length") == 0


def test_the_skip_link_leads_to_the_evidence(
    chromium: browser.Browser, pages: dict[str, Path]
) -> None:
    """The first Tab and Enter jump over the navigation."""
    chromium.open(pages["backdoored"])

    chromium.driver.switch_to.active_element.send_keys(Keys.TAB)
    chromium.driver.switch_to.active_element.send_keys(Keys.ENTER)

    assert chromium.run("return document.activeElement.id") == "main"


def test_everything_is_printed_in_light_colours(
    chromium: browser.Browser, pages: dict[str, Path]
) -> None:
    """On paper, folds are open and the ground is white, whatever the screen showed."""
    seen = (
        "return [...document.querySelectorAll('details > :not(summary)')]"
        ".map(each => each.checkVisibility() && each.getBoundingClientRect().height > 0)"
    )
    chromium.open(pages["backdoored"], PAPER, scheme="dark")
    assert not any(chromium.run(seen))

    chromium.media("print", "dark")
    extents = chromium.run(EXTENTS)
    printed = base64.b64decode(chromium.driver.print_page())

    assert all(chromium.run(seen))
    assert extents[0] <= extents[1] <= PAPER
    assert _colour(chromium, "body", "backgroundColor") == (255, 255, 255)
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") >= 3


def _colour(chromium: browser.Browser, selector: str, kind: str) -> tuple[int, ...]:
    told = chromium.run(
        "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]",
        selector,
        kind,
    )
    red, green, blue = told.removeprefix("rgb(").removesuffix(")").split(",")
    return int(red), int(green), int(blue)


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The contrast of two colours, from 1 to 21. Source: WCAG 2.2, relative luminance."""
    dark, light = sorted(_luminance(each) for each in (one, other))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: tuple[int, ...]) -> float:
    shares = np.array(colour) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
