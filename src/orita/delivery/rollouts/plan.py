"""What a rollout is to be: which versions, by which strategy, in which steps, and what they must not do.

    plan = RolloutPlan(strategy="canary", versions=("v1.3.0",))            # 1, 5, 25, 50, 100 %
    plan = RolloutPlan(strategy="ab", versions=("v1.3.0", "v1.4.0"), shares=(25, 25))

Every strategy that changes answers is a split of units between the champion and the challengers; strategies differ in
how the split moves. ``canary`` goes up by steps when the analysis finds no harm. ``blue_green`` holds the new version
ready, loaded and warm, until somebody sends it everything at once. ``ab`` stays as it is until somebody decides.
``bandit`` gives each version as much as it is likely to be the best. ``segment`` gives an audience the new version.
``shadow`` changes no answer: it scores copies of requests.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta, Struct

from orita.core.errors import UserError
from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.layers import Holdout
from orita.delivery.assignment.overrides import Override
from orita.delivery.assignment.split import points_of
from orita.delivery.rollouts.checks import Checks

__all__ = ["CANARY_STEPS", "RolloutPlan", "Step", "Strategy"]

Strategy = Literal["canary", "blue_green", "ab", "bandit", "segment", "shadow"]

MOST_VERSIONS = 6
"""Challengers of one rollout: each is loaded in every server, and has a file of the prediction log open."""

_MOST_SECONDS = 366 * 86_400.0
_ONE = ("canary", "blue_green", "segment")
_FIRST_SHARE = 10.0
_SOAK_SECONDS = 600.0  # the answers that come are compared over five minutes, and a period of the guards is 15


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a canary.

    Attributes:
        share: percent of units that get the new version.
        least_seconds: how long it lasts at least.
        least_requests: how many requests the new version must have answered in it at least.
    """

    share: float
    least_seconds: Annotated[float, Meta(ge=0, le=_MOST_SECONDS)] = 0.0
    least_requests: Annotated[int, Meta(ge=0)] = 500


CANARY_STEPS = (Step(1), Step(5), Step(25), Step(50), Step(100))


class RolloutPlan(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is declared of a rollout.

    Attributes:
        strategy: how it reaches users; see the module.
        versions: the challengers, names of packages in the package store: one, or several for ``ab``, ``bandit`` and
            ``shadow``.
        steps: of a canary, shares rising, the last 100.
        shares: percent for each challenger at the start, of ``ab`` and ``bandit``, 10 % by default; percent of
            requests that are mirrored, of ``shadow``, 100 by default; percent of the audience, of ``segment``, 100 by
            default: with less, the rest of it is who the version is compared with.
        by: attributes that name the unit; the first that is there counts.
        audience: who takes part; without one, everybody. It may not ask for the time.
        holdouts: who is kept out.
        overrides: who gets a version whatever else is true; the analysis leaves them out.
        checks: what the analysis looks at, and where it draws the line.
        least_share: percent that each version of a bandit keeps.
        cpu_percent: most of one processor that a shadow takes.
        soak_seconds: how long a canary, or a blue/green switch, is watched at 100 % at least before the version is
            promoted; 0: only until it has its `least_requests`.
    """

    strategy: Strategy
    versions: tuple[str, ...]
    steps: tuple[Step, ...] = CANARY_STEPS
    shares: tuple[float, ...] = ()
    by: tuple[str, ...] = ("user_id",)
    audience: Condition | None = None
    holdouts: tuple[Holdout, ...] = ()
    overrides: tuple[Override, ...] = ()
    checks: Checks = Checks()
    least_share: float = 5.0
    cpu_percent: Annotated[float, Meta(gt=0, le=100)] = 10.0
    soak_seconds: Annotated[float, Meta(ge=0, le=_MOST_SECONDS)] = _SOAK_SECONDS

    def __post_init__(self) -> None:
        self._check_versions()
        self._check_steps()
        self._check_shares()

    @property
    def routes(self) -> bool:
        """Whether it changes what users get."""
        return self.strategy != "shadow"

    @property
    def splits_users(self) -> bool:
        """Whether dice give each user a version: how many of either answer can be compared."""
        return self.by == ("user_id",)

    @property
    def counts_users(self) -> bool:
        """Whether shares stand still besides: how many users each version has can be tested over a stage."""
        return self.splits_users and self.strategy != "bandit"

    @property
    def first_weights(self) -> dict[str, float]:
        """Percent of each challenger at the start; the champion has the rest."""
        match self.strategy:
            case "canary":
                return {self.versions[0]: self.steps[0].share}
            case "blue_green" | "shadow":
                return dict.fromkeys(self.versions, 0.0)
            case "segment":
                return {self.versions[0]: self.shares[0] if self.shares else 100.0}
            case _:
                return dict(zip(self.versions, self._given_shares, strict=True))

    @property
    def mirrored(self) -> float:
        """Percent of requests that a shadow sees."""
        return self.shares[0] if self.shares else 100.0

    @property
    def _given_shares(self) -> tuple[float, ...]:
        return self.shares or tuple(min(_FIRST_SHARE, 50 / len(self.versions)) for _ in self.versions)

    def _check_versions(self) -> None:
        if not self.versions or len(set(self.versions)) != len(self.versions):
            raise UserError(f"versions are {list(self.versions)}: name each version that is to be tried, once.")
        if len(self.versions) > MOST_VERSIONS:
            raise UserError(f"{len(self.versions)} versions are to be tried, allowed are {MOST_VERSIONS} at a time.")
        if self.strategy in _ONE and len(self.versions) > 1:
            raise UserError(
                f"strategy {self.strategy!r} is for one version, {len(self.versions)} are given: use 'ab' or 'bandit' "
                "for several."
            )
        if self.strategy == "segment" and self.audience is None:
            raise UserError("strategy 'segment' has no audience: say who gets the version, such as 'device is mobile'.")

    def _check_steps(self) -> None:
        shares = [step.share for step in self.steps]
        for share in shares:
            points_of("the share of a step", share)
        rising = all(low < high for low, high in pairwise(shares))
        if len(shares) < 2 or not rising or shares[0] <= 0 or shares[-1] != 100:
            raise UserError(
                f"steps have the shares {shares}: allowed are two or more rising percentages above 0, the last 100; to "
                "give it to everybody at once, deploy it without a strategy."
            )

    def _check_shares(self) -> None:
        several = self.strategy in ("ab", "bandit")
        if self.shares and len(self.shares) != (len(self.versions) if several else 1):
            raise UserError(f"shares are {list(self.shares)}: give one for each of {len(self.versions)} versions.")
        for share in (*self.shares, self.least_share):
            points_of("a share", share)
        if several and sum(self._given_shares) > 100:
            raise UserError(f"shares are {list(self.shares)}: together they may have 100 % at most.")
        if self.strategy == "bandit" and self.least_share * (len(self.versions) + 1) > 100:
            raise UserError(
                f"least_share is {self.least_share:g}: {len(self.versions) + 1} versions cannot have that much each."
            )
