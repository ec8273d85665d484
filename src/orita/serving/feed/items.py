"""What a feed knows of all items at once: ids, popularity, age, attributes, and who comes first by each.

It is made off the request's path and never changed: a request sees one of these.

Legend: R rows: row 0 stands for an item that is not known, row 1 + i for item i; C candidates, given as rows; V values
of an attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from orita.models.examples import Ids
from orita.models.vocabulary import Vocabulary

__all__ = ["AttributeValues", "Items", "ItemsRead"]

Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class AttributeValues:
    """The values that items have of one attribute.

    Attributes:
        values: the V declared ones, in the order of their codes.
        code_R: int32, the code of each row's value, −1 without one; None where an item may have several.
        flag_RV: then, which ones.
    """

    values: tuple[str, ...]
    code_R: npt.NDArray[np.int32] | None
    flag_RV: Flags | None = None

    @classmethod
    def single(cls, values: Sequence[str], code_I: npt.NDArray[np.floating]) -> AttributeValues:
        """Return the values of items with one each, by code, NaN without one."""
        code_R = np.full(len(code_I) + 1, _UNKNOWN, np.int32)
        code_R[1:] = np.where(np.isnan(code_I), _UNKNOWN, code_I)
        return cls(tuple(values), code_R)

    @classmethod
    def several(cls, values: Sequence[str], flag_IV: npt.NDArray[np.floating]) -> AttributeValues:
        """Return the values of items with any number each, as flags above 0."""
        return cls(tuple(values), None, np.pad(flag_IV > 0, ((1, 0), (0, 0))))

    def flags(self, row_C: Rows) -> Floats:
        """Return ``flag_CV``, 1 for each value that a row has."""
        if self.flag_RV is not None:
            return self.flag_RV[row_C].astype(np.float32)
        assert self.code_R is not None
        return np.asarray(self.code_R[row_C, None] == np.arange(len(self.values)), np.float32)

    def among(self, wanted: Iterable[str], row_C: Rows) -> Flags:
        """Return ``there_C``: whether a row has one of the values *wanted*."""
        codes = [self.values.index(value) for value in wanted]
        if self.flag_RV is not None:
            return np.asarray(self.flag_RV[row_C[:, None], codes].any(axis=1))
        assert self.code_R is not None
        return np.isin(self.code_R[row_C], codes)


@dataclass(frozen=True, slots=True)
class ItemsRead:
    """What was read of all items, I of them; ids distinct and in order.

    Attributes:
        ids_I: their ids.
        popularity_I: float32, at least 0.
        created_I: float64 microseconds since the Unix epoch, NaN where that is not known.
        attributes: what they have of each attribute, by name.
    """

    ids_I: Ids
    popularity_I: Floats
    created_I: npt.NDArray[np.float64]
    attributes: Mapping[str, AttributeValues]


class Items:
    """All items, for requests to choose from.

    Args:
        read: what was read of them.
        allowed_R: which rows may be shown.
        topic: the attribute that `topics` parts them by; None: nothing does.

    Attributes:
        attributes: what they have of each attribute, by name.
        allowed_R: as given.
    """

    def __init__(self, read: ItemsRead, allowed_R: Flags, topic: str | None = None) -> None:
        self.attributes = read.attributes
        self.allowed_R = allowed_R
        self._vocabulary = Vocabulary(read.ids_I)
        self._popularity_I, self._created_I = read.popularity_I, read.created_I
        self._topic = None if topic is None else read.attributes.get(topic)

    def __len__(self) -> int:
        return len(self._vocabulary)

    def rows(self, ids: Ids | Sequence[int | str]) -> Rows:
        """Return the row of each id, 0 of those that are not known."""
        return self._vocabulary.rows(ids)

    def ids(self, row_C: Rows) -> list[int | str]:
        """Return the ids of rows, none of which is 0."""
        found: list[int | str] = self._vocabulary.ids_V[row_C - 1].tolist()
        return found

    def ages(self, row_C: Rows, at: int) -> Floats:
        """Return how old items are at *at* (microseconds since the Unix epoch), in days, NaN where that is unknown."""
        age_C = np.maximum(at - self._created_I[row_C - 1], 0) / 86_400e6
        return np.where(row_C > 0, age_C, np.nan).astype(np.float32)

    @cached_property
    def popular(self) -> Rows:
        """The rows that may be shown, the most popular first."""
        return self._shown(np.argsort(-self._popularity_I, kind="stable"))

    @cached_property
    def newest(self) -> Rows:
        """The rows that may be shown whose age is known, the newest first."""
        order = np.argsort(-self._created_I, kind="stable")  # NaN comes last
        return self._shown(order[: np.count_nonzero(~np.isnan(self._created_I))])

    @cached_property
    def topics(self) -> tuple[Rows, ...]:
        """For each value of the topic that has any, the rows with it that may be shown, the most popular first."""
        if self._topic is None or self._topic.code_R is None:
            return ()
        code = self._topic.code_R[self.popular]
        order = np.argsort(code, kind="stable")
        bounds = np.searchsorted(code[order], np.arange(len(self._topic.values) + 1))
        parts = [self.popular[order[low:high]] for low, high in pairwise(bounds)]
        return tuple(part for part in parts if len(part))

    @cached_property
    def topic_ids(self) -> list[int | str]:
        """For each of `topics`, the id of an item that has it: what a user thinks of the topic is read by it."""
        return self.ids(np.array([rows[0] for rows in self.topics], np.intp)) if self.topics else []

    def prepare(self) -> Items:
        """Compute what requests ask for, so that none has to wait for it; return self."""
        _ = self.popular, self.newest, self.topic_ids
        return self

    def _shown(self, order_I: Rows) -> Rows:
        row_I = order_I + 1
        return np.asarray(row_I[self.allowed_R[row_I]], np.intp)
