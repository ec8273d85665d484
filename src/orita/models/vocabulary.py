"""Which row of an embedding an id has: known ids in a sorted list, row 0 for all others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.features.dense_ids import DenseIds
from orita.models.examples import Ids

__all__ = ["Vocabulary"]

_INT64 = np.iinfo(np.int64)
_CANONICAL = re.compile(r"0|-?[1-9][0-9]{0,18}")  # "007" is another id than 7


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The ids a model knows, sorted and distinct: int64, or an object array of str.

    The row of an id is 1 + its position; an id that is not here has row 0.
    """

    ids_V: Ids
    _rows: dict[str, int] = field(init=False, repr=False, compare=False)
    _dense: DenseIds | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_text = {} if self.is_integer else {text: row for row, text in enumerate(self.ids_V.tolist(), start=1)}
        object.__setattr__(self, "_rows", by_text)
        dense = DenseIds.of(self.ids_V.astype(np.int64), np.arange(1, len(self) + 1)) if self.is_integer else None
        object.__setattr__(self, "_dense", dense)

    @classmethod
    def of(cls, ids_N: Ids, *, min_count: int = 1) -> Vocabulary:
        """Return the vocabulary of the ids that occur at least *min_count* times."""
        ids_V, count_V = np.unique(ids_N, return_counts=True)
        kept_V: Any = ids_V[count_V >= min_count]
        return cls(kept_V)

    @property
    def is_integer(self) -> bool:
        """Whether the ids are numbers; else they are text."""
        return self.ids_V.dtype != np.object_

    def __len__(self) -> int:
        return len(self.ids_V)

    def rows(self, ids_N: Any) -> npt.NDArray[np.int64]:
        """Return ``rows_N``, int64, for an array or sequence of ids.

        Number and text mean the same id when they are written alike: 7 and ``"7"``.
        """
        if not self.is_integer:
            get = self._rows.get
            texts = ids_N.tolist() if isinstance(ids_N, np.ndarray) else ids_N
            return np.fromiter((get(i if isinstance(i, str) else str(i), 0) for i in texts), np.int64, len(ids_N))
        numbers_N = np.asarray(ids_N)
        if numbers_N.dtype.kind != "i":
            return self._rows_of_mixed(ids_N)
        if len(self.ids_V) == 0:
            return np.zeros(len(numbers_N), np.int64)
        if self._dense is not None:
            return self._dense.rows(numbers_N)
        at_N = np.searchsorted(self.ids_V, numbers_N)
        at_N[at_N == len(self.ids_V)] = 0
        return np.where(self.ids_V[at_N] == numbers_N, at_N + 1, 0)

    def row(self, identifier: int | str) -> int:
        """Return the row of one id, as `rows` does."""
        if self._dense is not None and type(identifier) is int:
            return self._dense.row(identifier)
        return int(self.rows([identifier])[0])

    def _rows_of_mixed(self, ids_N: Any) -> npt.NDArray[np.int64]:
        numbers = [_integer(i) for i in (ids_N.tolist() if isinstance(ids_N, np.ndarray) else ids_N)]
        known_N = np.array([n is not None for n in numbers], bool)
        rows_N = np.zeros(len(numbers), np.int64)
        rows_N[known_N] = self.rows(np.array([n for n in numbers if n is not None], np.int64))
        return rows_N

    def write(self, file: Path) -> None:
        """Write the ids as the one column ``id`` of a Parquet file, in row order."""
        values = pa.array(self.ids_V, pa.int64() if self.is_integer else pa.string())
        pq.write_table(pa.table({"id": values}), file)

    @classmethod
    def read(cls, file: Path) -> Vocabulary:
        """Read what `write` wrote.

        Raises:
            UserError: the file is not a vocabulary: one sorted column ``id`` of int64 or string.
        """
        try:
            table = pq.read_table(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file} is not a Parquet file of ids: {' '.join(str(error).split())}") from None
        if table.column_names != ["id"] or table.schema.field("id").type not in (pa.int64(), pa.string()):
            raise UserError(
                f"{file} has the columns {table.schema.names}, expected one column 'id' of int64 or string."
            )
        if missing := table.column("id").null_count:
            raise UserError(f"{file} holds {missing} missing id(s); write the package again.")
        ids_V = table.column("id").to_numpy()
        if len(ids_V) > 1 and not np.all(ids_V[1:] > ids_V[:-1]):
            raise UserError(f"{file} holds ids that are not sorted and distinct; write the package again.")
        return cls(ids_V)


def _integer(value: object) -> int | None:
    if isinstance(value, str):
        value = int(value) if _CANONICAL.fullmatch(value) else None
    if isinstance(value, int) and not isinstance(value, bool) and _INT64.min <= value <= _INT64.max:
        return value
    return None
