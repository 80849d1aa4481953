"""The three possible verdicts, apart from the other types, which need torch."""

from __future__ import annotations

from typing import Literal

Label = Literal["clean", "backdoored", "inconclusive"]
