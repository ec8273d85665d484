"""The shadow of one rollout: what was answered, the candidates that score it again, and the differences that are kept.

Which requests are mirrored is a hash of their ids, so whoever starts again takes the same ones. Where processor time is
short the rest is dropped in the order of that hash, which has nothing to do with what was asked: what is scored stays a
fair sample. Several candidates take turns request by request, so that all are judged on the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from orita.core.clock import Clock, to_micros
from orita.core.home import Home
from orita.delivery.assignment import fraction_by
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.shadow.answers import Answers, NewAnswers
from orita.delivery.shadow.budget import Budget, OwnTime
from orita.delivery.shadow.candidate import Asked, Failed, OpenCandidate, Scored
from orita.delivery.shadow.kept import Counts, ShadowFiles, ShadowState, shadow_folder
from orita.delivery.shadow.records import Mirrored, shadow_rows
from orita.delivery.shadow.scoring import CandidateProcess, Limits
from orita.events.prediction_segment import ScoredRequest

__all__ = ["Shadow", "mirrored_first"]

_COMMIT_SECONDS, _COMMIT_ROWS = 10.0, 2_000
_LOAD_WAIT, _LEAST_REST = 0.5, 0.005


class Shadow:
    """Mirrors the answers of a rollout's champion to its candidates.

    Args:
        home: whose log.
        rollout: of the strategy ``shadow``.
        open_: opens a candidate in its process.
        clock: the time.
        limits: what a candidate may take.
        rest: waits so many seconds.

    Attributes:
        rollout: as it was last seen.

    Raises:
        UserError: another process does already.
    """

    def __init__(
        self,
        home: Home,
        rollout: Rollout,
        open_: OpenCandidate,
        *,
        clock: Clock,
        limits: Limits,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rollout = rollout
        self._clock, self._rest = clock, rest
        self._files = ShadowFiles(shadow_folder(home, rollout.system, rollout.id))
        self._processes = [CandidateProcess(open_, version, limits) for version in rollout.plan.versions]
        self._own = OwnTime()
        self._budget = Budget(rollout.plan.cpu_percent, clock, self._spent)
        self._before = self._files.state
        self._counts = {v: self._before.counts.get(v, Counts()) for v in rollout.plan.versions}
        self._since = to_micros(rollout.started_at)
        self._answers = Answers(
            home,
            rollout.system,
            rollout.champion,
            since=rollout.started_at,
            place=self._before.place,
            clock=clock,
        )
        self._fraction = fraction_by(f"shadow/{rollout.id}")
        self._rows: list[pa.Table] = []
        self._day: date | None = None
        self._begun = self._committed = clock.monotonic()

    @property
    def state(self) -> ShadowState:
        """What counts, as of the last commit."""
        return self._files.state

    @property
    def trouble(self) -> str | None:
        """Why candidates are not loaded, None where they are."""
        return "; ".join(each.trouble for each in self._processes if each.trouble) or None

    def look(self, seconds: float) -> None:
        """Mirror what was answered since the last look, for so many seconds at most; drop what there is no time for."""
        until = self._clock.monotonic() + seconds
        with self._own:
            loading = [each for each in self._processes if not each.ready() and each.trouble is None]
            if loading or self._budget.left < 0:  # what is answered meanwhile waits in the log
                self._commit_if_due()
                return
            for answers in self._answers.new():
                self._take(answers, until)
                if self._clock.monotonic() > until and self._budget.left < 0:
                    break
            self._check_memory()
            self._commit_if_due()

    def catch_up(self, tell: Callable[[int], None] = lambda _: None) -> None:
        """Mirror all that was answered and not mirrored yet, as fast as the budget lets it; drop nothing.

        Args:
            tell: told how many answers were read.

        Raises:
            OSError, OritaError: the log or the differences cannot be read or written.
        """
        with self._own:
            for each in self._processes:
                while not each.ready(_LOAD_WAIT) and not each.trouble:
                    pass
            for answers in self._answers.new():
                self._take(answers, None)
                tell(len(answers.read.requests))
                self._check_memory()
            self._commit()

    def close(self) -> None:
        """Make what was scored count, and end the candidates."""
        try:
            with self._own:
                self._commit()
        finally:
            for each in self._processes:
                each.close()
            self._files.close()

    def let_go(self, days: int) -> None:
        """Delete the differences of days that are longer ago than *days*."""
        self._files.let_go(days, self._clock.now().date())

    def _take(self, answers: NewAnswers, until: float | None) -> None:
        if self._day not in (None, answers.day) or sum(map(len, self._rows)) >= _COMMIT_ROWS:
            self._commit()  # where that fails nothing more is taken
        self._day = answers.day
        rows: list[pa.Table] = []
        counts = dict(self._counts)
        if self.rollout.state != "paused":
            seen = [r for r in answers.read.requests if r.at_micros >= self._since and r.level == 1 and r.item_ids]
            chosen = mirrored_first(seen, self.rollout.plan.mirrored, self._fraction)
            for version, mirrored in self._mirrored(chosen, answers.features, until).items():
                counts[version] = _counted(counts[version], len(seen), len(chosen), mirrored)
                rows += [shadow_rows(mirrored, version)] if mirrored else []
        # Together, so that what fails before is done again from the beginning, and nothing is there twice.
        self._rows, self._counts = self._rows + rows, counts
        self._answers.take(answers)

    def _mirrored(
        self, chosen: Sequence[ScoredRequest], features: tuple[str, ...], until: float | None
    ) -> dict[str, list[Mirrored]]:
        """Let every candidate score what was *chosen*, as far as they may; without *until* wait until they may.

        A request that one of them was asked is asked of all, also where the first takes what was left of the budget:
        that is owed, and nobody goes short for the place in the list.
        """
        champion = self.rollout.champion
        mirrored: dict[str, list[Mirrored]] = {each.version: [] for each in self._processes}
        for request in chosen:
            if not self._may_go_on(until):
                break
            asked = _asked(request, features, champion)
            for process in self._processes:
                if _ready(process, wait=until is None):
                    mirrored[process.version].append(Mirrored(request, champion, process.score(asked)))
        return mirrored

    def _may_go_on(self, until: float | None) -> bool:
        if until is not None:
            return self._clock.monotonic() <= until and self._budget.left > 0
        while (wait := self._budget.wait_seconds) > 0:
            self._rest(max(wait, _LEAST_REST))
        return True

    def _check_memory(self) -> None:
        for each in self._processes:
            each.check_memory()

    def _spent(self) -> float:
        return self._own.seconds + sum(each.cpu_seconds for each in self._processes)

    def _commit_if_due(self) -> None:
        if self._clock.monotonic() - self._committed >= _COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        rows = pa.concat_tables(self._rows) if self._rows else None
        followed = self._clock.monotonic() - self._begun
        before = self._before
        state = ShadowState(
            place=self._answers.place,
            counts=dict(self._counts),
            cpu_seconds=before.cpu_seconds + self._spent(),
            followed_seconds=before.followed_seconds + followed,
            starts={each.version: before.starts.get(each.version, 0) + each.starts for each in self._processes},
            trouble={each.version: each.trouble for each in self._processes if each.trouble},
        )
        self._files.commit(rows, self._day, state)
        self._rows, self._committed = [], self._clock.monotonic()


def mirrored_first(
    requests: Sequence[ScoredRequest], percent: float, fraction: Callable[[str], float]
) -> list[ScoredRequest]:
    """Return the requests that *percent* of all takes, in the order in which they are scored: by the same hash."""
    hashes_R = np.array([fraction(each.request_id) for each in requests])
    order_R = np.argsort(hashes_R, kind="stable")
    return [requests[r] for r in order_R[hashes_R[order_R] * 100 < percent].tolist()]


def _ready(process: CandidateProcess, *, wait: bool) -> bool:
    """Tell whether *process* can be asked now, or, where that is to be waited for, ever."""
    while wait and not process.ready(_LOAD_WAIT) and not process.trouble:
        pass
    return process.ready()


def _asked(request: ScoredRequest, features: tuple[str, ...], champion: str) -> Asked:
    items = len(request.item_ids)
    names = features if request.features else ()
    x_NL = np.frombuffer(request.features, np.float32).reshape(items, len(names))
    return Asked(request.user_id, request.item_ids, request.as_of_micros, champion, names, x_NL, request.objective)


def _counted(counts: Counts, seen: int, chosen: int, mirrored: Sequence[Mirrored]) -> Counts:
    scored = sum(isinstance(each.told, Scored) for each in mirrored)
    unread = sum(isinstance(each.told, Failed) and each.told.kind == "features_not_read" for each in mirrored)
    return replace(
        counts,
        seen=counts.seen + seen,
        chosen=counts.chosen + chosen,
        scored=counts.scored + scored,
        unread=counts.unread + unread,
        failed=counts.failed + len(mirrored) - scored - unread,
        dropped=counts.dropped + chosen - len(mirrored),
    )
