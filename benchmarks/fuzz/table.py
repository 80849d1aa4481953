"""How many files ended in which way, and by which words."""

from __future__ import annotations

import re
from collections import Counter

from benchmarks.fuzz.judging import ODD, Outcome


def beginning(text: str) -> str:
    """The first words of a sentence without the names and numbers of the file."""
    plain = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "…", text)
    return " ".join(re.sub(r"-?\d[\d.e+]*", "#", plain).split()[:7])


def table(outcomes: list[Outcome]) -> str:
    """How many files ended in which way at each step, and each odd one by its number."""
    lines = []
    for step in ("inspect", "prove"):
        ended = [one for one in outcomes if one.step == step]
        kinds = Counter(one.kind for one in ended)
        lines += [f"{step}: {len(ended)} files"]
        lines += [f"{count:6d}  {kind}" for kind, count in kinds.most_common()]
    words = Counter((one.kind, beginning(one.text)) for one in outcomes if one.text)
    lines += ["", "refusals of both steps by kind and first words:"]
    lines += [f"{count:6d}  {kind}: {start}" for (kind, start), count in words.most_common()]
    odd = [one for one in outcomes if one.kind in ODD]
    lines += ["", f"{len(odd)} odd outcomes, whose files were kept:"]
    lines += [
        f"{one.number:6d}  {one.seed} {'+'.join(one.changes)} ({one.step}): {one.text[:160]}"
        for one in odd
    ]
    return "\n".join(lines)
