"""A graph in two: what it makes of items alone, and the rest, which takes that as an input.

The file stays one graph, which anybody can run whole. A server runs the first half once for an item and the second for
each request. The halves are cut out of the bytes, message by message, as `graph_form` reads them: no library that
writes graphs is needed where one is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orita.core.checkpoints import checkpoint
from orita.models.graph import ITEM_VECTORS, ROUNDED_FEATURES
from orita.models.graph_form import fields_of

__all__ = ["Halves", "halves"]

_GRAPH = 7  # fields of a model, of a graph, of an operator, of a tensor, of a value, as ONNX numbers them
_OPERATOR, _CONSTANT, _INPUT, _OUTPUT, _SHAPE = 1, 5, 11, 12, 13
_READS, _WRITES = 1, 2
_CONSTANT_NAME, _VALUE_NAME = 8, 1


@dataclass(frozen=True, slots=True)
class Halves:
    """Both halves of a graph, each a file of its own.

    Attributes:
        items: from ``rounded_features`` and ``items`` to ``item_vectors``.
        rest: from ``rounded_features``, ``item_vectors``, and what else the graph takes, to what it gives.
    """

    items: bytes
    rest: bytes


def halves(content: bytes) -> Halves | None:
    """Return the halves of a graph that `check_graph` let pass; None where it lacks one of the values to cut it at."""
    parts = _parts(content)
    maker = {name: at for at, operator in enumerate(parts.operators) for name in operator.writes}
    if not maker.keys() >= {ROUNDED_FEATURES, ITEM_VECTORS}:
        return None
    features, vectors = _value(ROUNDED_FEATURES), _value(ITEM_VECTORS)
    del maker[ROUNDED_FEATURES]
    items = _needed(parts.operators, maker, [ITEM_VECTORS])
    del maker[ITEM_VECTORS]
    rest = _needed(parts.operators, maker, parts.outputs)
    given = [_message(_INPUT, value) for value in (features, vectors)]
    return Halves(
        _graph(parts, items, [given[0], _message(_OUTPUT, vectors)]),
        _graph(parts, rest, [*given, *parts.outputs.values()]),
    )


@dataclass(frozen=True, slots=True)
class _Operator:
    """An operator: its message, with the tag before it, and the names of the values that it reads and writes."""

    content: bytes
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a graph is made of; messages have the tags before them.

    Attributes:
        around: what the model says beside its graph.
        others: what the graph says beside the following.
        operators: in order.
        constants, inputs, outputs: the messages by name.
    """

    around: bytes
    others: bytes
    operators: Sequence[_Operator]
    constants: Mapping[str, bytes]
    inputs: Mapping[str, bytes]
    outputs: Mapping[str, bytes]


def _parts(content: bytes) -> _Parts:
    around, graph = [], b""
    for field, whole, low, high in _fields(content, 0, len(content)):
        if field == _GRAPH:
            graph = content[low:high]
        else:
            around.append(whole)
    others: list[bytes] = []
    operators: list[_Operator] = []
    named: dict[int, dict[str, bytes]] = {_CONSTANT: {}, _INPUT: {}, _OUTPUT: {}}
    for field, whole, low, high in _fields(graph, 0, len(graph)):
        checkpoint()
        if field == _OPERATOR:
            operators.append(_Operator(whole, _texts(graph, low, high, _READS), _texts(graph, low, high, _WRITES)))
        elif field in named:
            (name,) = _texts(graph, low, high, _CONSTANT_NAME if field == _CONSTANT else _VALUE_NAME)
            named[field][name] = whole
        elif field != _SHAPE:  # of values between operators: hints, and some are of the other half
            others.append(whole)
    constants, inputs, outputs = named[_CONSTANT], named[_INPUT], named[_OUTPUT]
    return _Parts(b"".join(around), b"".join(others), operators, constants, inputs, outputs)


def _fields(content: bytes, start: int, end: int) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield of each field its number, all of it, and where the value begins and ends."""
    for field, _, low, high in fields_of(content, start, end):
        yield field, content[start:high], low, high
        start = high


def _texts(content: bytes, start: int, end: int, number: int) -> tuple[str, ...]:
    fields = fields_of(content, start, end)
    return tuple(content[low:high].decode() for field, _, low, high in fields if field == number)


def _needed(operators: Sequence[_Operator], maker: Mapping[str, int], wanted: Iterable[str]) -> list[_Operator]:
    """Return the operators that *wanted* values come from, as far as *maker* knows who makes a value."""
    needed: set[int] = set()
    asked = list(wanted)
    while asked:
        at = maker.get(asked.pop())
        if at is not None and at not in needed:
            needed.add(at)
            asked += operators[at].reads
    return [operators[at] for at in sorted(needed)]


def _graph(parts: _Parts, operators: Sequence[_Operator], values: Iterable[bytes]) -> bytes:
    """Return a file of some operators, with the constants and inputs that they read, and *values* besides."""
    read = {name for operator in operators for name in operator.reads}
    constants = [constant for name, constant in parts.constants.items() if name in read]
    inputs = [content for name, content in parts.inputs.items() if name in read]
    content = [parts.others, *(operator.content for operator in operators), *constants, *inputs, *values]
    return parts.around + _message(_GRAPH, b"".join(content))


def _value(name: str) -> bytes:
    """Return the description of a value, float32 [N, P]."""
    shape = b"".join(_message(1, _message(2, dimension)) for dimension in (b"N", b"P"))
    tensor = bytes([1 << 3, 1]) + _message(2, shape)
    return _message(1, name.encode()) + _message(2, _message(1, tensor))


def _message(number: int, content: bytes) -> bytes:
    size, length = bytearray(), len(content)
    while length >= 0x80:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + content
