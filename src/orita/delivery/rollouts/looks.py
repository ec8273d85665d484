"""What one look adds to the evidence on a rollout: counts by version, of users who were given theirs by dice.

Legend: U users, each counted once: in a period of the guards, and in a step for the metric.

A user who returns answers for himself again, so that requests of one user are not independent. Guards (errors,
latency, scores, features) count a user's first request in each period of some minutes, so that what breaks later is
found as quickly. The metric and guardrails count a user's first answer in each step; a user whom a version had in an
earlier step is left out, and those who had the champion then are a batch of their own: in each batch who got which
version is chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from orita.control.events import ControlEvent

__all__ = ["SPLIT_SETTLES", "FirstItems", "GuardCounts", "Look", "MetricBatch", "MetricCounts", "Stage", "stages_of"]

SPLIT_SETTLES = timedelta(seconds=5)
"""Servers take a split up within a second; so long after it began, who got which version says nothing of the dice."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stage:
    """A time in which the split stood still.

    Attributes:
        number: 0, 1, 2 … of the rollout.
        step: of the rollout, several stages have one where shares are set by a bandit.
        since: when it began.
        shares: percent by version.
    """

    number: int
    step: int
    since: datetime
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class FirstItems:
    """What a version was given, of users of whom it is kept.

    Attributes:
        names: the F features.
        x_UF: of the item that was ranked first, NaN where missing.
        varies_F: whether items of an answer were seen to differ.
        chance_U: a hash of the answer in [0, 1).
        share_U: the share that was kept then: answers whose hash is below it.
    """

    names: tuple[str, ...]
    x_UF: npt.NDArray[np.float32]
    varies_F: npt.NDArray[np.bool_]
    chance_U: Floats
    share_U: Floats


@dataclass(frozen=True, slots=True, eq=False)
class GuardCounts:
    """Of one version, the users that came for the first time in the period.

    Attributes:
        failed_U: whether something stood in for the model.
        latency_ms_U: of the request inside the server.
        score_U: of the item that was ranked first, NaN where there is none.
        features: of some of the users; None: of none.
        chance_U: a hash of the user in [0, 1); None: shares stand still, of which no part is ever kept.
    """

    failed_U: npt.NDArray[np.bool_]
    latency_ms_U: Floats
    score_U: Floats
    features: FirstItems | None = None
    chance_U: Floats | None = None


@dataclass(frozen=True, slots=True)
class MetricCounts:
    """Of one version, the users whose outcomes are known now: sums over users of shown items n and outcomes y.

    An outcome is 1 for an item that had one; of a mean, it is what the item's outcomes are worth.

    Attributes:
        users: how many.
        shown, outcomes: Σ n and Σ y.
        shown_squares, products, squares: Σ n², Σ n·y and Σ y².
    """

    users: float = 0.0
    shown: float = 0.0
    outcomes: float = 0.0
    shown_squares: float = 0.0
    products: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, shown_U: npt.ArrayLike, outcomes_U: npt.ArrayLike) -> MetricCounts:
        """Return the sums of users with *shown_U* items each, of which *outcomes_U* had an outcome."""
        n_U, y_U = np.asarray(shown_U, np.float64), np.asarray(outcomes_U, np.float64)
        sums = (n_U.sum(), y_U.sum(), n_U @ n_U, n_U @ y_U, y_U @ y_U)
        return cls(len(n_U), *(float(each) for each in sums))

    def __add__(self, other: MetricCounts) -> MetricCounts:
        return MetricCounts(
            self.users + other.users,
            self.shown + other.shown,
            self.outcomes + other.outcomes,
            self.shown_squares + other.shown_squares,
            self.products + other.products,
            self.squares + other.squares,
        )

    @property
    def rate(self) -> float:
        """Outcomes by shown item; NaN where nothing was shown."""
        return self.outcomes / self.shown if self.shown else float("nan")


@dataclass(frozen=True, slots=True)
class MetricBatch:
    """Users of one time who are alike but for the dice.

    Attributes:
        stage: in which they were counted.
        fresh: whether the rollout saw them for the first time; otherwise they had the champion in an earlier step.
        counts: by version.
    """

    stage: int
    fresh: bool
    counts: Mapping[str, MetricCounts]


@dataclass(frozen=True, slots=True)
class Look:
    """What is new.

    Attributes:
        at: the time up to which all is counted.
        stage: in which the answers were given.
        period: of the guards, 0, 1, 2 … of the rollout: in a new one every user counts anew.
        answered: answers by version that were routed by the split of the stage, all that nothing stood in for.
        guards: by version.
        newcomers: users by version whom the rollout sees for the first time, whatever the period.
        metric: of users whose outcomes are known by now; they were answered earlier.
        guardrails: the same by the name of each guardrail.
        behind: answers that were routed by a split of before, and count for nothing else.
        left_out: users of the whole rollout whom the metric or a guardrail does not count, as too many items waited
            for outcomes.
        returned: users by version who come for the first time in this step and had the champion in an earlier one.
    """

    at: datetime
    stage: Stage
    period: int
    answered: Mapping[str, int]
    guards: Mapping[str, GuardCounts]
    newcomers: Mapping[str, int] = field(default_factory=dict)
    metric: tuple[MetricBatch, ...] = ()
    left_out: int = 0
    guardrails: Mapping[str, tuple[MetricBatch, ...]] = field(default_factory=dict)
    behind: int = 0
    returned: Mapping[str, int] = field(default_factory=dict)


def stages_of(history: Iterable[ControlEvent], id_: str) -> list[Stage]:
    """Return the stages of rollout *id_* so far, from what was decided of its system."""
    stages: list[Stage] = []
    for event in history:
        if event.type not in ("started", "advanced", "reweighted"):
            continue
        body = msgspec.json.decode(event.body)
        if body["id"] == id_:
            shares: dict[str, float] = {}
            for version, percent in body["split"]["portions"]:
                shares[version] = shares.get(version, 0.0) + percent
            stages.append(Stage(len(stages), body["step"], event.at, shares))
    return stages
