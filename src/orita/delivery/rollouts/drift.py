"""Was the challenger given features like the champion's? The distance of Kolmogorov and Smirnov, feature by feature.

Legend: U users of one version, F features, B bins.

A version whose features are computed otherwise, or come from another store, or are missing, is given other numbers than
the champion for users whom dice chose. Features of the request (of the user, of the time) do not depend on what a model
prefers; those that differ between the items of an answer do, by the item that is ranked first, so they are told and not
judged unless the plan says so. Nobody to compare with at the same time, as after a switch, is no comparison: features
follow the hour.

Bins are those of floating-point numbers: of each power of two 8, one for what is missing. Bounds, looks and periods are
those of the scores (`orita.delivery.rollouts.scores`); the level is divided among features.

What is compared is a sample: features of some answers a second are kept, of fewer in busy times. Features follow the
time, so each version's sample is thinned to the smallest share of its period: it is spread as its answers are, whatever
the traffic of the other. It is also thinned by halves beyond 8,192 users, which tell all that a look needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from orita.delivery.rollouts.checks import DriftCheck
from orita.delivery.rollouts.findings import CheckFinding, Says, period_level
from orita.delivery.rollouts.growing_looks import FIRST, GrowingLooks
from orita.delivery.rollouts.looks import FirstItems, GuardCounts
from orita.delivery.rollouts.scores import score_bins

__all__ = ["DriftGuard"]

_BINS = 1 << 12
_MISSING = _BINS - 1
_MOST_FEATURES = 256
_MOST_USERS, _LEAST_SHARE = 8192, 1e-9
_TOLD = 10

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class _Sample:
    """Users of one version in a period, thinned so that all parts of the period are there alike.

    Attributes:
        seen: users whose features came.
        share: of answers that are kept: those whose hash is below it.
        bin_UF, chance_U: bins of the features, and hashes, of users that are kept.
    """

    features: int
    seen: int = 0
    share: float = 1.0
    bin_UF: list[npt.NDArray[np.uint16]] = field(default_factory=list)
    chance_U: list[npt.NDArray[np.float64]] = field(default_factory=list)

    def add(self, bin_UF: npt.NDArray[np.uint16], chance_U: Floats, share_U: Floats) -> None:
        """Add users; where fewer are kept than before, keep as few of those of before."""
        self.seen += len(chance_U)
        self.bin_UF.append(bin_UF)
        self.chance_U.append(chance_U)
        least = float(share_U.min(initial=1.0))
        if least < self.share or self.share < 1:
            self._keep(min(least, self.share))
        while self.users > _MOST_USERS and self.share > _LEAST_SHARE:
            self._keep(self.share / 2)

    @property
    def users(self) -> int:
        """How many are kept."""
        return sum(map(len, self.chance_U))

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Users by bin, [F, B]."""
        bin_UF = np.concatenate(self.bin_UF) if self.bin_UF else np.empty((0, self.features), np.uint16)
        cell_UF = bin_UF + np.arange(self.features) * _BINS
        counts = np.bincount(cell_UF.ravel(), minlength=self.features * _BINS)
        return np.asarray(counts.reshape(self.features, _BINS), np.int64)

    def _keep(self, share: float) -> None:
        """Let those go whose hash is not below *share*; of a share that stands still only the newest can be."""
        first = 0 if share < self.share else len(self.chance_U) - 1
        for place in range(first, len(self.chance_U)):
            kept_U = self.chance_U[place] < share
            self.bin_UF[place], self.chance_U[place] = self.bin_UF[place][kept_U], self.chance_U[place][kept_U]
        self.share = share


@dataclass(slots=True)
class _Compared:
    """What is known of the features of both versions in a period, the champion first.

    Attributes:
        names: the F features.
        samples: of each version.
        missing_2F: shares of users of whom a feature is missing, as of the last look.
    """

    names: tuple[str, ...]
    samples: tuple[_Sample, _Sample]
    missing_2F: Floats

    @classmethod
    def of(cls, names: tuple[str, ...]) -> _Compared:
        return cls(names, (_Sample(len(names)), _Sample(len(names))), np.zeros((2, len(names))))

    @property
    def users(self) -> tuple[int, int]:
        """How many users of each version are compared."""
        return self.samples[0].users, self.samples[1].users

    @property
    def seen(self) -> int:
        """How many came of the version that has fewer."""
        return min(sample.seen for sample in self.samples)

    def count(self, arm: int, given: FirstItems, place_F: npt.NDArray[np.intp]) -> None:
        """Add users of one version; *place_F* are the places of the features among those given."""
        x_UF = given.x_UF[:, place_F]
        bin_UF = np.where(np.isnan(x_UF), _MISSING, np.minimum(score_bins(x_UF) >> 2, _MISSING - 1))
        self.samples[arm].add(bin_UF.astype(np.uint16), given.chance_U, given.share_U)

    def distances(self) -> Floats:
        """Return the greatest difference of the distribution functions, of each feature."""
        share_2FB = np.stack([sample.counts / sample.users for sample in self.samples])
        self.missing_2F = share_2FB[:, :, _MISSING]
        below_2FB = np.cumsum(share_2FB, axis=2)
        distance_F: Floats = np.abs(below_2FB[1] - below_2FB[0]).max(axis=1)
        return distance_F

    def missing(self, name: str) -> tuple[float, float]:
        """Return the share of users of whom a feature is missing, of the champion's and of the challenger's."""
        of_2 = self.missing_2F[:, self.names.index(name)]
        return float(of_2[0]), float(of_2[1])


class DriftGuard:
    """Whether features differ more than is allowed.

    Args:
        check: as declared.
        version: the challenger.
        level: over all looks, periods and features.
    """

    pools = True

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
        self._looks, self._radius = GrowingLooks(self._period_level), math.inf
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
        if self._looks.due(self._compared.seen) and min(self._compared.users) >= FIRST:
            self._look(self._compared)

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        proven = {name: told for name, told in self._proven.items() if self._judges(name)}
        beyond: Says = "harm" if self._check.action == "roll_back" else "beyond"
        users = (0, 0) if self._compared is None else self._compared.users
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
        self._radius = self._looks.radius(compared.seen, compared.users, len(self._names))
        self._distances = dict(zip(self._names, compared.distances().tolist(), strict=True))
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
