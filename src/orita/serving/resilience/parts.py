"""The parts of a server that keep it up, made from one section of the configuration.

    parts = build_parts(config.resilience, clock)
    features = GuardedFeatures(features, parts.store)
    parts.popularity.start()                       # until close()
    ladder = parts.ladder(full)                    # full: the features and the model, as before
                                                   # for a request, once its body is there:
    deadline = parts.deadlines.read(timeout_ms, grpc_timeout, arrived)
    priority = parts.priorities.read(header, Priority.NORMAL)
    parts.turnstile.go(priority, deadline, arrived, answer, refuse, transport.is_closing)

    def answer():                                  # its turn has come
        labelled = ladder.answer(asked, deadline)
        if labelled.level is Level.FULL:
            parts.last_good.remember(asked.user_id, asked.item_ids, labelled.value.scores_N)

Legend: N items of one request, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from orita.core.clock import Clock
from orita.serving.resilience.admission import Admission
from orita.serving.resilience.config import ResilienceConfig
from orita.serving.resilience.deadline import Deadlines
from orita.serving.resilience.fallbacks import PopularityTable, StaticList
from orita.serving.resilience.guard import Guard, GuardState
from orita.serving.resilience.ladder import Ladder, Level, Rung
from orita.serving.resilience.last_good import LastGood
from orita.serving.resilience.limit import BudgetLimit
from orita.serving.resilience.popularity import Popularity, RateSource
from orita.serving.resilience.priority import Priorities
from orita.serving.resilience.retry_after import RetryAfter
from orita.serving.resilience.turnstile import Turnstile

__all__ = ["Parts", "Question", "ResilienceConfig", "Scored", "build_parts"]

Id = int | str
Floats = npt.NDArray[np.float32]


class Question(Protocol):
    """What the levels need of a request; `orita.serving.predict.requests.Asked` is one."""

    @property
    def user_id(self) -> Id:
        """Who asks."""
        ...

    @property
    def item_ids(self) -> Sequence[Id]:
        """What is to be ranked."""
        ...


Q = TypeVar("Q", bound=Question)


class Scored(msgspec.Struct, frozen=True, gc=False):
    """What a level says.

    Attributes:
        scores_N: float32, in the order of the items asked.
        x_NF: the features that they come from, float32; None below level 1.
        age: seconds since the scores were computed, at most; 0 for level 1 and for lists.
    """

    scores_N: Floats
    x_NF: Floats | None = None
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What keeps one server up.

    Attributes:
        clock: the time.
        deadlines, priorities: of requests, from their headers.
        turnstile: the door of the event loop.
        store, broker, jobs: their guards; a model has one of its own (`guarded_loader`). The broker is the event log,
            jobs is their queue.
        last_good: level 2.
        popularity: level 3.
        static: level 4.
    """

    clock: Clock
    deadlines: Deadlines
    priorities: Priorities
    turnstile: Turnstile
    store: Guard
    broker: Guard
    jobs: Guard
    last_good: LastGood
    popularity: Popularity
    static: StaticList

    @property
    def states(self) -> tuple[GuardState, ...]:
        """What metrics and health tell of the dependencies."""
        return self.store.state, self.broker.state, self.jobs.state

    def ladder(self, full: Callable[[Q], Scored], by: Callable[[Q], str] | None = None) -> Ladder[Q, Scored]:
        """Return the four levels, *full* being the first, of each model *by*; the last one always has an answer."""
        static = self.static
        rungs: list[Rung[Q, Scored]] = [
            Rung(Level.FULL, "model", full),
            Rung(Level.LAST_GOOD, "last_good", self._remembered),
            Rung(Level.RULES, "popularity", self._popular),
            Rung(Level.STATIC, "static", lambda question: Scored(static.scores(question.item_ids))),
        ]
        return Ladder(rungs, self.clock, by=by)

    def _remembered(self, question: Question) -> Scored | None:
        recalled = self.last_good.recall(question.user_id, question.item_ids)
        return None if recalled is None else Scored(recalled.scores_N, None, recalled.age)

    def _popular(self, question: Question) -> Scored | None:
        table = self.popularity.table
        return None if table is None else Scored(table.scores(question.item_ids))


def build_parts(config: ResilienceConfig, clock: Clock, rates: RateSource | None = None, *, slots: int = 1) -> Parts:
    """Return the parts that *config* describes.

    Args:
        config: what can be set.
        clock: the time.
        rates: what level 3 counts from where no table is configured.
        slots: requests that are answered at a time; more than one where an answer awaits another machine.

    Raises:
        UserError: the popularity table is not there, or is none.
    """
    door = config.admission
    limit = BudgetLimit(door.wait_ms / 1000, least=door.least, most=door.most)
    admission = Admission(limit, slots=slots, retry_after=RetryAfter(most=door.retry_after_seconds))
    table = PopularityTable.read(config.popularity) if config.popularity is not None else None
    return Parts(
        clock=clock,
        deadlines=Deadlines(config.deadline),
        priorities=Priorities(config.priority),
        turnstile=Turnstile(admission, clock),
        store=Guard("store", config.store, clock),
        broker=Guard("broker", config.broker, clock),
        jobs=Guard("jobs", config.jobs, clock),
        last_good=LastGood(config.last_good, clock),
        popularity=Popularity(table, rates, config.popularity_seconds),
        static=StaticList(config.static_items),
    )
