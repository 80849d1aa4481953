"""Work for a child process that ends in each way that work can end.

The child imports this module anew, so nothing else is in it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from pipeline.intake.untrusted import Description, describe
from stages.errors import ModelRefused


def escape(path: Path) -> Description:
    """Work that does what a broken parent would see."""
    raise ModelRefused(f"refused {path.name}; try again")


def sleep(path: Path) -> Description:
    """Work that never ends."""
    while path:
        time.sleep(1)
    raise AssertionError("the path is something")


def hang_described(path: Path) -> Description:
    """Work that never ends once a file is described, beside which it leaves a note."""
    describe(path)
    (path.parent / "described").touch()
    return sleep(path)


def leave(path: Path) -> Description:
    """Work that dies."""
    os._exit(len(path.name))


def fail(path: Path) -> Description:
    """Work that meets what the product does not foresee."""
    raise OverflowError(path.name)
