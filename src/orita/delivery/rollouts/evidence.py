"""From logs to looks: what a rollout's answers and their outcomes say, second by second of the log's own time.

Legend: R answers, U users.

Looks are cut by the times of answers, not by when they are read: so a controller that died, or another one, makes the
same looks of the same logs again. An answer is in the log a moment after its time: a second is looked at when `settle`
has passed since its end. One that comes later still (a disk that stood still) is counted in the next look.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from orita.core.clock import from_micros, to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.delivery.rollouts.answers import Answers, AnswersOfRollout
from orita.delivery.rollouts.looks import GuardCounts, Look, Stage
from orita.delivery.rollouts.outcomes import EventNames, OutcomesSince
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.seen_users import CountedInPeriod, CountedInStep
from orita.delivery.rollouts.shown_items import ShownItems
from orita.delivery.rollouts.trouble import Trouble, late_outcomes, unknown_metric
from orita.events.log.log import EventLog

__all__ = ["PERIOD_SECONDS", "Evidence"]

PERIOD_SECONDS = 900
"""How long a period of the guards lasts; a new step begins one, too. Shares of a bandit may move within: each look
compares versions at the same time."""

_SECOND = 1_000_000
_PIECE_SECONDS = 60
_GRACE_MICROS = 10 * _SECOND
_MANY_LATE = 100


class Evidence:
    """Makes looks of the logs of one rollout.

    Args:
        home: whose logs.
        rollout: as it began.
        log: of events.
        names: of the columns of events.
        settle: seconds that answers have to reach the log.
    """

    def __init__(
        self,
        home: Home,
        rollout: Rollout,
        log: EventLog,
        names: EventNames | None = None,
        *,
        settle: float = 1.0,
    ) -> None:
        if settle < 0.2:
            raise UserError(f"settle is {settle}: the prediction log needs 0.2 seconds at least.")
        self._versions = (rollout.champion, *rollout.plan.versions)
        self._start = to_micros(rollout.started_at)
        self._settle = timedelta(seconds=settle)
        self._answers = AnswersOfRollout(home, rollout.system, rollout.id, self._versions, rollout.started_at)
        self._held: list[Answers] = []
        self._next = self._start
        self._guarded, self._counted = CountedInPeriod(), CountedInStep()
        self._period, self._period_began, self._step = 0, self._start, -1
        metric = rollout.plan.checks.metric
        self._metric, self._stream = "" if metric is None else metric.name, (names or EventNames()).stream
        self._outcomes = None if metric is None else OutcomesSince(home, log, metric.name, rollout.started_at, names)
        self._shown = None if metric is None else ShownItems(
            self._versions,
            window_micros=round(metric.window_seconds * _SECOND),
            grace_micros=_GRACE_MICROS,
            top=metric.top,
        )  # fmt: skip

    def trouble(self, now: datetime) -> Trouble | None:
        """Return what the latest looks lack, though they could be made; None for nothing."""
        if self._outcomes is None or self._shown is None:
            return None
        if self._outcomes.unknown:
            return unknown_metric(self._metric, self._stream, self._outcomes.unknown, now)
        late, all_ = self._shown.late, self._shown.outcomes
        return late_outcomes(self._metric, late, all_, now) if late >= max(_MANY_LATE, all_ / 2) else None

    def looks(
        self, stages: Sequence[Stage], now: datetime, reading: Callable[[], object] = lambda: None
    ) -> Iterator[Look]:
        """Yield a look for each whole second up to *now* in which something came, less what answers need to be logged.

        Args:
            stages: of the rollout, the first first, up to *now*.
            now: the time.
            reading: called after every piece that is read, also between looks; what it raises ends them.

        Raises:
            OSError, OritaError: a log cannot be read; begin anew with another object.
        """
        end = to_micros(now - self._settle)
        if end - self._next < _SECOND:
            return
        for found, sure in self._answers.new(reading):
            self._held += found
            if min(sure, end) - self._next >= _PIECE_SECONDS * _SECOND:
                yield from self._looked(stages, min(sure, end), reading)
        yield from self._looked(stages, end, reading)

    def _looked(self, stages: Sequence[Stage], end: int, reading: Callable[[], object]) -> Iterator[Look]:
        """Yield the looks up to *end*, in microseconds."""
        if self._outcomes is not None and self._shown is not None:
            for outcomes in self._outcomes.new(end):
                self._shown.add(outcomes)
                reading()
        answers = Answers.joined(self._held) if self._held else None
        begins = [to_micros(stage.since) for stage in stages]
        taken = 0
        while self._next + _SECOND <= end:
            first, self._next = self._next, self._next + _SECOND
            upto = 0 if answers is None else int(np.searchsorted(answers.at_R, self._next))
            if upto == taken and not (self._shown is not None and self._shown.due(self._next)):
                continue
            stage = stages[max(bisect_right(begins, first) - 1, 0)]
            part = None if answers is None or upto == taken else answers.take(np.arange(taken, upto))
            taken = upto
            yield self._look(part, stage, first)
        rest = None if answers is None else answers.take(np.arange(taken, len(answers)))
        self._held = [rest] if rest is not None and len(rest) else []

    def _look(self, answers: Answers | None, stage: Stage, first: int) -> Look:
        if stage.step != self._step or first - self._period_began >= PERIOD_SECONDS * _SECOND:
            self._period += self._step >= 0
            self._step, self._period_began = stage.step, first
        answered: dict[str, int] = {}
        guards: dict[str, GuardCounts] = {}
        if answers is not None:
            ours = answers.take(np.flatnonzero(answers.variant_R >= 0))
            answered = self._of_version(ours)
            guards = self._guards(ours)
            self._show(ours, stage, first + _SECOND)
        left_out = 0 if self._shown is None else self._shown.left_out
        metric = () if self._shown is None else self._shown.closed(first + _SECOND)
        return Look(from_micros(first + _SECOND), stage, self._period, answered, guards, metric, left_out)

    def _of_version(self, answers: Answers) -> dict[str, int]:
        counts = np.bincount(answers.variant_R, minlength=len(self._versions))
        return {version: int(count) for version, count in zip(self._versions, counts, strict=True) if count}

    def _guards(self, answers: Answers) -> dict[str, GuardCounts]:
        place_U = self._guarded.first(answers.hash_R, self._period)
        found = {}
        for variant, version in enumerate(self._versions):
            of_U = place_U[answers.variant_R[place_U] == variant]
            if len(of_U):
                found[version] = GuardCounts(answers.failed_R[of_U], answers.latency_ms_R[of_U], answers.score_R[of_U])
        return found

    def _show(self, answers: Answers, stage: Stage, end: int) -> None:
        if self._shown is None or not len(answers):
            return
        place_U, fresh_U = self._counted.first(answers.hash_R, answers.variant_R > 0, stage.step)
        if len(place_U):
            self._shown.show(answers.take(place_U), fresh_U, stage.number, end)
