"""The three answers of a scan, apart from the other types because reading them needs no torch."""

from __future__ import annotations

from typing import Literal

Label = Literal["clean", "backdoored", "inconclusive"]
