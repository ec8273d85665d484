"""The online features of one system: which generation is read, and when the next one is taken up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from orita.features.generations.generation import Generation, NotPublished
from orita.features.generations.generations import Generations
from orita.features.online.item_rates import ItemRates, read_item_rates
from orita.features.online.reader import OnlineReader, Whom, empty_rows
from orita.features.online.rows import RequestRows
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema
from orita.features.state.id_kinds import learned_kinds
from orita.features.stores.store import OnlineStore

__all__ = ["OnlineFeatures", "RefusingFeatures"]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A generation, how its rows are read, and the kinds of ids of which nobody knows yet whether they are texts."""

    generation: Generation
    rows: RequestRows
    unknown: frozenset[str]


class OnlineFeatures:
    """The online store of one system, following its newest generation.

    Args:
        plan: the system's plan.
        generations: of the system's online state; closed with this.
        ahead: whether to read items into memory before a generation is taken up, as servers do; see `RequestRows`.
    """

    def __init__(self, plan: Plan, generations: Generations, *, ahead: bool = False) -> None:
        self.plan = plan
        self._ahead = ahead
        self._generations = generations
        self._open: _Opened | None = None
        self._retired: _Opened | None = None
        self._refreshing = threading.Lock()  # a server's follower and its feature store both refresh

    def refresh(self) -> bool:
        """Switch to the newest generation; return whether there was a newer one. Not on the request's path.

        Raises:
            NotPublished: nothing was published yet, or it was published for other declarations.
            OritaError: the store cannot be reached; what was read before goes on being read.
        """
        with self._refreshing:
            return self._refreshed()

    def _refreshed(self) -> bool:
        newest = self._generations.current()
        if newest is None:
            raise NotPublished(
                f"system {self.plan.system.name!r} has no online features yet: run 'orita run etl' first."
            )
        if self._open and self._open.generation.name == newest.name:
            return self._learned(self._open)
        if newest.plan != self.plan.version:
            raise NotPublished(
                f"the online features of {self.plan.system.name!r} were published for other declarations "
                f"({newest.plan}, now {self.plan.version}): run 'orita run etl' to publish them anew."
            )
        if self._retired and self._retired.generation.name == newest.name:  # LMDB opens a store once in a process
            self._open, self._retired = self._retired, self._open
            return True
        store = self._generations.reading(newest.name)
        opened = self._opened(newest, store)
        # A request may still read the one before; the one before that has had a whole generation's time to finish.
        if self._retired:
            self._retired.rows.store.close()
        self._retired, self._open = self._open, opened
        return True

    def _learned(self, opened: _Opened) -> bool:
        """Take up what the stream has learned of ids of which none was published; return whether there was any."""
        store = opened.rows.store
        if not opened.unknown & set(learned_kinds(store.get_many) if opened.unknown else ()):
            return False
        self._open = self._opened(opened.generation, store)
        return True

    def _opened(self, generation: Generation, store: OnlineStore) -> _Opened:
        learned = learned_kinds(store.get_many) if generation.unknown_ids else {}
        texts = {*generation.string_ids, *(kind for kind, text in learned.items() if text)}
        rows = RequestRows(self.plan, store, texts, prepared=self._generations.near)
        if self._ahead:
            rows.prepare()
        return _Opened(generation, rows, frozenset(generation.unknown_ids) - set(learned))

    def close(self) -> None:
        """Let the stores go; a process that wants one again opens another of these."""
        for held in (self._open, self._retired):
            if held is not None:
                held.rows.store.close()
        self._open = self._retired = None
        self._generations.close()

    def current(self) -> RequestRows:
        """Return how the rows of the generation in use are read."""
        if self._open is None:
            self.refresh()
        assert self._open is not None
        return self._open.rows

    def item_rates(self, goes_on: Callable[[], bool], /) -> ItemRates | None:
        """Return how often each item was shown and chosen, None where nobody declared it, or *goes_on* says no.

        Raises:
            OritaError: nothing is published yet, or the store cannot be read. It takes seconds where items are many.
        """
        return read_item_rates(self.plan, self.current().store, goes_on)

    def reader(self, schema: FeatureSchema) -> OnlineReader:
        """Return a reader whose matrices have the columns of *schema*.

        Raises:
            NotFound: the system declares no such feature.
            UserError: it declares another one under its name.
        """
        return OnlineReader(self, schema)

    def refusing(self, whom: Collection[Whom]) -> RefusingFeatures:
        """Return these features for requests whose ids must be known; see `OnlineReader`.

        Raises:
            UserError: nothing is kept by which that can be told.
        """
        return RefusingFeatures(self, whom)


class RefusingFeatures:
    """`OnlineFeatures` whose readers refuse the ids of which nothing is known.

    Args:
        features: what is read, and refreshed.
        whom: whose ids must be known.

    Raises:
        UserError: nothing is kept by which that can be told.
    """

    def __init__(self, features: OnlineFeatures, whom: Collection[Whom]) -> None:
        for each in whom:
            empty_rows(features.plan, each)
        self._features, self._whom = features, whom

    def reader(self, schema: FeatureSchema) -> OnlineReader:
        """Return a reader; see `OnlineFeatures.reader`."""
        return OnlineReader(self._features, schema, self._whom)

    def refresh(self) -> bool:
        """Take up what was published since; see `OnlineFeatures.refresh`."""
        return self._features.refresh()
