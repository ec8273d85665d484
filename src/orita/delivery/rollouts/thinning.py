"""What a period pools of a challenger and the champion, where a bandit moves their shares within it.

Legend: U users.

Latencies, scores and features follow the time. A version that got more and more users would be compared, by the busy
end of the period, with the champion of its quiet beginning. So of the one that has more users beside each of the
other's than when the period began, a part is kept, by a hash of the user: both pools then come from the same times. The
part depends on shares and on nothing that users did, so that tests which hold at every look go on over any number of
changes. Tests that compare second by second, as that of errors does, need all users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from orita.delivery.rollouts.looks import FirstItems, GuardCounts

__all__ = ["Thinning", "chance_of_users"]

_BITS = 40


class Thinning:
    """Keeps of a challenger and the champion as many users beside each other as when the period began.

    Args:
        champion, version: beside which it runs, and the challenger.
    """

    def __init__(self, champion: str, version: str) -> None:
        self._champion, self._version = champion, version
        self._odds = 0.0

    def begin(self, shares: Mapping[str, float]) -> None:
        """Begin a period with such shares."""
        self._odds = self._odds_of(shares)

    def kept(
        self, users: Mapping[str, GuardCounts], shares: Mapping[str, float]
    ) -> tuple[GuardCounts | None, GuardCounts | None]:
        """Return the users of the champion and of the challenger that count, of those who came at such shares."""
        control, treated = users.get(self._champion), users.get(self._version)
        odds = self._odds_of(shares)
        if self._odds > 0 and odds > self._odds:
            return control, _part(treated, self._odds / odds)
        if 0 < odds < self._odds:
            return _part(control, odds / self._odds), treated
        return control, treated

    def _odds_of(self, shares: Mapping[str, float]) -> float:
        """Return how many users the challenger has beside one of the champion, 0 where one of them has none."""
        control = shares.get(self._champion, 0.0)
        return shares.get(self._version, 0.0) / control if control > 0 else 0.0


def chance_of_users(hash_U: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Return numbers in [0, 1) of users by bits of their hash that no table of slots goes by (`seen_users`)."""
    return (hash_U & np.uint64((1 << _BITS) - 1)).astype(np.float64) / (1 << _BITS)


def _part(counts: GuardCounts | None, share: float) -> GuardCounts | None:
    """Return a *share* of users, and as large a one of those whose features are there."""
    if counts is None:
        return None
    assert counts.chance_U is not None, "users of whom a part is to be kept have a chance each"
    kept_U = counts.chance_U < share
    features = None if counts.features is None else _part_of_features(counts.features, share)
    return GuardCounts(
        counts.failed_U[kept_U], counts.latency_ms_U[kept_U], counts.score_U[kept_U], features, counts.chance_U[kept_U]
    )


def _part_of_features(given: FirstItems, share: float) -> FirstItems | None:
    """Return a *share* of what is kept, whose hashes are spread over what was kept before."""
    kept_U = given.chance_U < share * given.share_U
    if not kept_U.any():
        return None
    return replace(
        given, x_UF=given.x_UF[kept_U], chance_U=given.chance_U[kept_U] / share, share_U=given.share_U[kept_U]
    )
