"""Text that is safe to show: whoever made a model file chose the names in it."""

from __future__ import annotations

from pipeline.redaction import redacted


def printable(text: str) -> str:
    r"""The text on one line, without secrets, every unprintable character escaped, as in `\x1b`.

    So no name in a file can forge a line of output or send commands to a terminal.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in redacted(text)
    )
