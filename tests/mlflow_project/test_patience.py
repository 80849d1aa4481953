"""An outage is waited out as long as asked, and nothing else is."""

from __future__ import annotations

import pytest

from mlflow_project import patience
from mlflow_project.errors import RegistryError
from mlflow_project.patience import patiently
from stages.errors import ConfigError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of hundredths of a second."""
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv(patience.VARIABLE, "20")


def _fails(times: int, error: Exception) -> tuple[list[int], object]:
    calls: list[int] = []

    def call() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "found"

    return calls, call


def test_what_comes_back_is_found(caplog: pytest.LogCaptureFixture) -> None:
    """Each pause is told, with the reason."""
    calls, call = _fails(3, RegistryError("away", outage=True))

    assert patiently(call) == "found"  # type: ignore[arg-type] # a function
    assert len(calls) == 4
    assert caplog.text.count("asked again in") == 3


@pytest.mark.parametrize("error", [RegistryError("refused"), KeyError("ours")])
def test_nothing_else_is_tried_again(error: Exception) -> None:
    """A refusal and a fault of our own are raised at once."""
    calls, call = _fails(3, error)

    with pytest.raises(type(error)):
        patiently(call)  # type: ignore[arg-type] # a function
    assert len(calls) == 1


def test_an_outage_that_goes_on_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without patience after the first call."""
    monkeypatch.setenv(patience.VARIABLE, "0")
    calls, call = _fails(3, ConnectionRefusedError("nobody there"))

    with pytest.raises(ConnectionRefusedError):
        patiently(call)  # type: ignore[arg-type] # a function
    assert len(calls) == 1


@pytest.mark.parametrize("text", ["-1", "long", "inf", "nan"])
def test_a_wrong_patience_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """It is a number of seconds."""
    monkeypatch.setenv(patience.VARIABLE, text)
    with pytest.raises(ConfigError, match="`BAN_GATE_PATIENCE` is"):
        patience.patience()
