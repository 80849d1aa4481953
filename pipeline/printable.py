"""Text that may be shown: names in a model file are the work of whoever made it."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text on one line, with every other character than printable ones escaped as in `\x1b`.

    So no name in a file can forge a line of output or send commands to a terminal.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
