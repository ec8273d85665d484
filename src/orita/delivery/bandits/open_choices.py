"""Which rewards count, and for which choice: what waits for rewards, and when it waits no longer.

A reward counts once for each arm of its choice, if it comes while the choice is open. A choice closes when all its arms
have their rewards, when records were appended ``wait_seconds`` after it, or when ``most_open`` others wait that came
after it; what has no reward by then earned ``unrewarded``, where the declaration says so. The last is counted, as such
choices wait for less time than was declared.

That silence counts too when a choice closes early is on purpose: rewards that came before then were counted, and with
those alone every arm would seem to earn 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from orita.delivery.bandits.declarations import MOST_VALUE, BanditDeclaration
from orita.delivery.bandits.records import Choice, Record

__all__ = ["Counted", "OpenChoice", "OpenChoices"]

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

    @property
    def complete(self) -> bool:
        """Whether each arm has its reward."""
        return self.rewarded == (1 << len(self.arms)) - 1


@dataclass(frozen=True, slots=True)
class Counted:
    """A reward that counts.

    Attributes:
        decision: id of its choice.
        choice: as it was.
        position: of the arm, from 0.
        reward: what it earned.
        told: whether it was told; else it is what the declaration says of arms without one.
    """

    decision: str
    choice: OpenChoice
    position: int
    reward: float
    told: bool


class OpenChoices:
    """The choices of one bandit that wait for rewards.

    Args:
        declaration: how long they wait, how many, and what they earned then.
        waiting: those that wait already.
        ignored, early: what was counted already.

    Attributes:
        declaration: as given.
        open: those that wait, by decision id, the oldest first.
        ignored: rewards that did not count, by reason.
        early: choices that were closed before their time, as too many waited.
    """

    def __init__(
        self,
        declaration: BanditDeclaration,
        waiting: dict[str, OpenChoice] | None = None,
        ignored: dict[str, int] | None = None,
        early: int = 0,
    ) -> None:
        self.declaration = declaration
        self.open = {} if waiting is None else waiting
        self.ignored = {} if ignored is None else ignored
        self.early = early

    def take(self, appended_at: int, record: Record) -> Iterator[Counted]:
        """Take in a record and yield what counts of it, and of the choices that it closes."""
        yield from self.close(appended_at)
        if not isinstance(record, Choice):
            yield from self._rewarded(record.decision, record.arms, record.rewards)
            return
        self.open[record.decision] = OpenChoice(appended_at, record.arms, record.context)
        if len(self.open) > self.declaration.most_open:
            self.early += 1
            yield from self._close_one(next(iter(self.open)))

    def close(self, now: int) -> Iterator[Counted]:
        """Close the choices that waited long enough at a time, in microseconds."""
        before = now - int(self.declaration.wait_seconds * _MICROS)
        while self.open:
            decision, choice = next(iter(self.open.items()))
            if choice.at >= before:
                return
            yield from self._close_one(decision)

    def _rewarded(self, decision: str, arms: list[str] | None, rewards: list[float]) -> Iterator[Counted]:
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
                yield from self._count(decision, choice, position, reward, told=True)
        if choice.complete:
            del self.open[decision]

    def _close_one(self, decision: str) -> Iterator[Counted]:
        choice, unrewarded = self.open.pop(decision), self.declaration.unrewarded
        for position in range(len(choice.arms) if unrewarded is not None else 0):
            if not choice.rewarded >> position & 1:
                assert unrewarded is not None
                yield from self._count(decision, choice, position, unrewarded, told=False)

    def _count(
        self, decision: str, choice: OpenChoice, position: int, reward: float, *, told: bool
    ) -> Iterator[Counted]:
        low, high = self.declaration.policy.rewards
        if not (low <= reward <= high and math.isfinite(reward)):
            return self._ignore("out_of_range")
        if not all(abs(value) <= MOST_VALUE for value in choice.context or ()):
            return self._ignore("context_out_of_range")
        choice.rewarded |= 1 << position
        yield Counted(decision, choice, position, reward, told)

    def _ignore(self, reason: str, rewards: int = 1) -> None:
        self.ignored[reason] = self.ignored.get(reason, 0) + rewards
