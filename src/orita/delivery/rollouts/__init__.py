"""How a new version reaches users: declared, kept in control state, routed, watched, and taken back where it harms."""

from orita.delivery.rollouts.checks import (
    Checks,
    DriftCheck,
    ErrorCheck,
    GuardrailCheck,
    LatencyCheck,
    MetricCheck,
    ScoreCheck,
)
from orita.delivery.rollouts.plan import CANARY_STEPS, RolloutPlan, Step, Strategy
from orita.delivery.rollouts.rollout import ROLLOUT, Rollout, RolloutState, SystemRollouts
from orita.delivery.rollouts.rollouts import Rollouts

__all__ = [
    "CANARY_STEPS",
    "ROLLOUT",
    "Checks",
    "DriftCheck",
    "ErrorCheck",
    "GuardrailCheck",
    "LatencyCheck",
    "MetricCheck",
    "Rollout",
    "RolloutPlan",
    "RolloutState",
    "Rollouts",
    "ScoreCheck",
    "Step",
    "Strategy",
    "SystemRollouts",
]
