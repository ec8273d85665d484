"""Was the challenger given features like the champion's? The distance of Kolmogorov and Smirnov, feature by feature.

Legend: U users, F features, B bins.

A version whose features are computed otherwise, or come from another store, or are missing, is given other numbers than
the champion for users whom dice chose. Features of the request (of the user, of the time) do not depend on what a model
prefers; those that differ between the items of an answer do, by the item that is ranked first, so they are told and not
judged unless the plan says so. Nobody to compare with at the same time, as after a switch, is no comparison: features
follow the hour.

Bins are those of floating-point numbers: of each power of two 8, one for what is missing. Bounds, looks and periods are
those of the scores (`orita.delivery.rollouts.scores`); the level is divided among features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from orita.delivery.rollouts.checks import DriftCheck
from orita.delivery.rollouts.findings import CheckFinding, Says, period_level
from orita.delivery.rollouts.looks import FirstItems, GuardCounts
from orita.delivery.rollouts.scores import score_bins

__all__ = ["DriftGuard"]

_BINS = 1 << 12
_MISSING = _BINS - 1
_FIRST, _GROWTH = 40.0, 1.25
_MOST_FEATURES = 256
_TOLD = 10


@dataclass(slots=True)
class _Compared:
    """What is known of the features of both versions in a period, the champion first.

    Attributes:
        names: the F features.
        counts_2FB: users by bin.
        users: of each version.
    """

    names: tuple[str, ...]
    counts_2FB: npt.NDArray[np.int32]
    users: list[int] = field(default_factory=lambda: [0, 0])

    @classmethod
    def of(cls, names: tuple[str, ...]) -> _Compared:
        return cls(names, np.zeros((2, len(names), _BINS), np.int32))

    def count(self, arm: int, given: FirstItems, place_F: npt.NDArray[np.intp]) -> None:
        """Add users of one version; *place_F* are the places of the features among those given."""
        x_UF = given.x_UF[:, place_F]
        bin_UF = np.where(np.isnan(x_UF), _MISSING, np.minimum(score_bins(x_UF) >> 2, _MISSING - 1))
        cell_UF = bin_UF + np.arange(len(self.names)) * _BINS
        np.add.at(self.counts_2FB[arm].reshape(-1), cell_UF.ravel(), 1)
        self.users[arm] += len(x_UF)

    @property
    def distances(self) -> npt.NDArray[np.float64]:
        """The greatest difference of the distribution functions, of each feature."""
        below_2FB = np.cumsum(self.counts_2FB, axis=2) / np.reshape(self.users, (2, 1, 1))
        distance_F: npt.NDArray[np.float64] = np.abs(below_2FB[1] - below_2FB[0]).max(axis=1)
        return distance_F

    def missing(self, name: str) -> tuple[float, float]:
        """Return the share of users of whom a feature is missing, of the champion's and of the challenger's."""
        of_2 = self.counts_2FB[:, self.names.index(name), _MISSING] / np.maximum(self.users, 1)
        return float(of_2[0]), float(of_2[1])


class DriftGuard:
    """Whether features differ more than is allowed.

    Args:
        check: as declared.
        version: the challenger.
        level: over all looks, periods and features.
    """

    def __init__(self, check: DriftCheck, version: str, level: float) -> None:
        self._check, self.version, self._level = check, version, level
        self._lists: list[tuple[str, ...] | None] = [None, None]
        self._places: list[npt.NDArray[np.intp]] = []
        self._names: tuple[str, ...] = ()
        self._varies: set[str] = set()
        self._proven: dict[str, str] = {}
        self.begin(0, beside=True)

    def begin(self, period: int, *, beside: bool) -> None:
        """Begin a period; without the champion *beside* it nothing is compared."""
        self._period_level, self._beside = period_level(self._level, period), beside
        self._compared = _Compared.of(self._names) if beside else None
        self._looks, self._next, self._radius = 0, _FIRST, math.inf
        self._distances: dict[str, float] = {}

    def take(self, control: GuardCounts | None, treated: GuardCounts | None) -> None:
        """Count new users of either version."""
        given = [None if counts is None else counts.features for counts in (control, treated)]
        self._learn(given)
        if self._compared is None or not self._names:
            return
        for arm, of_arm in enumerate(given):
            if of_arm is not None and of_arm.names == self._lists[arm]:
                self._varies |= {name for name, varies in zip(of_arm.names, of_arm.varies_F, strict=True) if varies}
                self._compared.count(arm, of_arm, self._places[arm])
        if min(self._compared.users) >= self._next:
            self._look(self._compared)

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        proven = {name: told for name, told in self._proven.items() if self._judges(name)}
        beyond: Says = "harm" if self._check.action == "roll_back" else "beyond"
        users = [0, 0] if self._compared is None else self._compared.users
        known = [set(names or ()) for names in self._lists]
        evidence = {
            "users": users[1],
            "champion_users": users[0],
            "features": len(self._names),
            "distances": self._largest(judged=True),
            "distances_by_item": self._largest(judged=False),
            "within": None if math.isinf(self._radius) else self._radius,
            "most_distance": self._check.most_distance,
            "beyond": sorted(proven),
            "not_compared": sorted((known[0] ^ known[1]) | ((known[0] & known[1]) - set(self._names)))[:_TOLD],
            "level": self._period_level,
        }
        return CheckFinding(
            check="drift",
            version=self.version,
            says=beyond if proven else "fine" if self._distances else "waiting",
            why=", ".join(list(proven.values())[:_TOLD]) if proven else self._told(),
            evidence=evidence,
        )

    def _learn(self, given: list[FirstItems | None]) -> None:
        """Learn which features both versions read; a version has one list of them."""
        if self._names:
            return
        for arm, of_arm in enumerate(given):
            if of_arm is not None:
                self._lists[arm] = of_arm.names
        control, treated = self._lists
        if control is None or treated is None:
            return
        self._names = tuple(name for name in control if name in set(treated))[:_MOST_FEATURES]
        self._places = [np.array([names.index(name) for name in self._names], np.intp) for names in (control, treated)]
        self._compared = _Compared.of(self._names) if self._beside else None

    def _look(self, compared: _Compared) -> None:
        self._looks += 1
        self._next = max(self._next, min(compared.users)) * _GROWTH
        error = self._period_level / (self._looks * (self._looks + 1)) / 2 / len(self._names)
        self._radius = sum(math.sqrt(math.log(2 / error) / (2 * size)) for size in compared.users)
        self._distances = dict(zip(self._names, compared.distances.tolist(), strict=True))
        for name, distance in self._distances.items():
            if self._judges(name) and distance - self._radius > self._check.most_distance:
                self._proven[name] = self._of(name, compared)

    def _judges(self, name: str) -> bool:
        return self._check.items or name not in self._varies

    def _largest(self, *, judged: bool) -> dict[str, float]:
        """Return the largest distances of what is judged, or of what is told only."""
        found = [(name, distance) for name, distance in self._distances.items() if self._judges(name) == judged]
        return dict(sorted(found, key=lambda each: -each[1])[:_TOLD])

    def _of(self, name: str, compared: _Compared) -> str:
        control, treated = compared.missing(name)
        missing = f" (missing for {100 * treated:.1f} % and {100 * control:.1f} %)" if control or treated else ""
        distance = self._distances[name]
        return (
            f"feature {name} of {self.version} and the champion differs by {distance:.3f}{missing}, at least "
            f"{max(distance - self._radius, 0.0):.3f}; allowed is {self._check.most_distance:g}"
        )

    def _told(self) -> str:
        largest = self._largest(judged=True)
        if not largest or self._compared is None:
            return f"features of {self.version} and the champion are not compared yet"
        return self._of(next(iter(largest)), self._compared)
