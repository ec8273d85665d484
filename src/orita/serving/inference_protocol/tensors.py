"""Tensors of the protocol, from JSON, from bytes, and back.

Legend: E elements of a tensor, row by row.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from orita.serving.http.refusal import Refused

__all__ = ["DATATYPES", "Tensor", "from_bytes", "from_json", "from_values", "to_bytes"]

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

DATATYPES: dict[str, tuple[Any, Any]] = {
    "FP32": (np.dtype("<f4"), float | None),
    "FP64": (np.dtype("<f8"), float | None),
    "INT64": (np.dtype("<i8"), _Int64),
    "BYTES": (np.dtype(object), str),
}
"""The datatypes that an input of a package may have: how they lie in memory, and what they are in JSON."""

_MOST_DIMENSIONS = 8
_LENGTH = struct.Struct("<I")
_NESTED = re.compile(rb"\s*\[\s*\[")


class Tensor(NamedTuple):
    """A tensor.

    Attributes:
        name: of the input or output.
        datatype: one of `DATATYPES`.
        shape: its dimensions.
        values_E: its elements, flat; texts where the datatype is ``BYTES``.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values_E: npt.NDArray[Any]


def from_json(name: str, datatype: str, shape: Sequence[int], data: msgspec.Raw) -> Tensor:
    """Return the tensor that *data* holds as a JSON array, flat or nested as its shape is; null is a missing number.

    Raises:
        Refused: the datatype is not known, or *data* is not of it or of that shape.
    """
    _known(name, datatype)
    dimensions = _checked_shape(name, shape)
    depth = max(1, len(dimensions)) if _NESTED.match(data) else 1
    try:
        values: list[Any] = _decoder(datatype, depth).decode(data)
    except msgspec.ValidationError as error:
        what, _, place = str(error).replace("`", "").partition(" - at ")
        where = f"data{place.lstrip('$')}"
        raise _refused(f"input {name!r} has data that is not {datatype}: {what} at {where}.") from None
    return _tensor(name, datatype, dimensions, _flat(name, values, dimensions, depth))


def from_bytes(name: str, datatype: str, shape: Sequence[int], content: bytes | memoryview) -> Tensor:
    """Return the tensor whose elements *content* holds: little-endian, row by row; texts with their length before them.

    Raises:
        Refused: the datatype is not known, or *content* is not of that shape.
    """
    dtype, _ = _known(name, datatype)
    dimensions = _checked_shape(name, shape)
    if datatype == "BYTES":
        return _tensor(name, datatype, dimensions, _texts(name, content))
    if len(content) % dtype.itemsize:
        raise _refused(f"input {name!r} has {len(content)} bytes of data, which is no number of {datatype}.")
    return _tensor(name, datatype, dimensions, np.frombuffer(content, dtype))


def from_values(name: str, datatype: str, shape: Sequence[int], values: Any) -> Tensor:
    """Return the tensor of *values*, a flat sequence or array.

    Raises:
        Refused: the datatype is not known, or there are more or fewer values than the shape has.
    """
    _known(name, datatype)
    return _tensor(name, datatype, _checked_shape(name, shape), values)


def to_bytes(tensor: Tensor) -> bytes:
    """Return the elements of a tensor of numbers, little-endian, row by row."""
    return np.ascontiguousarray(tensor.values_E, DATATYPES[tensor.datatype][0]).tobytes()


def _tensor(name: str, datatype: str, shape: tuple[int, ...], values: Any) -> Tensor:
    if len(values) != math.prod(shape):
        raise _refused(f"input {name!r} has {len(values)} values, and its shape {list(shape)} has {math.prod(shape)}.")
    dtype = DATATYPES[datatype][0]
    if datatype != "FP32" or isinstance(values, np.ndarray):
        return Tensor(name, datatype, shape, np.asarray(values, dtype))
    with np.errstate(over="ignore"):  # what is too large for FP32 becomes infinite, and is for the model to refuse
        return Tensor(name, datatype, shape, np.asarray(values, dtype))


def _known(name: str, datatype: str) -> tuple[Any, Any]:
    if datatype not in DATATYPES:
        raise _refused(f"input {name!r} has the datatype {datatype[:40]!r}, allowed are {', '.join(DATATYPES)}.")
    return DATATYPES[datatype]


def _checked_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) > _MOST_DIMENSIONS or any(length < 0 for length in shape):
        raise _refused(f"input {name!r} has the shape {list(shape)[:9]}, allowed are up to 8 lengths of 0 or more.")
    return tuple(shape)


@cache
def _decoder(datatype: str, depth: int) -> msgspec.json.Decoder[Any]:
    """Return what decodes lists of lists, *depth* of them, of a datatype; making one costs as much as ten uses."""
    kind = DATATYPES[datatype][1]
    for _ in range(depth):
        kind = list.__class_getitem__(kind)
    return msgspec.json.Decoder(kind)


def _flat(name: str, values: list[Any], shape: tuple[int, ...], depth: int) -> list[Any]:
    """Return nested *values* as one list; each level must be as long as the shape says."""
    for length in shape[1:depth]:
        if any(len(part) != length for part in values):
            raise _refused(f"input {name!r} has data that is not nested as its shape {list(shape)} is.")
        values = [value for part in values for value in part]
    return values


def _texts(name: str, content: bytes | memoryview) -> list[str]:
    texts, at = [], 0
    try:
        while at < len(content):
            (length,) = _LENGTH.unpack_from(content, at)
            at += _LENGTH.size + length
            if at > len(content):
                raise ValueError
            texts.append(bytes(content[at - length : at]).decode())
    except (struct.error, ValueError):  # UnicodeDecodeError is one
        raise _refused(
            f"input {name!r} has data that is not BYTES: each element is 4 bytes of length, then that many of UTF-8."
        ) from None
    return texts


def _refused(message: str) -> Refused:
    return Refused(400, "invalid_value", message)
