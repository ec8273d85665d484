"""Named arrays as an ``.npz`` file: NumPy's format, read so that nothing in it is believed before it is checked.

An ``.npz`` file is a ZIP of ``.npy`` files, each a header and the bytes of an array. Here a member must be stored as it
is, so that a small file cannot become a large one, and its header must claim as many bytes as there are.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.package.manifest import Contents

__all__ = ["Expected", "read_arrays", "write_arrays"]

Expected = Mapping[str, tuple[str, tuple[int | None, ...]]]
"""For each name the kind of number, ``i`` or ``f``, and the shape; None: any size."""

# A regular expression, as NumPy evaluates the header as Python's literals.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)\{'descr': '(?P<type><[fi][48])', 'fortran_order': False, "
    rb"'shape': \((?P<shape>(?:[0-9]{1,18},? ?){0,4})\), \} *\n",
    re.DOTALL,
)
_FIXED = 10  # bytes before the header proper
_MOST_MEMBERS = 64


def write_arrays(file: Path, **arrays: npt.NDArray[Any]) -> None:
    """Write named arrays as an ``.npz`` file."""
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    np.savez(file, allow_pickle=False, **ordered)


def read_arrays(contents: Contents, name: str, expected: Expected) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an ``.npz`` file of a package; read-only, nothing in it is executed.

    Args:
        contents: the package.
        name: the file, which `write_arrays` wrote.
        expected: what must be in it, and nothing else.

    Raises:
        UserError: the file is damaged, or an array is missing, too many, of another kind or shape, or not finite.
    """
    where = contents.where(name)
    try:
        with zipfile.ZipFile(io.BytesIO(contents.content(name))) as members:
            _check_members(members, set(expected))
            arrays = {key: _array(members.read(f"{key}.npy")) for key in expected}
    except (ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{where} cannot be read as arrays ({ascii(error)[:200]}); export it again.") from None
    for key, (kind, shape) in expected.items():
        array = arrays[key]
        same = len(array.shape) == len(shape) and all(w in (None, s) for w, s in zip(shape, array.shape, strict=True))
        if array.dtype.kind != kind or not same or not _finite(array):
            raise UserError(
                f"{where} holds {key!r} as {array.dtype} {array.shape}, expected finite numbers of kind {kind!r} "
                f"and the shape {shape}; export it again."
            )
    return arrays


def _check_members(members: zipfile.ZipFile, names: set[str]) -> None:
    found = members.infolist()
    if len(found) > _MOST_MEMBERS or sorted(m.filename for m in found) != sorted(f"{name}.npy" for name in names):
        listed = ", ".join(ascii(member.filename)[:40] for member in found[:8])
        raise ValueError(f"it holds {listed or 'nothing'}, expected {', '.join(sorted(names))}")
    for member in found:
        if (
            member.compress_type != zipfile.ZIP_STORED
            or member.flag_bits & 1
            or member.file_size != member.compress_size
        ):
            raise ValueError(f"{member.filename} is compressed or encrypted")


def _array(content: bytes) -> npt.NDArray[Any]:
    """Return the array in the bytes of an ``.npy`` file, whose header has the one spelling that NumPy gives it."""
    header = _HEADER.match(content)
    if header is None or header.end() != _FIXED + int.from_bytes(header["length"], "little"):
        raise ValueError("an array has no header of plain numbers in C order, in version 1.0 of the format")
    dtype = np.dtype(header["type"].decode())
    shape = tuple(int(size) for size in header["shape"].split(b",") if size.strip())
    there = len(content) - header.end()
    if math.prod(shape) * dtype.itemsize != there:
        raise ValueError(f"an array says it has the shape {shape}, and there are {there:,} bytes of it")
    return np.frombuffer(content, dtype, math.prod(shape), header.end()).reshape(shape)


def _finite(array: npt.NDArray[Any]) -> bool:
    return bool(np.isfinite(array).all())
