"""The layers of a cage: which there are, which could be had, and why the others could not."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pipeline.cage import landlock, namespaces, privileges, rlimits, seccomp
from pipeline.cage.linux import IS_LINUX

NETWORK, PROCESSES = "network namespace", "process namespace"
END, BOUNDS, PRIVILEGES, CAPABILITIES = (
    *("end with its parent", "resource limits", "no new privileges", "no capabilities"),
)
FILES, TCP, SIGNALS, CALLS = "file access", "TCP", "signals", "system calls"
LAYERS = (
    *(PROCESSES, END, NETWORK, BOUNDS, PRIVILEGES),
    *(FILES, TCP, SIGNALS, CAPABILITIES, CALLS),
)
"""The names of all layers, in the order in which they are put on."""
_OFF = "turned off by the settings"
_ELSEWHERE = "this system is not Linux"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a caged process keeps: places in the file system, and how much it may use up."""

    rules: landlock.Rules
    limits: rlimits.Limits


@dataclass(kw_only=True)
class Layers:
    """Which layers a process has, in their order, and why it lacks the others, by their names."""

    had: list[str] = field(default_factory=list)
    lacked: dict[str, str] = field(default_factory=dict)

    def attempt(self, layer: Callable[[], object], *names: str) -> None:
        """Puts on one or more layers by a call, except for those that are known to be lacked."""
        wanted = [name for name in names if name not in self.lacked]
        if not wanted:
            return
        try:
            layer()
        except OSError as error:
            self.lacked.update(dict.fromkeys(wanted, refused(error)))
        else:
            self.had += wanted

    def sentences(self) -> list[str]:
        """What could not be had and why, such as `TCP: this kernel has no Landlock`."""
        return [f"{name}: {self.lacked[name]}" for name in LAYERS if name in self.lacked]


def bare(without: Iterable[str]) -> Layers:
    """No layer yet; those `without` and what this system never has are lacked."""
    elsewhere = () if IS_LINUX else (name for name in LAYERS if name != BOUNDS)
    return Layers(lacked={**dict.fromkeys(without, _OFF), **dict.fromkeys(elsewhere, _ELSEWHERE)})


def refused(error: OSError) -> str:
    """Why the kernel did not give a layer."""
    return f"refused by the kernel ({error.strerror or error})"


def put_on(layers: Layers, plan: Plan) -> None:
    """Puts on this process all but its namespace of processes; it must have one thread."""
    processor = platform.machine()
    layers.attempt(privileges.end_with_parent, END)
    layers.attempt(namespaces.leave_network, NETWORK)
    layers.attempt(lambda: rlimits.apply(plan.limits), BOUNDS)
    layers.attempt(privileges.gain_none, PRIVILEGES)
    _put_on_landlock(layers, plan.rules)
    keeps_files = FILES in layers.had
    layers.attempt(
        lambda: privileges.drop_capabilities(processor, keep_files=keeps_files), CAPABILITIES
    )
    layers.attempt(lambda: seccomp.restrict(processor), CALLS)


def _put_on_landlock(layers: Layers, rules: landlock.Rules) -> None:
    """Puts on what this kernel's version of Landlock has."""
    since = {FILES: 1, TCP: landlock.TCP_SINCE, SIGNALS: landlock.SIGNALS_SINCE}
    has = landlock.version()
    too_new = {
        name: f"needs version {each} of Landlock, this kernel has {has or 'none'}"
        for name, each in since.items()
        if has < each
    }
    layers.lacked = {**too_new, **layers.lacked}
    files, tcp, signals = (name not in layers.lacked for name in since)
    chosen = replace(rules, files=files, tcp=tcp, signals=signals)
    layers.attempt(lambda: landlock.restrict(chosen, has), *since)
