"""Which rewards count, for which choice, and when: what waits for rewards, and when it waits no longer.

A reward counts once for each arm of its choice, if it comes while the choice is open. A choice closes when records were
appended ``wait_seconds`` after it, or when ``most_open`` others wait that came after it; the last is counted, as such
choices wait for less time than was declared.

Where the declaration says what silence earned, ``unrewarded``, all arms of a choice count when it closes, those with a
reward and those without: a click is told within a minute, and silence only by the end of the wait. If clicks counted at
once, what was chosen of late would seem to earn 1 each time, and the arms that are picked most would look best. This is
the bias of delayed feedback: Chapelle (2014), Modeling delayed feedback in display advertising; Vernade, Cappé and
Perchet (2017), Stochastic bandit models for delayed conversions.

Where it does not, every arm is told its reward: each counts as it comes, and a choice that has them all closes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from orita.delivery.bandits.declarations import MOST_VALUE, BanditDeclaration
from orita.delivery.bandits.records import Choice, Record, Rewards

__all__ = ["Counted", "Held", "OpenChoice", "OpenChoices"]

_MICROS = 1_000_000


class Held(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A reward that was told.

    Attributes:
        position: of the arm, from 0.
        reward: what it earned.
        at: when it was told, microseconds since the Unix epoch.
    """

    position: int
    reward: float
    at: int


class OpenChoice(msgspec.Struct, array_like=True, gc=False):
    """A choice whose rewards count.

    Attributes:
        at: when it was appended, microseconds.
        arms: as picked.
        context: as logged.
        rewarded: a bit for each position that has its reward.
        held: rewards that count when it closes.
    """

    at: int
    arms: list[str]
    context: list[float] | None
    rewarded: int = 0
    held: list[Held] = []

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
        at: when it was told, microseconds; None: it is what the declaration says of arms without one.
    """

    decision: str
    choice: OpenChoice
    position: int
    reward: float
    at: int | None


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

    @property
    def held(self) -> int:
        """Rewards that were told and count when their choices close."""
        return sum(len(choice.held) for choice in self.open.values())

    def take(self, appended_at: int, record: Record) -> Iterator[Counted]:
        """Take in a record and yield what counts of it, and of the choices that it closes."""
        yield from self.close(appended_at)
        if not isinstance(record, Choice):
            yield from self._rewarded(record)
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

    def _rewarded(self, told: Rewards) -> Iterator[Counted]:
        choice = self.open.get(told.decision)
        if choice is None:
            self._ignore("no_open_choice", len(told.rewards))
            return
        for number, reward in enumerate(told.rewards):
            arm = None if told.arms is None else told.arms[number]
            position = number if arm is None else choice.arms.index(arm) if arm in choice.arms else -1
            if not 0 <= position < len(choice.arms):
                self._ignore("not_of_the_choice")
            elif choice.rewarded >> position & 1:
                self._ignore("again")
            elif self._counts(choice, reward):
                choice.rewarded |= 1 << position
                if self.declaration.unrewarded is None:
                    yield Counted(told.decision, choice, position, reward, told.at)
                else:
                    choice.held.append(Held(position, reward, told.at))
        if choice.complete and self.declaration.unrewarded is None:
            del self.open[told.decision]

    def _close_one(self, decision: str) -> Iterator[Counted]:
        choice, silence = self.open.pop(decision), self.declaration.unrewarded
        if silence is None:
            return
        told = {held.position: held for held in choice.held}
        for position in range(len(choice.arms)):
            if held := told.get(position):
                yield Counted(decision, choice, position, held.reward, held.at)
            elif self._counts(choice, silence):
                yield Counted(decision, choice, position, silence, None)

    def _counts(self, choice: OpenChoice, reward: float) -> bool:
        """Return whether a reward may be learnt of; one that may not is counted as ignored."""
        low, high = self.declaration.policy.rewards
        if not (low <= reward <= high and math.isfinite(reward)):
            self._ignore("out_of_range")
            return False
        if not all(abs(value) <= MOST_VALUE for value in choice.context or ()):
            self._ignore("context_out_of_range")
            return False
        return True

    def _ignore(self, reason: str, rewards: int = 1) -> None:
        self.ignored[reason] = self.ignored.get(reason, 0) + rewards
