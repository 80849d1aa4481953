"""Every failure ends with its own code and in one line that nothing in a file can forge."""

from __future__ import annotations

import inspect
import logging
import sys

import click
import pytest
from click.testing import CliRunner

from mlflow_project import errors as tracking_errors
from mlflow_project.cli import main as cli
from mlflow_project.cli.exit_codes import EXIT_CODES, failures_as_exits
from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.errors import ClusterError, Ended, RegistryError, TrackingError
from pipeline.printable import printable
from stages import errors
from stages.errors import (
    BanGateError,
    CannotJudge,
    ConfigError,
    ConversionError,
    ModelRefused,
    ParityError,
    SamplesError,
)

FAMILY = [
    kind
    for module in (errors, tracking_errors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, BanGateError) and kind not in (BanGateError, tracking_errors.PlaceError)
]


def _ends(error: BaseException) -> BaseException:
    """What leaves the context manager when this is raised inside."""
    with pytest.raises(BaseException) as caught, failures_as_exits():  # noqa: PT011 (any)
        raise error
    return caught.value


def test_success_passes_through() -> None:
    """Without a failure nothing happens."""
    with failures_as_exits():
        done = True

    assert done


@pytest.mark.parametrize("kind", FAMILY)
def test_every_explained_failure_is_one_line(
    kind: type[BanGateError], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of our own has a code of the contract; the sentence goes to stderr, alone."""
    ended = _ends(kind("this failed; do that"))

    told = capsys.readouterr()
    assert isinstance(ended, SystemExit)
    assert ended.code in (2, 3, 4)
    assert told.err == "ban-gate: this failed; do that\n"
    assert told.out == ""


def test_the_codes_are_those_of_the_contract() -> None:
    """0 and 1 are verdicts, the rest says why there is none."""
    promised = {
        "clean": 0, "backdoored": 1, "inconclusive": 3, ConfigError: 2, CannotJudge: 3,
        TrackingError: 4, RegistryError: 4, ClusterError: 4, Exception: 70,
        KeyboardInterrupt: 130,
    }  # fmt: skip

    assert promised == EXIT_CODES


@pytest.mark.parametrize(
    "error",
    [
        click.UsageError("wrong"),
        click.exceptions.Exit(5),
        click.Abort(),
        SystemExit(7),
        GeneratorExit(),
    ],
)
def test_exits_of_others_are_left_alone(error: BaseException) -> None:
    """Click's errors, an exit that is under way, and Python's own signals keep their meaning."""
    assert _ends(error) is error


def test_the_cause_is_kept_for_whoever_debugs() -> None:
    """The exit carries its error, and the error its cause."""
    error = ParityError("differs")
    error.__cause__ = ValueError("deep inside")

    ended = _ends(error)

    assert ended.__context__ is error


def test_only_a_bug_shows_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody foresaw is 70, with everything needed for a report, and no sign of a verdict."""
    ended = _ends(ZeroDivisionError("by zero"))

    told = capsys.readouterr()
    assert isinstance(ended, SystemExit)
    assert ended.code == 70
    assert "Traceback" in told.err
    assert told.err.endswith("please report it with this traceback\n")
    assert told.out == ""


@pytest.mark.parametrize("subclass", [UnicodeDecodeError, RecursionError, MemoryError, OSError])
def test_every_other_error_is_internal(subclass: type[Exception]) -> None:
    """Any error of Python's own that reaches the top is 70, never 1."""
    error = subclass("utf-8", b"", 0, 1, "why") if subclass is UnicodeDecodeError else subclass()

    ended = _ends(error)

    assert isinstance(ended, SystemExit)
    assert ended.code == 70


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a"), 2),
        (ModelRefused("a"), 3),
        (SamplesError("a"), 3),
        (ConversionError("a"), 3),
        (TrackingError("a"), 4),
        (BanGateError("a"), 70),
        (ZeroDivisionError("a"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_failure_has_its_code(error: BaseException, code: int) -> None:
    """The nearest ancestor in the table decides; only what is unexplained shows a traceback."""

    @click.group(cls=cli.Commands)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])

    assert result.exit_code == code
    assert ("Traceback" in result.stderr) == isinstance(error, ZeroDivisionError)
    assert result.stdout == ""


def test_no_failure_looks_like_a_verdict() -> None:
    """0 and 1 are verdicts: no exception may end with them."""
    failures = {code for key, code in EXIT_CODES.items() if not isinstance(key, str)}

    assert not failures & {0, 1}


HOSTILE = "name\nban-gate: fine\r\x1b[31mred\x00\u202e\u2028\udcff end"


def test_an_error_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Names in a model stand in sentences: line breaks and control characters are escaped."""
    _ends(CannotJudge(HOSTILE))

    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told[:-1].isprintable()
    assert "\\x1b[31mred" in told


def test_a_log_line_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for the log; only a traceback, which is ours, spans lines."""
    logger, root = logging.getLogger("pipeline.forged"), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log_to_stderr(verbose=False)
        logger.warning("the name is %s", HOSTILE)
        logger.debug("not shown")
        error = ValueError("why")
        logger.error("with its traceback", exc_info=error)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)

    first, second, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("WARNING the name is name\\nban-gate: fine\\r\\x1b[31m")
    assert second == "ERROR   with its traceback"
    assert rest == ["ValueError: why"]


@pytest.mark.parametrize("text", ["", "a plain name", "Größe ≥ 3 µm", "雪", "C:\\new\\table"])
def test_what_can_be_shown_is_shown_as_it_is(text: str) -> None:
    """Printable text of any language is left alone, backslashes too."""
    assert printable(text) == text


def test_everything_else_is_escaped_in_ascii() -> None:
    """Whatever the character, the result can be printed and encoded anywhere."""
    everything = map(chr, range(sys.maxunicode + 1))
    unprintable = [each for each in everything if not each.isprintable()]

    shown = printable(" ".join(unprintable)).split(" ")

    assert all(each.isascii() and each.isprintable() for each in shown)
    assert len(set(shown)) == len(unprintable)


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), Ended(15)])
def test_an_ending_from_outside_says_where_the_next_call_goes_on(
    ending: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the scan noted of it, in the one line that is told."""
    ending.add_note("nothing was judged yet; 3 of 8 searches are kept")

    ended = _ends(ending)

    told = capsys.readouterr().err
    assert isinstance(ended, SystemExit)
    assert ended.code in (130, 143)
    assert told.endswith("; nothing was judged yet; 3 of 8 searches are kept\n")
    assert told.count("\n") == 1
