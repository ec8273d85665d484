"""All items out of the online store, piece by piece, in a thread of the background: one scan for the feed, and for
whoever else wants to know how often each item was shown and chosen.

Where nothing was written since the last one there is no scan: the state's turn says so.

Legend: I items of a piece, W numbers of a row, F features.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from orita.features.online.item_pieces import Ids, ItemPiece, distinct_ids, item_pieces, joined_ids
from orita.features.online.item_rates import ItemRates, rate_slots
from orita.features.online.rows import RequestRows
from orita.features.plan import Plan, Read
from orita.features.schema import FeatureSchema
from orita.features.state.journal import TURN, turn_of
from orita.features.state.layout import VALID_UNTIL, WATERMARK
from orita.features.stores.store import OnlineStore
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.items import AttributeValues, Items, ItemsRead
from orita.serving.feed.kept_attributes import attributes_gone_by
from orita.serving.feed.rules import ExcludeRule, RequireRule
from orita.serving.feed.signals import Signals
from orita.serving.protocols import FeatureReader

__all__ = ["ItemReading", "OnlineItems"]

_NOBODY = ""
"""A user without events; no caller can name it, as ids have a character at least."""

_MICROS_PER_DAY = 86_400e6

_LONGEST_SECONDS = 600.0
"""So long nothing is read where nothing was written: features may fade by time alone."""


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
    """Some items as they were read: ids, what features say, their attributes by name, and how often they were chosen
    and shown, [I, 2]; and until when (microseconds) their rows hold without an event."""

    ids_I: Ids
    popularity_I: npt.NDArray[np.float32]
    created_I: npt.NDArray[np.float64]
    attributes: dict[str, npt.NDArray[np.float64]]
    counts_I2: npt.NDArray[np.float64]
    until: float


@dataclass(frozen=True, slots=True)
class _Held:
    """What was read last, and of which state: its store, its turn, until when it holds, and when that was."""

    items: Items
    store: OnlineStore
    turn: int
    until: float
    read_at: float

    def holds(self, store: OnlineStore, turn: int, at: int) -> bool:
        """Return whether to read it again would give the same."""
        recent = time.monotonic() - self.read_at < _LONGEST_SECONDS
        return self.store is store and self.turn == turn and at < self.until and recent


class ItemReading:
    """Reads all items of a system.

    Args:
        features: where they are.
        config: which attributes the feed goes by, and which items it may show.
        signals: which features say how popular and how old an item is.
        supply: told how often items were shown and chosen after each look, None where that is as before; only where
            the system declares it.

    Raises:
        NotFound: an attribute that the configuration names is not kept, or has no such value.
    """

    def __init__(
        self,
        features: OnlineItems,
        config: FeedConfig,
        signals: Signals,
        supply: Callable[[ItemRates | None], None] = lambda rates: None,
    ) -> None:
        self._features, self._signals = features, signals
        self._config = config
        plan, system = features.plan, features.plan.system
        self._read = next((r for r in plan.reads if _holds_items(r, plan)), None)
        self._attributes = attributes_gone_by(self._read, config, signals)
        names = [*signals.popularity, *([signals.age] if signals.age else [])]
        self._reader = features.reader(system.schema(names)) if names else None
        self._popularity = len(signals.popularity)
        rates = rate_slots(plan)
        self._rates = rates if rates is not None and rates.read == self._read else None
        self._supply = supply
        self._held: _Held | None = None

    @property
    def supplies(self) -> bool:
        """Whether it tells how often items were shown and chosen."""
        return self._rates is not None

    def items(self, at: int, goes_on: Callable[[], bool]) -> Items | None:
        """Return all items as of *at* (microseconds since the Unix epoch); None where *goes_on* said no.

        They are those of the last time where nothing was written since.

        Args:
            at: the present.
            goes_on: called after each piece of items; it may wait, so that requests have the processor.

        Raises:
            OritaError: nothing is published, or the store cannot be read.
        """
        store = self._features.current().store
        turn = turn_of(store.get_many([TURN])[0])
        if self._held is not None and self._held.holds(store, turn, at):
            self._tell(None)
            return self._held.items
        pieces = []
        for piece in self._pieces(store, at):
            pieces.append(piece)
            if not goes_on():
                return None
        read = self._joined(pieces)
        self._tell(pieces)
        if not goes_on():
            return None
        items = Items(read, self._allowed(read), self._signals.topic).prepare()
        until = min((piece.until for piece in pieces), default=np.inf)
        self._held = _Held(items, store, turn, until, time.monotonic())
        return items

    def _tell(self, pieces: Sequence[_Piece] | None) -> None:
        if self._rates is None:
            return
        if pieces is None:
            self._supply(None)
        elif pieces:
            count_I2 = np.concatenate([piece.counts_I2 for piece in pieces])
            self._supply(ItemRates(joined_ids([piece.ids_I for piece in pieces]), count_I2[:, 0], count_I2[:, 1]))

    def _pieces(self, store: OnlineStore, at: int) -> Iterator[_Piece]:
        if self._read is None:
            return
        for piece in item_pieces(self._features.plan, self._read, store):
            yield self._piece(piece, at)

    def _piece(self, piece: ItemPiece, at: int) -> _Piece:
        ids, state_IW = piece.ids_N.tolist(), piece.state_NW
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
        count_I2 = np.zeros((0, 2)) if self._rates is None else self._rates.of(state_IW)
        until = float(state_IW[:, VALID_UNTIL].min())
        return _Piece(piece.ids_N, popularity_I, created_I, attributes, count_I2, until)

    def _joined(self, pieces: Sequence[_Piece]) -> ItemsRead:
        """Return all pieces as one, in the order of ids, each id once."""
        ids_I, first = distinct_ids([piece.ids_I for piece in pieces])

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
