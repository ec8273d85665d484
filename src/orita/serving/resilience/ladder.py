"""Levels of degradation: the best that can answer does, says so, and the ones above are tried again by themselves.

A rung that fails *failures* times in a row rests, so that requests do not pay for its failures one by one: 0.25 s,
twice as long each time that it fails in the second after a rest, 2 s at most. Then the next request tries it, and where
that is answered the others follow. After a second of answers it is well and its next rest is short again; a rung that
flaps therefore rests long. So level 1 answers again at most 2 s, and one request, after what it needs is back. A
breaker or a bulkhead that lets a call not pass costs nothing: where one of them speaks nobody rests, and level 1 is
back with the breaker. A rung that usually needs longer than a request has left is passed over for that request alone:
who is in a hurry takes nothing from others. What it needs is forgotten by half in a second without an answer, so that
it is tried again. Where several models answer, as in a rollout, the first rung is one for each: one that fails takes
nothing from the others.

    ladder = Ladder([Rung(Level.FULL, "model", full), Rung(Level.LAST_GOOD, "last_good", last_good.answer),
                     Rung(Level.RULES, "popularity", table.answer), Rung(Level.STATIC, "static", static.answer)], clock)
    answer = ladder.answer(question, deadline)
    answer.value, answer.level, answer.reason          # reason: why the first level did not answer
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

import msgspec
import structlog

from orita.core.clock import Clock
from orita.core.errors import Unavailable
from orita.serving.resilience.breaker import BreakerOpen
from orita.serving.resilience.bulkhead import BulkheadFull
from orita.serving.resilience.contracts import is_failure

__all__ = ["Labelled", "Ladder", "Level", "Rung"]

_log = structlog.stdlib.get_logger("orita.serving")

_SHORT_REST, _LONG_REST = 0.25, 2.0
_STEADY_SECONDS = 1.0
_SMOOTHING = 0.1
_NEVER = float("inf")
_MOST_MODELS = 32
"""Models whose health is remembered: more than answer at a time."""

Q = TypeVar("Q")
A = TypeVar("A")


class Level(IntEnum):
    """How good an answer is; 1 is the best."""

    FULL = 1
    LAST_GOOD = 2
    RULES = 3
    STATIC = 4


@dataclass(frozen=True, slots=True)
class Rung(Generic[Q, A]):
    """A way to answer.

    Attributes:
        level: how good its answers are.
        name: for people and metrics: ``model``, ``last_good``, ``simpler_model`` …
        answer: returns an answer, or None where it knows nothing of the question; raises where it fails.
        condition: why it cannot be asked now, in a word for machines, or None where it can; asked before each answer.
    """

    level: Level
    name: str
    answer: Callable[[Q], A | None]
    condition: Callable[[], str | None] | None = None


class Labelled(msgspec.Struct, Generic[A], frozen=True, gc=False):
    """An answer and how good it is.

    Attributes:
        value: what the rung said.
        level, name: of the rung that answered.
        reason: why the first rung did not: ``store_away`` or another condition's word, ``failed``, ``open``, ``full``,
            ``resting``, ``too_late``, ``unknown``; None where it did.
    """

    value: A
    level: Level
    name: str
    reason: str | None


class _Health:
    """Whether a rung is tried, and what it costs.

    Attributes:
        in_a_row: failures since its last answer.
        lost: whether it rested and is not well again yet.
        rest, until: how long it rests, in seconds, and until when.
        trial: when the answers after its rest began, None before the first.
        cost, measured: seconds of an answer, smoothed, and when the latest came.
    """

    __slots__ = ("cost", "in_a_row", "lost", "measured", "rest", "trial", "until")

    def __init__(self) -> None:
        self.in_a_row = 0
        self.lost = False
        self.rest = _SHORT_REST
        self.until = 0.0
        self.trial: float | None = None
        self.cost = self.measured = 0.0

    def measure(self, spent: float, now: float) -> None:
        """Learn from an answer that took *spent* seconds."""
        kept = 0.5 ** (now - self.measured)
        self.cost += max(_SMOOTHING, 1 - kept) * (spent - self.cost)
        self.measured = now

    def is_too_slow(self, now: float, deadline: float) -> bool:
        """Return whether an answer is not to be expected before *deadline*."""
        return now + self.cost >= deadline and now + self.cost * 0.5 ** (now - self.measured) >= deadline


class Ladder(Generic[Q, A]):
    """Answers questions by the best rung that can; called by one thread.

    Args:
        rungs: the best first, at least one; the last should always have an answer.
        clock: the time.
        failures: failures in a row after which a rung rests.
        by: which model a question is for; None: there is one.

    Attributes:
        answers: how many each level gave.
        reasons: why the first rung did not answer, and how often.
        level: of the latest answer.
    """

    def __init__(
        self,
        rungs: Sequence[Rung[Q, A]],
        clock: Clock,
        *,
        failures: int = 2,
        by: Callable[[Q], str] | None = None,
    ) -> None:
        if not rungs or any(a.level > b.level for a, b in itertools.pairwise(rungs)):
            raise ValueError("a ladder has rungs, the best first")
        self._first, self._by = rungs[0], by
        self._models: dict[str, _Health] = {}
        self._rungs = [(rung, _Health()) for rung in rungs[1:]]
        self._last = rungs[-1]
        self._monotonic = clock.monotonic
        self._failures = failures
        self.level = rungs[0].level
        self.answers = dict.fromkeys(Level, 0)
        self.reasons: Counter[str] = Counter()

    def rests(self, question: Q) -> bool:
        """Return whether the first rung rests now, for the model of *question*."""
        health = self._health(question)
        return health.lost and self._monotonic() < health.until

    def answer(self, question: Q, deadline: float = _NEVER) -> Labelled[A]:
        """Return the best answer there is.

        Args:
            question: what is asked.
            deadline: monotonic seconds; a rung that usually needs longer than what is left is passed over.

        Raises:
            Unavailable: no rung has an answer.
            UserError, Refused: the question is wrong (a status below 500); the rungs below are not asked.
        """
        reason: str | None = None
        for rung, health in ((self._first, self._health(question)), *self._rungs):
            why = self._why_not(rung, health, deadline)
            if why is None:
                value, why = self._asked(rung, health, question)
                if value is not None:
                    return self._labelled(value, rung, reason)
            reason = reason or why
        raise Unavailable("no level of degradation has an answer: see the errors of the first one in the log.")

    def _health(self, question: Q) -> _Health:
        """Return how the first rung is, for the model of *question*."""
        model = "" if self._by is None else self._by(question)
        health = self._models.get(model)
        if health is None:
            while len(self._models) >= _MOST_MODELS:
                del self._models[next(iter(self._models))]
            health = self._models[model] = _Health()
        return health

    def _why_not(self, rung: Rung[Q, A], health: _Health, deadline: float) -> str | None:
        """Return why *rung* is not asked, None where it is; the last one is asked however late it is."""
        if health.lost:
            if self._monotonic() < health.until:
                return "resting"
        elif deadline != _NEVER and rung is not self._last and health.is_too_slow(self._monotonic(), deadline):
            return "too_late"
        return rung.condition() if rung.condition is not None else None

    def _asked(self, rung: Rung[Q, A], health: _Health, question: Q) -> tuple[A | None, str]:
        started = self._monotonic()
        try:
            value = rung.answer(question)
        except (BreakerOpen, BulkheadFull) as error:
            return None, "open" if isinstance(error, BreakerOpen) else "full"
        except Exception as error:
            if not is_failure(error):
                raise
            health.in_a_row += 1
            if health.lost or health.in_a_row >= self._failures:
                self._rests(rung, health, str(error))
            return None, "failed"
        ended = self._monotonic()
        health.in_a_row = 0
        health.measure(ended - started, ended)
        if health.lost:
            self._recovers(rung, health, started)
        return value, "unknown"

    def _rests(self, rung: Rung[Q, A], health: _Health, why: str) -> None:
        if health.lost:
            health.rest = min(2 * health.rest, _LONG_REST)
        else:
            _log.error("level_lost", alert=True, level=rung.level.value, rung=rung.name, error=why)
        health.lost, health.trial = True, None
        health.until = self._monotonic() + health.rest

    def _recovers(self, rung: Rung[Q, A], health: _Health, now: float) -> None:
        if health.trial is None:
            health.trial = now
        elif now - health.trial >= _STEADY_SECONDS:
            health.lost, health.trial, health.rest = False, None, _SHORT_REST
            _log.info("level_regained", level=rung.level.value, rung=rung.name)

    def _labelled(self, value: A, rung: Rung[Q, A], reason: str | None) -> Labelled[A]:
        self.answers[rung.level] += 1
        if reason is not None:
            self.reasons[reason] += 1
        self.level = rung.level
        return Labelled(value, rung.level, rung.name, reason)
