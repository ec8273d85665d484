"""What one bandit learns of the log, record by record.

All of it follows from the records, their order and the times at which they were appended, never from the clock of who
reads: so every worker and replica, and a restart that reads again, come to the same. Which rewards count is in
`orita.delivery.bandits.open_choices`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from orita.core.errors import UserError
from orita.delivery.bandits.bandit import Bandit
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.open_choices import Counted, OpenChoice, OpenChoices
from orita.delivery.bandits.records import Choice, Record

__all__ = ["ArmCounts", "Ledger", "LedgerState", "read_ledger"]

_MICROS = 1_000_000


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
    early: int


class Ledger:
    """The state of one bandit.

    Attributes:
        declaration: as it is now.
        bandit: what it learnt.
        choices: those that wait for rewards.
        arms: what came of each arm.
        changed: whether it learnt something since this was last set to False.
    """

    def __init__(self, declaration: BanditDeclaration, state: LedgerState | None = None) -> None:
        self.declaration = declaration
        self.choices = OpenChoices(declaration)
        self.arms: dict[str, ArmCounts] = {} if state is None else state.arms
        self.changed = True
        if state is None:
            self.bandit = Bandit(declaration.policy, declaration.arms, discount=declaration.discount, remembered=0)
        else:
            self.choices = OpenChoices(declaration, state.open, state.ignored, state.early)
            self.bandit = Bandit.from_bytes(state.bandit)
            self.declare(declaration)

    @property
    def open(self) -> dict[str, OpenChoice]:
        """Choices whose rewards may still come, by decision id, the oldest first."""
        return self.choices.open

    @property
    def ignored(self) -> dict[str, int]:
        """Rewards that did not count, by reason.

        Reasons are ``again``, ``no_open_choice``, ``not_of_the_choice``, ``out_of_range``, ``context_out_of_range``.
        """
        return self.choices.ignored

    def declare(self, declaration: BanditDeclaration) -> None:
        """Take up a declaration that learns as the one before: other arms, another prior or policy of the same sums."""
        self.declaration = self.choices.declaration = declaration
        self.changed = True
        bandit = self.bandit.with_policy(declaration.policy)
        bandit.add_arms([arm for arm in declaration.arms if arm not in bandit.arms])
        bandit.retire_arms([arm for arm in bandit.arms if arm not in declaration.arms])
        self.bandit = bandit

    def fold(self, records: Iterable[tuple[int, Record]]) -> None:
        """Take in records of this bandit, each with the time when it was appended."""
        due: list[Counted] = []
        for appended_at, record in records:
            if not isinstance(record, Choice):
                due += self.choices.take(appended_at, record)
            elif record.learning == self.declaration.learning:
                due += self.choices.take(appended_at, record)
                for arm in record.arms:
                    self.arms.setdefault(arm, ArmCounts()).picked += 1
            else:  # of a declaration that learnt otherwise
                due += self.choices.close(appended_at)
        self._learn(due)

    def state(self) -> LedgerState:
        """Return all that it knows."""
        learning, choices = self.declaration.learning, self.choices
        return LedgerState(learning, self.bandit.to_bytes(), self.open, self.arms, self.ignored, choices.early)

    def _learn(self, due: list[Counted]) -> None:
        """Teach the bandit what is due, at once: a linear model is then solved once."""
        if not due:
            return
        arms = [each.choice.arms[each.position] for each in due]
        for arm, each in zip(arms, due, strict=True):
            counts = self.arms.setdefault(arm, ArmCounts())
            counts.rewarded += 1
            counts.total += each.reward
        unknown = [arm for arm in dict.fromkeys(arms) if arm not in self.bandit.arms + tuple(self.bandit.retired)]
        self.bandit.add_arms(unknown)  # of an arm that was taken out since; it may come back
        self.bandit.retire_arms(unknown)
        contexts = np.array([each.choice.context for each in due]) if self.declaration.features else None
        at = [each.choice.at / _MICROS for each in due]
        self.bandit.update_many(arms, [each.reward for each in due], contexts, at=at)
        self.changed = True


def read_ledger(declaration: BanditDeclaration, state: LedgerState) -> Ledger | None:
    """Return the ledger that was written, None where it learnt by another declaration, or cannot be read."""
    if state.learning != declaration.learning:
        return None
    try:
        return Ledger(declaration, state)
    except UserError:
        return None
