"""The files of versions, downloaded once for each place they lie at, as long as there is room."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.sweep.keys import digest_of


@dataclass(kw_only=True)
class _Kept:
    folder: Path
    size: int


class Downloads:
    """Folders by where their files come from; what was not used longest goes first.

    What is in use stays, so a bound that is smaller than that is exceeded.
    """

    def __init__(self, root: Path, largest: int) -> None:
        """In an existing folder `root`, with at most `largest` bytes of what nobody uses."""
        self._root = root
        self._largest = largest
        self._kept: dict[str, _Kept] = {}
        self._used: Counter[str] = Counter()

    def use(self, uri: str, download: Callable[[Path], Path]) -> Path:
        """The folder of what lies at a URI, downloaded into a new one where need be; in use."""
        if uri not in self._kept:
            place = self._root / digest_of(uri)[:20]
            try:
                folder = download(place)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
            size = sum(each.lstat().st_size for each in place.rglob("*") if not each.is_dir())
            self._kept[uri] = _Kept(folder=folder, size=size)
        self._kept[uri] = self._kept.pop(uri)  # the youngest comes last
        self._used[uri] += 1
        return self._kept[uri].folder

    def release(self, uri: str) -> None:
        """Ends one use; what is beyond the bound goes."""
        self._used[uri] -= 1
        idle = [each for each in self._kept if not self._used[each]]
        size = sum(self._kept[each].size for each in idle)
        for each in idle:
            if size <= self._largest:
                break
            size -= self._kept[each].size
            self._kept.pop(each)
            shutil.rmtree(self._root / digest_of(each)[:20], ignore_errors=True)
