"""What can go wrong between a scan and the place where its verdict is recorded."""

from __future__ import annotations

import signal

from stages.errors import BanGateError


class TrackingError(BanGateError):
    """The tracking server could not be reached or refused the run; the verdict is not recorded."""


class RegistryError(BanGateError):
    """The registry does not answer, or has no such model, version, alias or artifact."""


class Ended(BaseException):
    """A signal asked the process to end; like an interruption, no error that anyone handles."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's."""
        super().__init__(signal.Signals(number).name)
        self.number = number
