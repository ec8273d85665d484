"""The trained parameters by name (``weights.safetensors``): to look at, or to train on from; scoring does not need
them.

The format of the library safetensors: the length of a header, the header in JSON, the tensors. Here a
header is checked before anything believes it: every tensor within the file, one after the other, none with more values
than bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.extras import require
from orita.models.package.files import WEIGHTS_FILE
from orita.models.package.manifest import read_contents
from orita.models.package.strict_json import read_object

__all__ = ["HasWeights", "check_weights", "read_tensors", "read_weights", "write_weights"]

_REMARKS = "__metadata__"  # stands in the header beside the tensors, and names none
_LENGTH_BYTES, _LONGEST_HEADER = 8, 2**22 - 8  # what `Contents` keeps of the file
_KINDS: Mapping[str, npt.DTypeLike] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U32": np.uint32,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


@runtime_checkable
class HasWeights(Protocol):
    """A ranker whose parameters have names; it needs nothing else for a package to keep them.

    A ranker is one by having the method, so its name is one that nothing else has by chance: an attribute ``weights``,
    which many models have, is their own.
    """

    def named_weights(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the trained parameters by name: arrays of numbers or flags, of any shape."""
        ...


def write_weights(file: Path, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write *weights*; of an array that is a view, its values.

    Raises:
        UserError: they are not arrays by name, or an array is of what the format has no kind for; nothing is written.
    """
    if not isinstance(weights, Mapping):
        raise UserError(f"named_weights gave a {type(weights).__name__}, expected arrays by name: a dict.")
    arrays = {name: np.asarray(array, order="C") for name, array in weights.items()}
    for name, array in arrays.items():
        if not isinstance(name, str) or name == _REMARKS:
            raise UserError(f"named_weights gave the name {name!r}; give a text, and not {_REMARKS!r}.")
        if array.dtype.newbyteorder("=") not in _KINDS.values():
            kinds = ", ".join(np.dtype(kind).name for kind in _KINDS.values())
            raise UserError(f"named_weights gave {name!r} as {array.dtype}, allowed are {kinds}; convert it.")
    file.write_bytes(require("safetensors.numpy", extra="train").save(arrays))


def read_weights(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the trained parameters in the package at *folder*, by name; read-only.

    Raises:
        UserError: the package is changed, has no weights, or a tensor's values are not in the file.
    """
    contents = read_contents(folder, with_weights=True)
    where = contents.where(WEIGHTS_FILE)
    if WEIGHTS_FILE not in contents.files:
        raise UserError(f"{where} is missing: the model has no named parameters (such as trees), or keeps none.")
    return read_tensors(contents.files[WEIGHTS_FILE], where)


def read_tensors(content: bytes, where: str) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a file of tensors by name; read-only views of *content*.

    Raises:
        UserError: its header says what is not so.
    """
    tensors = check_weights(content, len(content), where)
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    return {name: _array(content, start, **tensor) for name, tensor in tensors.items()}


def _array(content: bytes, start: int, dtype: str, shape: list[int], data_offsets: tuple[int, int]) -> npt.NDArray[Any]:
    return np.frombuffer(content, _KINDS[dtype], math.prod(shape), start + data_offsets[0]).reshape(shape)


def check_weights(head: bytes, size: int, where: str) -> dict[str, Any]:
    """Return the tensors that a file of *size* bytes, which begins with *head*, says that it has.

    Raises:
        UserError: it says what is not so.
    """
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    if len(head) < _LENGTH_BYTES or length > min(size - _LENGTH_BYTES, _LONGEST_HEADER):
        raise UserError(f"{where} is not a file of tensors: its header would be longer than it may be.")
    header = read_object(head[_LENGTH_BYTES : _LENGTH_BYTES + length], f"the header of {where}")
    header.pop(_REMARKS, None)
    at = 0
    for name, tensor in sorted(header.items(), key=_offset):
        at = _end(name, tensor, at, where)
    if at != size - _LENGTH_BYTES - length:
        raise UserError(
            f"{where} is not a file of tensors: it holds more or fewer bytes than the {at:,} of its header."
        )
    return header


def _offset(entry: tuple[str, Any]) -> int:
    match entry[1]:
        case {"data_offsets": [int(first), int(_)]}:
            return first
        case _:
            return -1  # refused in a moment, with its name


def _end(name: str, tensor: Any, begins: int, where: str) -> int:
    """Return where a tensor ends that has to begin at *begins*."""
    match tensor:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(first), int(last)]} if (
            kind in _KINDS and len(tensor) == 3 and len(shape) <= 16 and all(type(n) is int and n >= 0 for n in shape)
        ):
            if first == begins and last - first == math.prod(shape) * np.dtype(_KINDS[kind]).itemsize:
                return last
    raise UserError(f"{where} is not a file of tensors: what its header says of {name!a} cannot be.")
