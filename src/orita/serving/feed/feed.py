"""How a feed is answered: candidates, scores, order, a page of it, log; later pages go on where the one before ended.

The event loop is never held up for long: candidates and scores take a turn at the door each, the order is made in a
thread.

Legend: C candidates, K of them on the page, in the order shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from orita.core.clock import Clock, to_micros
from orita.features.online.reader import found_by_itself
from orita.serving.features.jobs import BoundedWork
from orita.serving.feed.cursor import Cursors, Remaining
from orita.serving.feed.exploring import Explored, Exploring
from orita.serving.feed.items import Items
from orita.serving.feed.reads import Asker
from orita.serving.feed.requests import FeedAsked
from orita.serving.feed.reranking import Reranking
from orita.serving.feed.retrieval import Retrieval
from orita.serving.http.refusal import Refused
from orita.serving.predict.answer import RankedItem
from orita.serving.predict.outliers import Outliers
from orita.serving.predict.question import Question
from orita.serving.predict.requests import Asked
from orita.serving.protocols import PredictionSink
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.deadline import check_deadline, current_deadline
from orita.serving.resilience.ladder import Labelled, Level
from orita.serving.resilience.parts import Scored
from orita.serving.resilience.turns import Turns
from orita.serving.tracing.recording import span

__all__ = ["Feed", "FeedAnswer", "KeptScores", "Scoring"]

Floats = npt.NDArray[np.float32]

_AT_ONCE, _WAITING = 2, 64  # orders that are made at the same time, and that wait for it


class FeedAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of a feed.

    Attributes:
        user_id: as asked.
        predictions: the items to show, in order, with the model's score and the rank in the whole feed, from 1; ranks
            follow the order shown, scores need not.
        model_version: which version is deployed.
        latency_ms: from the whole request in hand to the answer, in milliseconds.
        level: how good the scores are: 1 by the model, on features of now, as of ``POST /predict``.
        cursor: asks for the next page; null: this was the last.
        reason: why it is not of level 1, in a word; left out where it is.
        cached: whether the scores were kept of an earlier feed; left out where they were not.
        outliers: what on the page is unlike the rows that the model was trained on; left out where nothing is.
    """

    user_id: int | str
    predictions: list[RankedItem]
    model_version: str
    latency_ms: float
    level: int
    cursor: str | None
    reason: str | None = None
    cached: bool = False
    outliers: Outliers | None = None


class Scoring(Protocol):
    """The one predict path, in its two first steps; `orita.serving.predict.predictor.Predictor` is one."""

    def question(self, asked: Asked) -> Question:
        """Return what was *asked* with what answers it now."""
        ...

    def labelled(self, question: Question) -> Labelled[Scored]:
        """Return the scores of the best level that has some."""
        ...


class KeptScores(Protocol):
    """The same step before which scores are kept; `orita.serving.predict.cached_predictor.CachedPredictor` is one."""

    async def labelled(self, question: Question) -> tuple[Labelled[Scored], bool]:
        """Return the scores of the best level that has some, and whether they were kept."""
        ...


class Feed:
    """Answers requests for pages.

    Args:
        items: returns all items as they are now, None before they were read.
        retrieval: finds candidates.
        reranking: puts them in order.
        cursors: carry the rest of a feed.
        scoring: scores candidates.
        remember: takes what a user's items scored, for when no model can be asked.
        log: where pages are logged.
        turns: order what is done on the event loop.
        clock: the time.
        exploring: shows first pages; None: as they are ranked.
        kept: scores candidates where they were not scored before; None: they are scored each time.
    """

    def __init__(
        self,
        items: Callable[[], Items | None],
        retrieval: Retrieval,
        reranking: Reranking,
        cursors: Cursors,
        scoring: Scoring,
        remember: Callable[[int | str, Sequence[int | str], Floats], None],
        log: PredictionSink,
        turns: Turns,
        clock: Clock,
        exploring: Exploring | None = None,
        kept: KeptScores | None = None,
    ) -> None:
        self._exploring, self._kept = exploring, kept
        self._items, self._retrieval, self._reranking = items, retrieval, reranking
        self._cursors, self._scoring, self._remember = cursors, scoring, remember
        self._log, self._turns, self._clock = log, turns, clock
        self._work = BoundedWork(_AT_ONCE, _WAITING, "feed_busy")

    async def answer(
        self, asked: FeedAsked, request_id: str, started: float, priority: Priority = Priority.NORMAL
    ) -> FeedAnswer:
        """Return the page that was *asked* for.

        Args:
            asked: the checked request.
            request_id: joins feedback to the page.
            started: `Clock.monotonic` when the whole request was in hand.
            priority: at the door.

        Raises:
            Refused: 503 without a model or items, when the log is full, or where too much is under way; 422 for what is
                no cursor, a time that the features refuse, or an objective that is not allowed; 410 for a cursor that
                is over; 504 when the deadline passed meanwhile.
        """
        deadline = current_deadline()
        if asked.cursor is None:
            return await self._first(asked, request_id, started, priority, deadline)
        remaining = self._cursors.open(asked.user_id, asked.cursor)
        async with self._turns.first(priority, deadline, started):
            return await self._later(asked, remaining, request_id, started)

    async def _first(
        self, asked: FeedAsked, request_id: str, started: float, priority: Priority, deadline: float
    ) -> FeedAnswer:
        items = self._items()
        if items is None or not len(items):
            message = "the feed knows no items: publish online features, or wait until they are read."
            raise Refused(503, "no_items", message, retry_after=1)
        self._work.check_room()
        at = to_micros(self._clock.now()) if asked.at_micros is None else asked.at_micros
        async with self._turns.first(priority, deadline, started):
            row_C, seen_C = self._retrieval.candidates(items, Asker(asked.user_id, asked.context, at))
        async with self._turns.next(deadline):
            question, labelled, was_kept = await self._scored(asked, items.ids(row_C))
        scores_C = labelled.value.scores_N
        if labelled.value.x_NF is not None and question.objective is None:
            self._remember(question.user_id, question.item_ids, scores_C)

        def ordered() -> Explored:
            check_deadline(deadline, self._clock.monotonic())  # it may have waited in line
            place_K = self._reranking.order(items, row_C, seen_C, scores_C, at)
            if self._exploring is None:
                return Explored(place_K)
            return self._exploring.shown(items, row_C, seen_C, place_K, asked.limit)

        explored = await self._work.run(ordered)
        left = items.ids(row_C[explored.place_K[asked.limit :]])
        return self._page(question, labelled, was_kept, explored, asked.limit, left, 1, request_id, started)

    async def _later(self, asked: FeedAsked, remaining: Remaining, request_id: str, started: float) -> FeedAnswer:
        item_ids, left = remaining.item_ids[: asked.limit], remaining.item_ids[asked.limit :]
        question, labelled, was_kept = await self._scored(asked, item_ids)
        shown = Explored(np.arange(len(item_ids)))
        return self._page(question, labelled, was_kept, shown, len(item_ids), left, remaining.rank, request_id, started)

    async def _scored(self, asked: FeedAsked, item_ids: list[int | str]) -> tuple[Question, Labelled[Scored], bool]:
        """Return what is asked of the model, what it says, and whether that was kept."""
        wanted = Asked(asked.user_id, item_ids, asked.context, asked.at_micros, asked.objective, asked.attributes)
        question = self._scoring.question(wanted)
        if not item_ids:
            return question, Labelled(Scored(np.zeros(0, np.float32)), Level.FULL, "model", None), False
        with found_by_itself("item"):
            if self._kept is None:
                return question, self._scoring.labelled(question), False
            return question, *await self._kept.labelled(question)

    def _page(
        self,
        question: Question,
        labelled: Labelled[Scored],
        was_kept: bool,
        explored: Explored,
        limit: int,
        left: list[int | str],
        first: int,
        request_id: str,
        started: float,
    ) -> FeedAnswer:
        """Return the page of the first *limit* items, the first of which has the rank *first*, and log it."""
        shown_K = explored.place_K[:limit]
        user_id, scores_K = question.user_id, labelled.value.scores_N[shown_K]
        item_ids = [question.item_ids[place] for place in shown_K.tolist()]
        rank_K = np.arange(first, first + len(item_ids), dtype=np.int32)
        cursor = self._cursors.make(user_id, first + len(item_ids), left)
        now = self._clock.monotonic()
        check_deadline(question.deadline, now)
        latency_ms = round((now - started) * 1000, 3)
        x_CF, check = labelled.value.x_NF, question.model.outliers
        level, outliers = labelled.level.value, None
        if item_ids:
            x_KF = None if x_CF is None else x_CF[shown_K]
            logged = question.logged(
                request_id,
                item_ids,
                scores_K,
                rank_K,
                x_KF,
                latency_ms=latency_ms,
                level=level,
                cached=was_kept,
                propensities_N=explored.propensity_P,
                placements_N=explored.placement_P,
            )
            with span("log", items=len(logged.item_ids)):
                self._log.append(question.model.stream, logged)
            if check is not None and x_KF is not None:
                outliers = check(x_KF, float(scores_K.max()), float(scores_K.min()))
        ranked = list(map(RankedItem, item_ids, scores_K.tolist(), rank_K.tolist()))
        version = question.model.package.version
        return FeedAnswer(user_id, ranked, version, latency_ms, level, cursor, labelled.reason, was_kept, outliers)
