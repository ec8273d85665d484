"""From logs to looks: what a rollout's answers and their outcomes say, second by second of the log's own time.

Legend: R answers, U users.

Looks are cut by the times of answers, not by when they are read: so a controller that died, or another one, makes the
same looks of the same logs again. An answer is in the log a moment after its time: a second is looked at when `settle`
has passed since its end. One that comes later still (a disk that stood still) is counted in the next look.

An answer says by which split it was routed. One that went by a split of before, as its server did not hear of the
present one or has a clock that is behind, counts for no check: its users were not split as those beside it. They are
remembered as what they are, users who came under that split.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from orita.core.clock import from_micros, to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.delivery.rollouts.answers import Answers, AnswersOfRollout
from orita.delivery.rollouts.feature_sample import chance_of
from orita.delivery.rollouts.looks import FirstItems, GuardCounts, Look, MetricBatch, Stage
from orita.delivery.rollouts.outcomes import EventNames, OutcomesSince
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.seen_users import CountedInPeriod, CountedInStep
from orita.delivery.rollouts.shown_items import METRIC, Shown, windows_of
from orita.delivery.rollouts.thinning import chance_of_users
from orita.delivery.rollouts.trouble import Trouble, late_outcomes, nobody_takes_part, unknown_metric
from orita.events.log.log import EventLog

__all__ = ["PERIOD_SECONDS", "Evidence"]

PERIOD_SECONDS = 900
"""How long a period of the guards lasts. A new step begins one, too, and a version that comes or goes; a bandit's new
shares do not: evidence would begin anew each minute (`orita.delivery.rollouts.thinning`)."""

_SECOND = 1_000_000
_PIECE_SECONDS = 60
_MANY = 100


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
        self._plan, checks = rollout.plan, rollout.plan.checks
        self._answers = AnswersOfRollout(
            home, rollout.system, rollout.id, self._versions, rollout.started_at, sampled=checks.drift is not None
        )
        self._held: list[Answers] = []
        self._next = self._start
        self._guarded, self._counted = CountedInPeriod(), CountedInStep()
        self._period, self._period_began = 0, self._start
        self._split: tuple[int, frozenset[str]] | None = None
        self._fields, self._stream = checks.columns, (names or EventNames()).stream
        self._columns = columns = tuple(dict.fromkeys(self._fields.values()))
        self._outcomes = OutcomesSince(home, log, columns, rollout.started_at, names) if columns else None
        self._windows = windows_of(checks, columns, self._versions)
        tops = [each.top for each in (checks.metric, *checks.guardrails) if each is not None]
        self._top = max(tops, default=0) if all(tops) else 0

    def trouble(self, now: datetime) -> Trouble | None:
        """Return what the latest looks lack, though they could be made; None for nothing."""
        answers, plan = self._answers, self._plan
        if not answers.found and answers.outside >= _MANY and plan.audience is None and "user_id" not in plan.by:
            return nobody_takes_part(plan.by, answers.outside, now)
        unknown = {} if self._outcomes is None else self._outcomes.unknown
        for field, column in self._fields.items():
            if column in unknown:
                return unknown_metric(field, column, self._stream, unknown[column], now)
        for window in self._windows:
            for what, late, outcomes in zip(window.counted, window.late, window.outcomes, strict=True):
                if late >= max(_MANY, outcomes / 2):
                    return late_outcomes(self._columns[what.column], late, outcomes, now)
        return None

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
        if self._outcomes is not None:
            for outcomes in self._outcomes.new(end):
                for window in self._windows:
                    window.add(outcomes)
                reading()
        answers = Answers.joined(self._held) if self._held else None
        begins = [to_micros(stage.since) for stage in stages]
        taken = 0
        while self._next + _SECOND <= end:
            first, self._next = self._next, self._next + _SECOND
            upto = 0 if answers is None else int(np.searchsorted(answers.counted_R, self._next))
            if upto == taken and not any(window.due(self._next) for window in self._windows):
                continue
            stage = stages[max(bisect_right(begins, first) - 1, 0)]
            part = None if answers is None or upto == taken else answers.take(np.arange(taken, upto))
            taken = upto
            yield self._look(part, stage, first, stages)
        rest = None if answers is None else answers.take(np.arange(taken, len(answers)))
        self._held = [rest] if rest is not None and len(rest) else []

    def _look(self, answers: Answers | None, stage: Stage, first: int, stages: Sequence[Stage]) -> Look:
        behind = 0
        answered: dict[str, int] = {}
        guards: dict[str, GuardCounts] = {}
        newcomers: dict[str, int] = {}
        returned: dict[str, int] = {}
        if answers is not None:  # when other looks are made depends on how outcomes were read
            self._keep_period(stage, first)
            ours, behind = self._by_present_split(answers.take(np.flatnonzero(answers.variant_R >= 0)), stage, stages)
            answered = self._by_version(ours.variant_R[~ours.failed_R])
            guards = self._guards(ours)
            newcomers, returned = self._count(ours, stage, first + _SECOND)
        closed: dict[str, tuple[MetricBatch, ...]] = {}
        for window in self._windows:
            closed |= window.closed(first + _SECOND)
        return Look(
            at=from_micros(first + _SECOND),
            stage=stage,
            period=self._period,
            answered=answered,
            guards=guards,
            newcomers=newcomers,
            returned=returned,
            metric=closed.pop(METRIC, ()),
            left_out=max((window.left_out for window in self._windows), default=0),
            guardrails=closed,
            behind=behind,
        )

    def _by_present_split(self, answers: Answers, stage: Stage, stages: Sequence[Stage]) -> tuple[Answers, int]:
        """Return those of the answers that were routed by the split of *stage*, and how many others there are."""
        begins = np.array([to_micros(each.since) for each in stages])
        number_R = np.maximum(np.searchsorted(begins, answers.split_R, side="right") - 1, 0)
        number_R[answers.split_R < 0] = stage.number  # the log does not say: by the split of its time
        behind = np.flatnonzero(number_R != stage.number)
        for number in np.unique(number_R[behind]).tolist():
            of_before = answers.take(np.flatnonzero(number_R == number))
            self._counted.first(of_before.hash_R, of_before.variant_R > 0, stages[number].step)
        return answers.take(np.flatnonzero(number_R == stage.number)), len(behind)

    def _keep_period(self, stage: Stage, first: int) -> None:
        split = stage.step, frozenset(version for version, share in stage.shares.items() if share > 0)
        if split != self._split or first - self._period_began >= PERIOD_SECONDS * _SECOND:
            self._period += self._split is not None
            self._split, self._period_began = split, first

    def _by_version(self, variant_R: npt.NDArray[np.int64]) -> dict[str, int]:
        counts = np.bincount(variant_R, minlength=len(self._versions))
        return {version: int(count) for version, count in zip(self._versions, counts, strict=True) if count}

    def _guards(self, answers: Answers) -> dict[str, GuardCounts]:
        place_U = self._guarded.first(answers.hash_R, self._period)
        found = {}
        for variant, version in enumerate(self._versions):
            of_U = place_U[answers.variant_R[place_U] == variant]
            if len(of_U):
                found[version] = GuardCounts(
                    answers.failed_R[of_U],
                    answers.latency_ms_R[of_U],
                    answers.score_R[of_U],
                    self._features(answers, of_U[answers.list_R[of_U] >= 0]),
                    chance_of_users(answers.hash_R[of_U]),
                )
        return found

    def _features(self, answers: Answers, kept_U: npt.NDArray[np.intp]) -> FirstItems | None:
        """Return the features of some users' answers, of which one list is kept."""
        if not len(kept_U):
            return None
        place = answers.list_R[kept_U[0]]
        kept_U = kept_U[answers.list_R[kept_U] == place]
        names = self._answers.features[place]
        x_U2F = np.frombuffer(b"".join(answers.given_R[kept_U]), np.float32).reshape(len(kept_U), 2, len(names))
        first_UF, other_UF = x_U2F[:, 0], x_U2F[:, 1]
        differs_UF = (first_UF != other_UF) & ~(np.isnan(first_UF) & np.isnan(other_UF))
        chance_U = np.array([chance_of(request) for request in answers.request_R[kept_U]])
        return FirstItems(names, first_UF, differs_UF.any(axis=0), chance_U, answers.share_R[kept_U])

    def _count(self, answers: Answers, stage: Stage, end: int) -> tuple[dict[str, int], dict[str, int]]:
        """Let the items of users who count in the step wait for outcomes; return how many are new, and not."""
        place_U, fresh_U = self._counted.first(answers.hash_R, answers.variant_R > 0, stage.step)
        if self._windows and len(place_U):
            shown = Shown.of(answers.take(place_U), fresh_U, self._top)
            for window in self._windows:
                window.show(shown, stage.number, end)
        variant_U = answers.variant_R[place_U]
        return self._by_version(variant_U[fresh_U]), self._by_version(variant_U[~fresh_U])
