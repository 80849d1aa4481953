"""What a name that no setting has was probably meant to be."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

ALIKE = 0.75
"""How alike two names must be, from 0 to 1, so that one may have been meant by the other."""
OFTEN = "calibration."
"""A section with the same few names many times over, which is meant where nothing else is."""
CLOSE = 0.04
"""How much less alike than the best another name may be."""
MOST = 3  # names that are offered


def unknown_setting(
    name: str, known: Sequence[str], where: str = "`ban-gate settings` lists all"
) -> str:
    """The sentence on a name that is none of the known ones, with what may have been meant, or
    else `where` all are listed.
    """
    near = alike(name, known)
    if near:
        return f"unknown setting `{name}`; did you mean {_listed(near)}?"
    section = name.rpartition(".")[0]
    prefix = f"{section}." if section else ""
    beside = [each for each in known if each.startswith(prefix) and "." not in each[len(prefix) :]]
    place = f"known in `{section}` are" if section else "known are"
    names = ", ".join(f"`{each.removeprefix(prefix)}`" for each in beside)
    return f"unknown setting `{name}`; {place} {names}; {where}"


def alike(name: str, known: Sequence[str]) -> list[str]:
    """The known names whose last part is most like this one's, those of its section first."""
    likeness = {each: _likeness(name, each) for each in known}
    near = [each for each in known if likeness[each] >= ALIKE]
    if not name.startswith(OFTEN):
        near = [each for each in near if not each.startswith(OFTEN)] or near
    best = sorted(near, key=lambda each: -likeness[each])
    return [each for each in best if likeness[each] >= likeness[best[0]] - CLOSE][:MOST]


def _likeness(name: str, other: str) -> float:
    """How alike the last parts of two names are, from 0 to 1; less if their sections differ."""
    (section, _, last), (other_section, _, other_last) = name.rpartition("."), other.rpartition(".")
    ratio = SequenceMatcher(None, last, other_last, autojunk=False).ratio()
    return ratio if section == other_section else ratio - 0.05


def _listed(names: Sequence[str]) -> str:
    quoted = [f"`{each}`" for each in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
