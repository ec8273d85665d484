"""The online features of one system: which generation is read, and when the next one is taken up."""

from __future__ import annotations

import threading

from orita.features.generations.generation import Generation, NotPublished
from orita.features.generations.generations import Generations
from orita.features.online.reader import OnlineReader
from orita.features.online.rows import RequestRows
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema

__all__ = ["OnlineFeatures"]


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
        self._open: tuple[Generation, RequestRows] | None = None
        self._retired: tuple[Generation, RequestRows] | None = None
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
        if self._open and self._open[0].name == newest.name:
            return False
        if newest.plan != self.plan.version:
            raise NotPublished(
                f"the online features of {self.plan.system.name!r} were published for other declarations "
                f"({newest.plan}, now {self.plan.version}): run 'orita run etl' to publish them anew."
            )
        if self._retired and self._retired[0].name == newest.name:  # LMDB opens a store once in a process
            self._open, self._retired = self._retired, self._open
            return True
        store = self._generations.reading(newest.name)
        rows = RequestRows(self.plan, store, newest.string_ids, prepared=self._generations.near)
        if self._ahead:
            rows.prepare()
        # A request may still read the one before; the one before that has had a whole generation's time to finish.
        if self._retired:
            self._retired[1].store.close()
        self._retired, self._open = self._open, (newest, rows)
        return True

    def close(self) -> None:
        """Let the stores go; a process that wants one again opens another of these."""
        for held in (self._open, self._retired):
            if held is not None:
                held[1].store.close()
        self._open = self._retired = None
        self._generations.close()

    def current(self) -> RequestRows:
        """Return how the rows of the generation in use are read."""
        if self._open is None:
            self.refresh()
        assert self._open is not None
        return self._open[1]

    def reader(self, schema: FeatureSchema) -> OnlineReader:
        """Return a reader whose matrices have the columns of *schema*.

        Raises:
            NotFound: the system declares no such feature.
            UserError: it declares another one under its name.
        """
        return OnlineReader(self, schema)
