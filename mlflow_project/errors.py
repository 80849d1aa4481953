"""What can go wrong between a scan and the place where its verdict is recorded."""

from __future__ import annotations

import signal

from stages.errors import BanGateError, ConfigError


class PlaceError(BanGateError):
    """MLflow or its storage failed; after an `outage` the same may succeed, nothing changed."""

    def __init__(self, sentence: str, *, outage: bool = False) -> None:
        """`sentence` says what failed and what to do."""
        super().__init__(sentence)
        self.outage = outage


class TrackingError(PlaceError):
    """The tracking server could not be reached or refused the run; the verdict is not recorded."""


class RegistryError(PlaceError):
    """The registry does not answer, or has no such model, version, alias or artifact."""


class ClusterError(PlaceError):
    """The cluster that parts of a scan ran on failed; nothing was recorded."""


class DiskFull(ConfigError):
    """Nothing can be written on this machine, where a scan keeps its files or its evidence."""


class Ended(BaseException):
    """A signal asked the process to end; like an interruption, no error that anyone handles."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's."""
        super().__init__(signal.Signals(number).name)
        self.number = number
