"""A request and its keys: by which ids it reads each record.

Legend: N items of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import index
from struct import Struct
from typing import Any, SupportsIndex, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.errors import UserError
from orita.core.whole_ids import whole_id
from orita.features.declarations import Entity
from orita.features.id_list import numbers_of
from orita.features.keys import encode_id, id_kind, integer_bytes, keys_behind
from orita.features.plan import Plan
from orita.features.state.layout import row_prefix

__all__ = ["Id", "Items", "RequestKeys", "hashable"]

Id = int | str | tuple[int | str, ...] | list[int | str]
"""An id: of an entity with a key of several columns, a part for each; JSON has lists for tuples."""

Integers = npt.NDArray[np.int64]

_NUMBER = ord("i")  # how the bytes of a number begin
_HALF = 1 << 63  # what is added to a number, so that its bytes sort as it does
_NOBODY = b"\xfe"
"""No id begins so: what stands in keys for one that is missing, which no record has."""


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a request.

    Attributes:
        ids: their ids, N of them, each of which can be the key of a mapping.
        number_N: the same as numbers, None where some are texts.
        encoded: the bytes of each; without, those of the numbers.
    """

    ids: Sequence[Id]
    number_N: Integers | None
    encoded: Sequence[bytes] | None = None

    def keys(self, head: bytes, tail: bytes = b"") -> list[bytes]:
        """Return the key of each, between what is before and behind it."""
        if self.encoded is not None:
            return [head + each + tail for each in self.encoded]
        assert self.number_N is not None
        keys = keys_behind(head, [integer_bytes(self.number_N)])
        return [key + tail for key in keys] if tail else keys

    def among(self, head: bytes, keys: Sequence[bytes]) -> dict[int, bytes]:
        """Return which items are there, by position, with their keys: *keys*, in order, are *head* and an item each."""
        start = len(head)
        if not keys:
            return {}
        by_item: dict[Any, bytes]
        if self.number_N is not None and keys[0][start] == keys[-1][start] == _NUMBER:
            # Numbers only, as keys are in order. For some dozens Python unpacks quicker than NumPy.
            numbers = _numbers_in(start + 1, len(keys)).unpack(b"".join(keys))
            by_item = {number - _HALF: key for number, key in zip(numbers, keys, strict=True)}
            wanted: Sequence[Any] = self.ids
        else:
            by_item = {key[start:]: key for key in keys}
            wanted = self.keys(b"") if self.encoded is None else self.encoded
        if by_item.keys().isdisjoint(wanted):
            return {}
        return {n: by_item[each] for n, each in enumerate(wanted) if each in by_item}

    def at(self, position_M: Sequence[int]) -> Items:
        """Return some of them."""
        number_N, encoded = self.number_N, self.encoded
        return Items(
            [self.ids[m] for m in position_M],
            None if number_N is None else number_N[position_M],
            None if encoded is None else [encoded[m] for m in position_M],
        )


class RequestKeys:
    """How requests of a system find what they read.

    Args:
        plan: the plan.
        string_ids: which ids are texts: '12' and 12 are the same user, in the type that the store has.
    """

    def __init__(self, plan: Plan, string_ids: Collection[str]) -> None:
        system = plan.system
        self._user = _encoder(system.user, string_ids)
        self._items = _each(system.item, string_ids)
        others = {e for read in plan.reads for e in read.entities if e not in (system.user, system.item)}
        self._others = {entity: (entity.columns, _encoder(entity, string_ids)) for entity in others}
        self._reads = [(row_prefix(plan, read.record), *_around(read.entities, system.item)) for read in plan.reads]
        self._system = system
        self._item_texts = [id_kind(system.item, part) in string_ids for part in range(len(system.item.columns))]

    def items(self, item_ids: Sequence[Id]) -> Items:
        """Return the items with these ids.

        Raises:
            UserError: an id is none.
        """
        return self._items(item_ids)

    def item_columns(self, item_ids: Sequence[Id]) -> dict[str, pa.Array]:
        """Return the ids of items as columns, a part each: as they were given, those of mixed kinds as the store's."""
        names = self._system.item.columns
        parts = [list(item_ids)] if len(names) == 1 else [[each[i] for each in item_ids] for i in range(len(names))]  # type: ignore[index]
        return {name: _column(part, text=text) for name, part, text in zip(names, parts, self._item_texts, strict=True)}

    def of(
        self, user_id: Id, items: Items, alone: Items, context: Mapping[str, object], under: int | None = None
    ) -> list[list[bytes]]:
        """Return for each read of the plan its keys: as many as *items* where these are part of them, otherwise one.

        Args:
            user_id: who asks.
            items: what is asked about.
            alone: the same where an item alone is the key; those that are in memory may be left out.
            context: what the request brings; the ids of other entities are in it.
            under: position of a read for which one key will do: how the keys of all its items begin.

        Raises:
            UserError: an id is none.
        """
        known = {entity: self._other(columns, encode, context) for entity, (columns, encode) in self._others.items()}
        known[self._system.user] = self._user(user_id)
        keys = []
        for at, (prefix, before, with_items, after) in enumerate(self._reads):
            head = prefix + b"".join([known[entity] or _NOBODY for entity in before])
            tail = b"".join([known[entity] or _NOBODY for entity in after])
            asked = items if before or after else alone
            keys.append(asked.keys(head, tail) if with_items and at != under else [head])
        return keys

    @staticmethod
    def _other(columns: Sequence[str], encode: Callable[[Id], bytes], context: Mapping[str, object]) -> bytes | None:
        """Return the bytes of an id that the request's context brings, None where it does not."""
        parts = [context.get(column) for column in columns]
        if None in parts:
            return None
        for column, part in zip(columns, parts, strict=True):
            if not (isinstance(part, str) or _is_whole(part)):
                raise UserError(f"context {column!r} is {part!r}: it is an id, so a whole number or text.")
        return encode(tuple(parts) if len(parts) > 1 else parts[0])  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _numbers_in(start: int, keys: int) -> Struct:
    """Return what unpacks the numbers of so many keys, one behind the other, each after *start* other bytes."""
    return Struct(">" + f"{start}xQ" * keys)


def _around(entities: tuple[Entity, ...], item: Entity) -> tuple[tuple[Entity, ...], bool, tuple[Entity, ...]]:
    """Return the entities before the item, whether it is among them, and those behind it."""
    if item not in entities:
        return entities, False, ()
    position = entities.index(item)
    return entities[:position], True, entities[position + 1 :]


def _each(entity: Entity, string_ids: Collection[str]) -> Callable[[Sequence[Id]], Items]:
    """Return a function from ids of items to them as keys want them."""
    encode = _encoder(entity, string_ids)

    def items(ids: Sequence[Id]) -> Items:
        # Numbers among numbers, which most requests bring, are encoded as one array.
        number_N = numbers_of(ids) if encode is _number else None
        if number_N is not None:
            return Items(ids, number_N)
        return Items([hashable(each) for each in ids], None, [encode(each) for each in ids])

    return items


def _encoder(entity: Entity, string_ids: Collection[str]) -> Callable[[Id], bytes]:
    """Return a function from an id to its bytes."""
    texts = [id_kind(entity, position) in string_ids for position in range(len(entity.columns))]
    if len(texts) == 1:
        return _text if texts[0] else _number
    encoders = [_text if text else _number for text in texts]

    def encode(value: Id) -> bytes:
        if not isinstance(value, (tuple, list)) or len(value) != len(encoders):
            raise UserError(
                f"an id of {entity.name!r} has {len(encoders)} parts, {', '.join(entity.columns)}; got {value!r}."
            )
        return b"".join([encode_part(part) for encode_part, part in zip(encoders, value, strict=True)])

    return encode


def _column(ids: Sequence[object], *, text: bool) -> pa.Array:
    if len({isinstance(each, str) for each in ids}) < 2:
        return pa.array(ids)
    texts = [str(each) for each in ids]
    numbers = [whole_id(each) for each in texts]
    return pa.array(texts if text or None in numbers else numbers)


def hashable(value: Id) -> Id:
    """Return an id of several parts as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _text(value: Id) -> bytes:
    return encode_id(value if isinstance(value, str) else str(_whole(value)))


def _number(value: Id) -> bytes:
    if not isinstance(value, str):
        return encode_id(_whole(value))
    number = whole_id(value)
    return encode_id(value if number is None else number)


def _whole(value: object) -> int:
    """Return an id that is no text as a number, of NumPy too; a float is none, even one without a fraction."""
    if type(value) is int:
        return value
    if not _is_whole(value):
        raise UserError(f"the id {value!r} is none: ids are whole numbers or texts.")
    return index(cast("SupportsIndex", value))


def _is_whole(value: object) -> bool:
    """Return whether a value is a whole number; asking `isinstance` for the protocol takes 90 µs."""
    return hasattr(value, "__index__") and not isinstance(value, (bool, np.bool_))
