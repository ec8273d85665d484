"""What the arms of a bandit earned, when their shares moved meanwhile.

An arm that had most users in the evening has their rates. So each user counts with 1 ÷ the share that the version had
when the user came (inverse propensity weights, normalised as Hájek does): the mean is that of all users, had each had
the version. Weights that differ cost precision: the number of users that the mean is worth is (Σw)² ÷ Σw² (Kish).
"""

from __future__ import annotations

from dataclasses import dataclass

from orita.delivery.rollouts.looks import MetricCounts

__all__ = ["ArmTotals"]


@dataclass(frozen=True, slots=True)
class ArmTotals:
    """Sums over the items shown to one arm's users: of weights, of squared weights, and of weighted outcomes."""

    weight: float = 0.0
    squares: float = 0.0
    outcomes: float = 0.0

    @classmethod
    def of(cls, counts: MetricCounts, share: float) -> ArmTotals:
        """Return those of users who came when the arm had *share* percent; none where it had no share."""
        if share <= 0:
            return cls()
        weight = 100.0 / share
        return cls(weight * counts.shown, weight**2 * counts.shown, weight * counts.outcomes)

    def __add__(self, other: ArmTotals) -> ArmTotals:
        return ArmTotals(self.weight + other.weight, self.squares + other.squares, self.outcomes + other.outcomes)

    def rewards(self, design_effect: float) -> tuple[float, float]:
        """Return how many independent items the mean is worth, and the mean."""
        if not self.weight:
            return 0.0, 0.0
        return self.weight**2 / self.squares / design_effect, self.outcomes / self.weight
