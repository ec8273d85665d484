"""What ``/api/v1/rollouts`` takes and answers; a rollout is answered as `orita.delivery.rollouts.standing.Standing`."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.rollouts.standing import Standing

__all__ = [
    "GivenPlan",
    "RolloutAcknowledgement",
    "RolloutDecision",
    "RolloutList",
    "RolloutPromotion",
    "RolloutRequest",
]

Reason = Annotated[str, Meta(max_length=2000)]


class RolloutList(Struct, frozen=True):
    """Rollouts: those under way, then those that ended, the latest first; of each system the last 20 of these."""

    rollouts: list[Standing]


class RolloutRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A rollout that is to begin.

    Attributes:
        plan: which versions, by which strategy.
        reason: why; it is kept with the decision.
    """

    plan: RolloutPlan
    reason: Reason = ""


class GivenPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """A `RolloutRequest` whose plan was not looked at yet."""

    plan: dict[str, Any]
    reason: Reason = ""


class RolloutDecision(Struct, frozen=True, forbid_unknown_fields=True):
    """A decision about a rollout.

    Attributes:
        reason: why; it is kept with the decision.
        step: of the rollout as the caller saw it, from 1; where it is another one by now nothing is decided, so that
            who asks again does not go two steps. null: do not check.
    """

    reason: Reason = ""
    step: Annotated[int, Meta(ge=1)] | None = None


class RolloutAcknowledgement(Struct, frozen=True, forbid_unknown_fields=True):
    """What holds a rollout was looked at, and is meant.

    Attributes:
        reason: why it is meant; it is kept with the decision.
        checks: of ``scores``, ``drift`` and ``split`` those that hold it no more; none: all that hold it now.
    """

    reason: Annotated[str, Meta(min_length=1, max_length=2000)]
    checks: Annotated[list[str], Meta(max_length=3)] = []  # msgspec gives each its own


class RolloutPromotion(Struct, frozen=True, forbid_unknown_fields=True):
    """The decision that a version becomes the champion.

    Attributes:
        version: which, where several are tried.
        reason: why; it is kept with the decision.
    """

    version: str | None = None
    reason: Reason = ""
