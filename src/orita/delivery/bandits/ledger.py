"""What one bandit learns of the log, record by record: which rewards count, and for which choice.

All of it follows from the records, their order and the times at which they were appended, never from the clock of who
reads: so every worker and replica, and a restart that reads again, come to the same.

A reward counts once for each arm of its choice, if it comes while the choice is open. A choice closes when records were
appended ``wait_seconds`` after it, or when ``most_open`` others came after it; what has no reward by then earned
``unrewarded``, where the declaration says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
import numpy as np

from orita.core.errors import UserError
from orita.delivery.bandits.bandit import Bandit
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.records import Choice, Record

__all__ = ["ArmCounts", "Ledger", "LedgerState", "OpenChoice"]

_MICROS = 1_000_000


class OpenChoice(msgspec.Struct, array_like=True, gc=False):
    """A choice whose rewards count.

    Attributes:
        at: when it was appended, microseconds.
        arms: as picked.
        context: as logged.
        rewarded: a bit for each position that has its reward.
    """

    at: int
    arms: list[str]
    context: list[float] | None
    rewarded: int = 0


class ArmCounts(msgspec.Struct, array_like=True, gc=False):
    """What came of an arm, nothing forgotten.

    Attributes:
        picked: choices it was in.
        rewarded: rewards that counted, those that were taken for granted included.
        total: their sum.
    """

    picked: int = 0
    rewarded: int = 0
    total: float = 0.0


class LedgerState(msgspec.Struct, array_like=True):
    """A ledger, to be written."""

    learning: str
    bandit: bytes
    open: dict[str, OpenChoice]
    arms: dict[str, ArmCounts]
    ignored: dict[str, int]


class Ledger:
    """The state of one bandit.

    Attributes:
        declaration: as it is now.
        bandit: what it learnt.
        open: choices that wait for rewards, by decision id, the oldest first.
        arms: what came of each arm.
        ignored: rewards that did not count, by reason: ``again``, ``no_open_choice``, ``not_of_the_choice``,
            ``out_of_range``.
        changed: whether it learnt something since this was last set to False.
    """

    def __init__(self, declaration: BanditDeclaration, state: LedgerState | None = None) -> None:
        self.declaration = declaration
        self.open: dict[str, OpenChoice] = {} if state is None else state.open
        self.arms: dict[str, ArmCounts] = {} if state is None else state.arms
        self.ignored: dict[str, int] = {} if state is None else state.ignored
        self.changed = True
        self._due: list[tuple[str, float, list[float] | None, int]] = []
        if state is None:
            self.bandit = Bandit(declaration.policy, declaration.arms, discount=declaration.discount, remembered=0)
        else:
            self.bandit = Bandit.from_bytes(state.bandit)
            self.declare(declaration)

    @property
    def waiting(self) -> int:
        """How many choices lack a reward that may still come."""
        return sum(each.rewarded != (1 << len(each.arms)) - 1 for each in self.open.values())

    def declare(self, declaration: BanditDeclaration) -> None:
        """Take up a declaration that learns as the one before: other arms, another prior or policy of the same sums."""
        self.declaration, self.changed = declaration, True
        bandit = self.bandit.with_policy(declaration.policy)
        bandit.add_arms([arm for arm in declaration.arms if arm not in bandit.arms])
        bandit.retire_arms([arm for arm in bandit.arms if arm not in declaration.arms])
        self.bandit = bandit

    def fold(self, records: Iterable[tuple[int, Record]]) -> None:
        """Take in records of this bandit, each with the time when it was appended."""
        for appended_at, record in records:
            self._close(appended_at - int(self.declaration.wait_seconds * _MICROS))
            if isinstance(record, Choice):
                self._chosen(appended_at, record)
            else:
                self._rewarded(record.decision, record.arms, record.rewards)
        self._learn()

    def state(self) -> LedgerState:
        """Return all that it knows."""
        return LedgerState(self.declaration.learning, self.bandit.to_bytes(), self.open, self.arms, self.ignored)

    def _chosen(self, appended_at: int, choice: Choice) -> None:
        if choice.learning != self.declaration.learning:
            return  # of a declaration that learnt otherwise
        self.open[choice.decision] = OpenChoice(appended_at, choice.arms, choice.context)
        for arm in choice.arms:
            self.arms.setdefault(arm, ArmCounts()).picked += 1
        if len(self.open) > self.declaration.most_open:
            self._close_one(next(iter(self.open)))

    def _rewarded(self, decision: str, arms: list[str] | None, rewards: list[float]) -> None:
        choice = self.open.get(decision)
        if choice is None:
            return self._ignore("no_open_choice", len(rewards))
        for number, reward in enumerate(rewards):
            arm = None if arms is None else arms[number]
            position = number if arm is None else choice.arms.index(arm) if arm in choice.arms else -1
            if not 0 <= position < len(choice.arms):
                self._ignore("not_of_the_choice")
            elif choice.rewarded >> position & 1:
                self._ignore("again")
            else:
                self._count(choice, position, reward)
        return None

    def _count(self, choice: OpenChoice, position: int, reward: float) -> None:
        low, high = self.declaration.policy.rewards
        if not (low <= reward <= high and math.isfinite(reward)):
            return self._ignore("out_of_range")
        choice.rewarded |= 1 << position
        arm = choice.arms[position]
        counts = self.arms.setdefault(arm, ArmCounts())
        counts.rewarded += 1
        counts.total += reward
        self._due.append((arm, reward, choice.context, choice.at))
        return None

    def _close(self, before: int) -> None:
        """Close the choices of before a time, in microseconds."""
        while self.open:
            decision, choice = next(iter(self.open.items()))
            if choice.at >= before:
                return
            self._close_one(decision)

    def _close_one(self, decision: str) -> None:
        choice, unrewarded = self.open.pop(decision), self.declaration.unrewarded
        for position in range(len(choice.arms) if unrewarded is not None else 0):
            if not choice.rewarded >> position & 1:
                assert unrewarded is not None
                self._count(choice, position, unrewarded)

    def _learn(self) -> None:
        """Teach the bandit what is due, at once: a linear model is then solved once."""
        due, self._due = self._due, []
        if not due:
            return
        arms = [arm for arm, *_ in due]
        unknown = [arm for arm in dict.fromkeys(arms) if arm not in self.bandit.arms + tuple(self.bandit.retired)]
        self.bandit.add_arms(unknown)  # of an arm that was taken out since; it may come back
        self.bandit.retire_arms(unknown)
        contexts = np.array([context for _, _, context, _ in due]) if self.declaration.features else None
        at = [micros / _MICROS for *_, micros in due]
        self.bandit.update_many(arms, [reward for _, reward, *_ in due], contexts, at=at)
        self.changed = True

    def _ignore(self, reason: str, rewards: int = 1) -> None:
        self.ignored[reason] = self.ignored.get(reason, 0) + rewards


def read_ledger(declaration: BanditDeclaration, state: LedgerState) -> Ledger | None:
    """Return the ledger that was written, None where it learnt by another declaration, or cannot be read."""
    if state.learning != declaration.learning:
        return None
    try:
        return Ledger(declaration, state)
    except UserError:
        return None
