"""Is a file an ONNX graph that can only compute? Read from its bytes, before any library parses them.

ONNX is a protobuf message: fields of a number, a kind and a value. Each message that matters is listed here with the
fields it may have and what is in them; a field that is not listed is refused. So a graph has no functions, no graphs in
its nodes (no loops, no branches: each operator runs once), no operators but the standard's, and no data in other files;
and no tensor says that it is larger than its bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orita.core.checkpoints import checkpoint
from orita.core.errors import UserError

__all__ = ["check_graph", "fields_of"]

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_MOST_NODES = 100_000
_MOST_DIMS = 16
_VARINT, _LONG, _BYTES, _SHORT = 0, 1, 2, 5  # protobuf's kinds of value
_ENDS_WITHIN = "it ends within a field"


@dataclass(frozen=True, slots=True)
class _Field:
    """What a field of a message holds: plain values, or a message; ``refused`` says why none may be there."""

    kind: int
    message: str = ""
    repeated: bool = False
    refused: str = ""


_NUMBER, _TEXT, _TEXTS = _Field(_VARINT), _Field(_BYTES), _Field(_BYTES, repeated=True)
_NUMBERS = _Field(_VARINT, repeated=True)


def _no(what: str) -> _Field:
    return _Field(_BYTES, refused=what)


_MESSAGES: Mapping[str, Mapping[int, _Field]] = {
    "model": {
        **dict.fromkeys((1, 5), _NUMBER),
        **dict.fromkeys((2, 3, 4, 6), _TEXT),
        7: _Field(_BYTES, "graph"),
        8: _Field(_BYTES, "opset", repeated=True),
        14: _TEXTS,
        20: _no("training information"),
        25: _no("functions"),
        26: _no("a configuration of devices"),
    },
    "opset": {1: _Field(_BYTES, "domain"), 2: _NUMBER},
    "graph": {
        1: _Field(_BYTES, "node", repeated=True),
        5: _Field(_BYTES, "tensor", repeated=True),
        **dict.fromkeys((2, 10), _TEXT),
        **dict.fromkeys((11, 12, 13, 14, 16), _TEXTS),
        15: _no("sparse tensors"),
    },
    "node": {
        **dict.fromkeys((1, 2, 9), _TEXTS),
        **dict.fromkeys((3, 4, 6), _TEXT),
        5: _Field(_BYTES, "attribute", repeated=True),
        7: _Field(_BYTES, "domain"),
        8: _no("an overload"),
        10: _no("a configuration of devices"),
    },
    "attribute": {
        **dict.fromkeys((1, 4, 13), _TEXT),
        2: _Field(_SHORT),
        **dict.fromkeys((3, 20), _NUMBER),
        5: _Field(_BYTES, "tensor"),
        7: _Field(_SHORT, repeated=True),
        8: _NUMBERS,
        9: _TEXTS,
        10: _Field(_BYTES, "tensor", repeated=True),
        **dict.fromkeys((6, 11), _no("a graph within a node")),
        **dict.fromkeys((22, 23), _no("sparse tensors")),
        21: _no("a reference to an attribute of a function"),
    },
    "tensor": {
        1: _NUMBERS,
        2: _NUMBER,
        **dict.fromkeys((5, 7, 11), _NUMBERS),
        4: _Field(_SHORT, repeated=True),
        10: _Field(_LONG, repeated=True),
        **dict.fromkeys((8, 9, 12), _TEXT),
        **dict.fromkeys((6, 16), _TEXTS),
        3: _no("a segment of a tensor"),
        13: _no("data in another file"),
        14: _Field(_VARINT, refused="data in another file"),
    },
}

# Trees are lists of hundreds of thousands of numbers, one field each: a run of them is stepped over at once.
_RUNS = {
    0x3D: re.compile(rb"(?:\x3d.{4})++", re.DOTALL),
    0x40: re.compile(rb"(?:\x40[\x80-\xff]{0,9}+[\x00-\x7f])++"),
    0x4A: re.compile(rb"(?:\x4a\x0aBRANCH_LEQ|\x4a\x04LEAF)++"),
}


def check_graph(content: bytes, where: str) -> None:
    """Refuse *content* unless it is an ONNX graph of standard operators that needs nothing else.

    Raises:
        UserError: it is not; the sentence says what is there that may not be.
    """
    try:
        _check(content, 0, len(content), "model")
    except ValueError as error:
        raise UserError(f"{where} is not a graph that a package may hold: {error}.") from None


def _check(content: bytes, start: int, end: int, message: str) -> None:
    """Check a message; only messages that cannot hold themselves are entered, so the depth is that of the table."""
    if message == "domain":
        domain = content[start:end].decode("utf-8", "replace")
        if domain not in _DOMAINS:
            raise ValueError(f"it uses operators of the domain {domain!r}, allowed are {_DOMAINS}")
        return
    fields, seen, nodes = _MESSAGES[message], set(), 0
    dims: list[int] = []
    for number, kind, low, high in fields_of(content, start, end):
        field = fields.get(number)
        if field is None:
            raise ValueError(f"field {number} of a {message} is unknown")
        if field.refused:
            raise ValueError(f"it holds {field.refused}")
        packed = kind == _BYTES and field.repeated and field.kind != _BYTES
        if kind != field.kind and not packed:
            raise ValueError(f"field {number} of a {message} has the wrong kind")
        if not field.repeated and number in seen:
            raise ValueError(f"field {number} of a {message} is there twice")
        seen.add(number)
        nodes += message == "graph" and number == 1
        if field.message:
            checkpoint()
            _check(content, low, high, field.message)
        elif message == "tensor" and number == 1:
            dims += _numbers(content, low, high)
    if nodes > _MOST_NODES:
        raise ValueError(f"it has {nodes:,} operators, allowed are {_MOST_NODES:,}")
    if len(dims) > _MOST_DIMS:
        raise ValueError(f"a tensor has {len(dims):,} dimensions, allowed are {_MOST_DIMS}")
    if message == "tensor" and math.prod(dims) > 2 * (end - start):  # the smallest value takes half a byte
        raise ValueError(f"a tensor says it has the shape {dims}, and there are {end - start:,} bytes of it")


def fields_of(content: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, kind, and where the value begins and ends, of the fields of a message; a run counts as one."""
    at = start
    while at < end:
        run = _RUNS.get(content[at])
        if run and (found := run.match(content, at, end)):
            yield content[at] >> 3, content[at] & 7, at + 1, found.end()
            at = found.end()
            continue
        tag, at = _varint(content, at, end)
        low = at
        match tag & 7:
            case 0:
                _, at = _varint(content, at, end)
            case 1:
                at += 8
            case 2:
                size, low = _varint(content, at, end)
                at = low + size
            case 5:
                at += 4
            case other:
                raise ValueError(f"it is not a message of ONNX (a field of kind {other})")
        if at > end:
            raise ValueError(_ENDS_WITHIN)
        yield tag >> 3, tag & 7, low, at


def _numbers(content: bytes, start: int, end: int) -> list[int]:
    numbers, at = [], start
    while at < end:
        number, at = _varint(content, at, end)
        numbers.append(number)
    return numbers


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError(_ENDS_WITHIN)
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number of it is too long")
