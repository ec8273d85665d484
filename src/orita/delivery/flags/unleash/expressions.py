"""Regular expressions in RE2's syntax, which Unleash has, as Python writes them.

Both agree but for classes such as ``[:alpha:]``, flags in the middle of an expression, and the end of the text; RE2
has neither looking around nor references to groups, and its classes such as ``\\d`` are of ASCII.

Source: RE2 syntax, https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["python_pattern"]

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\])|(?P<flags>\(\?[ims]+\))"
    r"|(?P<open>\(\?[ims]*:|\(\?P<\w+>|\((?!\?))|(?P<other>\(\?)|(?P<close>\))|(?P<either>\|)|(?P<end>\$)|(?P<rest>.)",
    re.DOTALL,
)
_FOREIGN_ESCAPES = "123456789kpPQCZ"
_NAMED_SET = re.compile(r"\[:(\w+):\]")


def python_pattern(expression: str) -> str | None:
    """Return *expression* for Python's `re`, None where RE2 would not take it or it cannot be said in Python.

    The latter is a flag in the middle of a group with alternatives after it.
    """
    groups = [_Group()]
    try:
        parts = [_part(token, groups) for token in _TOKEN.finditer(expression)]
        if len(groups) > 1:
            return None
        pattern = f"(?a:{''.join(parts)}{')' * groups[0].opened})"
        re.compile(pattern)
    except (re.error, _Foreign):
        return None
    return pattern


@dataclass(slots=True)
class _Group:
    """A group that is open: how many flags were opened in it, and whether ``$`` means the end of a line."""

    opened: int = 0
    lines: bool = False


class _Foreign(Exception):
    """What only one of the two has."""


def _part(token: re.Match[str], groups: list[_Group]) -> str:
    """Return what *token* is in Python, and keep in *groups* which groups are open."""
    text, inner = token.group(), groups[-1]
    match token.lastgroup:
        case "escape":
            if text[1] in _FOREIGN_ESCAPES:
                raise _Foreign
            return r"\Z" if text == r"\z" else text
        case "set":
            return _NAMED_SET.sub(_characters, text)
        case "flags":
            inner.opened += 1
            inner.lines |= "m" in text
            return text[:-1] + ":"
        case "open":
            groups.append(_Group(0, inner.lines or (text[-1] == ":" and "m" in text)))
        case "close" if len(groups) > 1:
            return ")" * (groups.pop().opened + 1)
        case "end":
            return "$" if inner.lines else r"\Z"
        case "either" if not inner.opened:
            return text
        case "close" | "either" | "other":
            raise _Foreign
    return text


def _characters(named: re.Match[str]) -> str:
    if named[1] not in _CLASSES:
        raise _Foreign
    return _CLASSES[named[1]]
