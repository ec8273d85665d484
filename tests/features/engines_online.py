"""The online engine, as the parity tests ask it: over what was published, or what events were streamed into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from tests.features.engines_history import registered
from tests.features.oracle_events import Event
from tests.features.scenario_tables import event_table, sources_of
from tests.features.scenarios import Scenario

from orita.features.batch import event_batch
from orita.features.frame import attribute_tables
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.publish import publish
from orita.features.keys import id_kind
from orita.features.online.following import OnlineFeatures
from orita.features.online.reader import OnlineReader
from orita.features.online.rows import RequestRows
from orita.features.plan import Plan
from orita.features.state.attributes import attribute_changes, with_attributes
from orita.features.state.journal import noted
from orita.features.state.update import state_changes
from orita.features.stores.store import Change, OnlineStore

__all__ = ["Memory", "Streamed", "answers", "published"]


class Memory:
    """What of an online store is read, and changed, in memory."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore`."""
        return [self.records.get(key) for key in keys]

    def get_with(
        self, keys: Sequence[bytes], head: bytes, most: int, chosen: Callable[[list[bytes]], Sequence[bytes]]
    ) -> tuple[list[bytes | None], list[bytes | None] | None]:
        """See `OrderedStore`."""
        under = sorted(key for key in self.records if key.startswith(head))
        return self.get_many(keys), self.get_many(chosen(under)) if len(under) <= most else None

    def change(self, changes: Iterable[Change]) -> None:
        """Make *changes*."""
        for key, record in changes:
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record


class _Held:
    """State in a store that is given."""

    def __init__(self, plan: Plan, store: Memory, *, text_ids: bool) -> None:
        self.plan = plan
        kinds = {id_kind(e, i) for read in plan.reads for e in read.entities for i in range(len(e.columns))}
        self._rows = RequestRows(plan, cast("OnlineStore", store), kinds if text_ids else (), prepared=True)

    def current(self) -> RequestRows:
        """See `Published`."""
        return self._rows


class Streamed:
    """State that events are counted into, batch by batch.

    Args:
        plan: what is kept.
        scenario: whose attributes it has from the beginning.
    """

    def __init__(self, plan: Plan, scenario: Scenario) -> None:
        self.plan, self.scenario, self.store = plan, scenario, Memory()
        self._held = _Held(plan, self.store, text_ids=scenario.text_ids)  # it has items in memory from now on
        with registered(plan, scenario) as (connection, relations):
            for name, table in attribute_tables(plan, connection, relations).items():
                entity = next(a.entity for a in plan.attributes if a.entity.name == name)
                self.store.change(attribute_changes(plan, self.store.get_many, entity, table))

    def count(self, events: Mapping[str, Iterable[Event]]) -> None:
        """Count a batch of each source, whose events were not counted before."""
        batches = []
        for name, source in sources_of(self.plan).items():
            table = event_table(source, events.get(name, ()), self.scenario)
            told = with_attributes(self.plan, source, table, self.store.get_many)
            batches.append(event_batch(source, told, self.plan.aggregates, self.plan.attributes))
        changes = state_changes(self.plan, self.store.get_many, batches)
        self.store.change([*changes, *noted(self.plan, self.store.get_many, changes)])

    def reader(self) -> OnlineReader:
        """Return a reader of all features."""
        return OnlineReader(self._held, self.plan.system.schema())


def published(plan: Plan, scenario: Scenario, folder: Path, known_by: int | None = None) -> OnlineReader:
    """Publish the scenario's events and return a reader of all features."""
    generations = FolderGenerations(folder)
    with registered(plan, scenario) as (connection, relations):
        publish(plan, connection, relations, generations, tables={}, known_by=known_by)
    return OnlineFeatures(plan, generations).reader(plan.system.schema())


def answers(
    reader: OnlineReader, plan: Plan, row: Event, items: Sequence[Any], at: int
) -> Iterator[tuple[Event, dict[str, float]]]:
    """Ask for a row with each of *items* at once; yield each row and its features."""
    (user,), (item,) = plan.system.user.columns, plan.system.item.columns
    context = {name: value for name, value in row.items() if name != user}
    x_NF = reader.values(row[user], items, context, at)
    for each, values in zip(items, np.asarray(x_NF).tolist(), strict=True):
        yield {**row, item: each}, dict(zip(reader.schema.names, values, strict=True))
