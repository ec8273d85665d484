"""What the prediction log must say of a model before it may serve: ``blessing.gates.ope`` in ``model_config.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orita.core.config import Section

__all__ = ["OpeGate"]

SlateEstimatorName = Literal[
    "slate_ips",
    "self_normalised_slate_ips",
    "independent_ips",
    "self_normalised_independent_ips",
    "reward_interaction_ips",
    "self_normalised_reward_interaction_ips",
    "cascade_dr",
]


class OpeGate(Section):
    """What the champion's own log must say of a challenger.

    Attributes:
        reward: the column of events that is earned.
        within_minutes: how long after an answer it may be earned.
        days: of the log, before now.
        estimator: whose gain is looked at.
        confidence: of its interval.
        least_gain: the lower end of the interval must be no less, in shares of what was earned as logged: 0 asks that
            nothing is lost, −0.01 allows a hundredth.
        not_enough: what happens where the log cannot tell: ``refuse`` keeps the champion, ``allow`` goes on.
    """

    reward: str = "click"
    within_minutes: Annotated[float, Field(gt=0, le=60 * 24 * 90)] = 30
    days: Annotated[int, Field(ge=1, le=3650)] = 14
    estimator: SlateEstimatorName = "cascade_dr"
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    least_gain: Annotated[float, Field(ge=-1, le=10)] = 0.0
    not_enough: Literal["refuse", "allow"] = "refuse"
