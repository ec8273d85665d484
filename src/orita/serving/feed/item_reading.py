"""All items out of the online store, piece by piece, in a thread of the background.

Legend: I items of a piece, W numbers of a row, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound, UserError, closest
from orita.features.online.item_pieces import item_pieces
from orita.features.online.rows import RequestRows
from orita.features.plan import AttributeSlots, Plan, Read
from orita.features.schema import FeatureSchema
from orita.features.state.layout import WATERMARK
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.items import AttributeValues, Items, ItemsRead
from orita.serving.feed.rules import ExcludeRule, RequireRule
from orita.serving.feed.signals import Signals
from orita.serving.protocols import FeatureReader

__all__ = ["ItemReading", "OnlineItems"]

_NOBODY = ""
"""A user without events; no caller can name it, as ids have a character at least."""

_MICROS_PER_DAY = 86_400e6


@runtime_checkable
class OnlineItems(Protocol):
    """Features of which all items are known; `orita.features.online.following.OnlineFeatures` is one."""

    @property
    def plan(self) -> Plan:
        """What is kept."""
        ...

    def current(self) -> RequestRows:
        """Return how the rows of the generation in use are read."""
        ...

    def reader(self, schema: FeatureSchema, /) -> FeatureReader:
        """Return a reader for *schema*."""
        ...


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some items as they were read: ids, what features say, and their attributes by name."""

    ids: list[int | str]
    popularity_I: npt.NDArray[np.float32]
    created_I: npt.NDArray[np.float64]
    attributes: dict[str, npt.NDArray[np.float64]]


class ItemReading:
    """Reads all items of a system.

    Args:
        features: where they are.
        config: which attributes the feed goes by, and which items it may show.
        signals: which features say how popular and how old an item is.

    Raises:
        NotFound: an attribute that the configuration names is not kept, or has no such value.
    """

    def __init__(self, features: OnlineItems, config: FeedConfig, signals: Signals) -> None:
        self._features, self._signals = features, signals
        self._config = config
        plan, system = features.plan, features.plan.system
        self._read = next((r for r in plan.reads if _holds_items(r, plan)), None)
        self._attributes = _attributes(self._read, config, signals)
        names = [*signals.popularity, *([signals.age] if signals.age else [])]
        self._reader = features.reader(system.schema(names)) if names else None
        self._popularity = len(signals.popularity)

    def items(self, at: int, goes_on: Callable[[], bool]) -> Items | None:
        """Return all items as of *at* (microseconds since the Unix epoch); None where *goes_on* said no.

        Args:
            at: the present.
            goes_on: called after each piece of items; it may wait, so that requests have the processor.

        Raises:
            OritaError: nothing is published, or the store cannot be read.
        """
        rows = self._features.current()
        pieces = []
        for piece in self._pieces(rows, at):
            pieces.append(piece)
            if not goes_on():
                return None
        read = self._joined(pieces)
        return Items(read, self._allowed(read), self._signals.topic).prepare()

    def _pieces(self, rows: RequestRows, at: int) -> Iterator[_Piece]:
        if self._read is None:
            return
        for ids, state_IW in item_pieces(self._features.plan, self._read, rows.store):
            yield self._piece(ids, state_IW, at)

    def _piece(self, ids: list[int | str], state_IW: npt.NDArray[np.float64], at: int) -> _Piece:
        latest = state_IW[:, WATERMARK]
        if not np.isnan(latest).all():
            at = max(at, int(np.nanmax(latest)) + 1)  # a clock of another machine may be ahead
        popularity_I, created_I = np.zeros(len(ids), np.float32), np.full(len(ids), np.nan)
        if self._reader is not None:
            x_IF = self._reader.matrix(_NOBODY, ids, {}, at)
            if self._popularity:
                popularity_I = np.nan_to_num(x_IF[:, : self._popularity], posinf=0).prod(axis=1)
            if self._signals.age:
                created_I = at - x_IF[:, -1].astype(np.float64) * _MICROS_PER_DAY
        held = self._attributes
        attributes = {name: state_IW[:, s.start : s.start + s.width].copy() for name, s in held.items()}
        return _Piece(ids, popularity_I, created_I, attributes)

    def _joined(self, pieces: Sequence[_Piece]) -> ItemsRead:
        """Return all pieces as one, in the order of ids, each id once."""
        ids = [item for piece in pieces for item in piece.ids]
        numbers = all(isinstance(item, int) for item in ids)
        given: Any = np.array(ids, np.int64) if numbers else np.array([str(item) for item in ids], np.object_)
        ids_I, first = np.unique(given, return_index=True)

        def joined(parts: list[npt.NDArray[Any]], empty: tuple[int, ...] = (0,)) -> npt.NDArray[Any]:
            return np.concatenate([np.zeros(empty), *parts])[first]

        attributes = {}
        for name, slots in self._attributes.items():
            value_IV = joined([piece.attributes[name] for piece in pieces], (0, slots.width))
            values = slots.attribute.values
            many = slots.attribute.many
            made = AttributeValues.several(values, value_IV) if many else AttributeValues.single(values, value_IV[:, 0])
            attributes[name] = made
        popularity_I = joined([piece.popularity_I for piece in pieces]).astype(np.float32)
        return ItemsRead(ids_I, popularity_I, joined([piece.created_I for piece in pieces]), attributes)

    def _allowed(self, read: ItemsRead) -> npt.NDArray[np.bool_]:
        rows = np.arange(len(read.ids_I) + 1)
        allowed_R = rows > 0
        for rule in self._config.rules:
            if isinstance(rule, ExcludeRule | RequireRule):
                there_R = read.attributes[rule.attribute].among(rule.values, rows)
                allowed_R &= there_R if isinstance(rule, RequireRule) else ~there_R
        return allowed_R


def _holds_items(read: Read, plan: Plan) -> bool:
    return read.entities == (plan.system.item,) and read.record.source == plan.system.source


def _attributes(read: Read | None, config: FeedConfig, signals: Signals) -> Mapping[str, AttributeSlots]:
    """Return where each attribute stands that the feed goes by."""
    held = {slots.attribute.column.name: slots for slots in (read.record.attributes if read else ())}
    known = {name: slots for name, slots in held.items() if slots.attribute.values}
    wanted = {}
    for rule in config.rules:
        place = f"serving.feed.rules ({rule.kind})"
        wanted[rule.attribute] = _slots(known, rule.attribute, place)
        for value in () if rule.kind == "cap" else rule.values:
            _check_value(wanted[rule.attribute].attribute.values, value, f"{place} of {rule.attribute!r}")
    for name in config.diversity.attributes:
        wanted[name] = _slots(known, name, "serving.feed.diversity.attributes")
    if signals.topic is not None and signals.topic in known:
        wanted[signals.topic] = known[signals.topic]
    return wanted


def _slots(known: Mapping[str, AttributeSlots], name: str, place: str) -> AttributeSlots:
    if name not in known:
        hint = closest(name, known) if known else "No feature reads any."
        raise NotFound(f"{place} names the attribute {name!r}: no category of the item that a feature reads. {hint}")
    return known[name]


def _check_value(values: Sequence[str], value: str, place: str) -> None:
    if value not in values:
        raise UserError(f"{place} names the value {value!r}, which is not declared. {closest(value, values)}")
