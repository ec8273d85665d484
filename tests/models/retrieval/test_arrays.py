"""Arrays of a package: what NumPy writes is read, and a file that lies about what it holds is refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orita.core.errors import UserError
from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import Expected, read_arrays, write_arrays

EXPECTED: Expected = {"weights": ("f", (None, 2)), "rows": ("i", (None,))}


def _opened(content: bytes) -> Contents:
    return Contents(Path("package"), b"", None, {"model.npz": content}, {"model.npz": len(content)})


def _archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _array(array: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


WEIGHTS, ROWS = _array(np.ones((3, 2), np.float32)), _array(np.arange(4))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Arrays come back as they were, also one in Fortran order and one without rows."""
    for weights_NE in (np.arange(6.0).reshape(3, 2), np.asfortranarray(np.ones((3, 2), np.float32)), np.zeros((0, 2))):
        write_arrays(file := tmp_path / "model.npz", weights=weights_NE, rows=np.arange(4, dtype=np.int32))
        found = read_arrays(_opened(file.read_bytes()), "model.npz", EXPECTED)
        assert np.array_equal(found["weights"], weights_NE)
        assert found["rows"].tolist() == [0, 1, 2, 3]


def _header(change: Callable[[bytes], bytes]) -> bytes:
    return _archive({"weights.npy": change(WEIGHTS), "rows.npy": ROWS})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "cannot be read as arrays"),
        (pickle.dumps([1]), "cannot be read as arrays"),
        (_archive({"weights.npy": WEIGHTS}), "expected rows, weights"),
        (_archive({"weights.npy": WEIGHTS, "rows.npy": ROWS, "code.py": b""}), r"holds .*code\.py"),
        (_archive({"weights.npy": WEIGHTS, "rows.npy": ROWS}, zipfile.ZIP_DEFLATED), "is compressed or encrypted"),
        (_archive({"weights.npy": _array([print, None]), "rows.npy": ROWS}), "no header of plain numbers"),
        (_archive({"weights.npy": _array(["text"]), "rows.npy": ROWS}), "no header of plain numbers"),
        (_archive({"weights.npy": _array(np.ones((3, 2), np.complex64)), "rows.npy": ROWS}), "no header of plain"),
        (_archive({"weights.npy": _array(np.ones((3, 2), ">f4")), "rows.npy": ROWS}), "no header of plain numbers"),
        (_header(lambda c: c.replace(b"(3, 2)", b"(9, 2)")), r"says it has the shape \(9, 2\), and there are 24 bytes"),
        (_header(lambda c: c.replace(b"(3, 2), }  ", b"(999, 2), }")), "no header|and there are 24 bytes"),
        (_header(lambda c: c.replace(b"(3, 2)", b"(-3,2)")), "no header of plain numbers"),
        (_header(lambda c: c.replace(b"'shape'", b"exit() ")), "no header of plain numbers"),
        (_header(lambda c: c.replace(b"False", b"True ")), "no header of plain numbers"),
        (_header(lambda c: c + b"\0"), "and there are 25 bytes of it"),
        (_archive({"weights.npy": _array(np.ones((3, 3), np.float32)), "rows.npy": ROWS}), "holds 'weights' as"),
        (_archive({"weights.npy": _array(np.ones((3, 2), np.int64)), "rows.npy": ROWS}), "holds 'weights' as int64"),
        (_archive({"weights.npy": _array(np.full((3, 2), np.nan)), "rows.npy": ROWS}), "expected finite numbers"),
    ],
)
def test_a_file_that_lies_is_refused(content: bytes, sentence: str) -> None:
    """No archive, other members, compression, objects, headers that claim more than there is: one sentence each."""
    with pytest.raises(UserError, match=sentence) as refused:
        read_arrays(_opened(content), "model.npz", EXPECTED)
    assert "model.npz" in str(refused.value)
    assert str(refused.value).isprintable()
