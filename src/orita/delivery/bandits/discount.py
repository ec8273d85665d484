"""How fast a bandit forgets: never, by a factor an update, or by a half-life in time.

Legend: N updates.

Sums of rewards are weighed. The clock of a bandit says as of when: the number of updates, or with a half-life the
latest time of feedback. Forgetting multiplies what is there by ``decay`` and adds what is new by its ``weight``.

With a half-life weights depend on times alone, so the order of arrival does not matter. With a factor an update counts
as one step when it arrives.

Merging two replicas that saw different feedback since a common base: sums are a linear combination of the three. With a
half-life that is the sum of both replicas' news and the base, all as of the later clock. With a factor the news of each
keep the age that they have in their own replica, and the base ages by the updates of both: so the order of merging does
not matter, and three replicas merge as two and one.

Source: Garivier and Moulines (2011), On upper-confidence bound policies for switching bandit problems (discounted UCB);
Raj and Kalyani (2017), Taming non-stationary bandits: a Bayesian approach (discounted Thompson sampling).
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from orita.core.errors import UserError
from orita.delivery.bandits.belief import FloatArray

__all__ = ["Discount", "HalfLife", "PerUpdate"]


class PerUpdate(msgspec.Struct, frozen=True, tag="per_update", forbid_unknown_fields=True):
    """Every update multiplies what was known by *factor*, in (0, 1]; 1 never forgets."""

    factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise UserError(f"discount factor {self.factor}: must be above 0 and at most 1; 0.999 keeps about 1,000")

    @property
    def start(self) -> float:
        """Return the clock of a bandit without feedback."""
        return 0.0

    def step(self, clock: float, at: float | None) -> tuple[float, float, float]:
        """Return clock, decay and weight of one update; *at* has no meaning here."""
        return clock + 1, self.factor, 1.0

    def steps(self, clock: float, at_N: FloatArray | None, count: int) -> tuple[float, float, FloatArray]:
        """Return clock, decay and weights of *count* updates that come in this order."""
        return clock + count, self.factor**count, self.factor ** np.arange(count - 1, -1, -1.0)

    def merging(self, first: float, second: float, base: float) -> tuple[float, tuple[float, float, float]]:
        """Return the clock of two replicas' merger, and the factors of the first, the second and the base."""
        ours, theirs = first - base, second - base
        return base + ours + theirs, (
            1.0,
            1.0,
            self.factor ** (ours + theirs) - self.factor**ours - self.factor**theirs,
        )


class HalfLife(msgspec.Struct, frozen=True, tag="half_life", forbid_unknown_fields=True):
    """Feedback counts half after *seconds* > 0; each update says of when it is, in seconds since the Unix epoch."""

    seconds: float

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise UserError(
                f"half-life {self.seconds}: must be above 0 seconds; leave the discount out to never forget"
            )

    @property
    def start(self) -> float:
        """Return the clock of a bandit without feedback."""
        return -math.inf

    def step(self, clock: float, at: float | None) -> tuple[float, float, float]:
        """Return clock, decay and weight of one update *at* a time."""
        if at is None or not math.isfinite(at):
            raise UserError(f"at {at}: with a half-life each update needs its time; give seconds since the Unix epoch")
        if at >= clock:
            return at, self._left(at - clock), 1.0
        return clock, 1.0, self._left(clock - at)

    def steps(self, clock: float, at_N: FloatArray | None, count: int) -> tuple[float, float, FloatArray]:
        """Return clock, decay and weights of updates at times, in any order."""
        if at_N is None or not np.isfinite(at_N).all():
            raise UserError(
                f"at {at_N}: with a half-life each update needs its time; give seconds since the Unix epoch"
            )
        latest = max(clock, float(at_N.max()))
        return latest, self._left(latest - clock) if latest > clock else 1.0, 0.5 ** ((latest - at_N) / self.seconds)

    def merging(self, first: float, second: float, base: float) -> tuple[float, tuple[float, float, float]]:
        """Return the clock of two replicas' merger, and the factors of the first, the second and the base."""
        clock = max(first, second)
        ours, theirs, old = (1.0 if as_of == clock else self._left(clock - as_of) for as_of in (first, second, base))
        return clock, (ours, theirs, -old)

    def _left(self, seconds: float) -> float:
        return float(0.5 ** (seconds / self.seconds))


Discount = PerUpdate | HalfLife
