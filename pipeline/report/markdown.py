"""Text of any origin in Markdown: shown as it is, and never read as markup."""

from __future__ import annotations

_HARMLESS = frozenset(" ,;/%()='\"")
"""Characters, beside letters and digits, that mean nothing within a line of Markdown or HTML."""


def literal(text: str) -> str:
    """A text of one line, with a character reference for whatever could be read as markup.

    What cannot is left as it is, so that numbers, names of files and sentences can also be read in
    a log.

    >>> literal("p = 2.3e-07 in model.onnx"), literal("[a](http://b)")
    ('p = 2.3e-07 in model.onnx', '&#91;a&#93;(http&#58;//b)')
    """
    return "".join(
        each if _means_nothing(text, at) else f"&#{ord(each)};" for at, each in enumerate(text)
    )


def _means_nothing(text: str, at: int) -> bool:
    """Whether the character at a place can be left as it is."""
    each, before, after = text[at], text[:at], text[at + 1 : at + 2]
    if each in ".)":  # `1. ` begins a list, `www.` a link
        is_list = before.isdigit() and after in ("", " ")
        return not is_list and before[-3:].lower() != "www"
    if each in "-_":
        return before[-1:].isalnum() and after.isalnum()
    if each == ":":
        return text[at + 1 : at + 3] != "//" and not after.isalpha()
    if each == "+":
        return before != ""
    if each == "<":
        return after == " "
    return each.isalnum() or each in _HARMLESS
