"""What would another policy have earned? Off-policy evaluation on logs that keep propensities."""

from __future__ import annotations

from orita.delivery.ope.blending import blended_cascade_dr, blended_dr
from orita.delivery.ope.calibration import PropensityCalibration, action_calibration, propensity_calibration
from orita.delivery.ope.decisions import LoggedDecisions
from orita.delivery.ope.diagnostics import Diagnostics, Limits, Verdict, diagnose
from orita.delivery.ope.estimate import Estimate, effective_sample_size
from orita.delivery.ope.estimators import clipped_ips, dm, dr, ips, snips
from orita.delivery.ope.evaluation import (
    ESTIMATORS,
    SLATE_ESTIMATORS,
    PolicyEvaluation,
    evaluate_decisions,
    evaluate_slates,
)
from orita.delivery.ope.reward_models import LinearRewards, RewardModel, cross_fitted
from orita.delivery.ope.slate_estimators import (
    cascade_dm,
    cascade_dr,
    independent_ips,
    reward_interaction_ips,
    slate_ips,
)
from orita.delivery.ope.slates import LoggedSlates
from orita.delivery.ope.switching import switch_dr, switch_threshold
from orita.delivery.ope.tables import decisions_of, evaluate, slates_of

__all__ = [
    "ESTIMATORS",
    "SLATE_ESTIMATORS",
    "Diagnostics",
    "Estimate",
    "Limits",
    "LinearRewards",
    "LoggedDecisions",
    "LoggedSlates",
    "PolicyEvaluation",
    "PropensityCalibration",
    "RewardModel",
    "Verdict",
    "action_calibration",
    "blended_cascade_dr",
    "blended_dr",
    "cascade_dm",
    "cascade_dr",
    "clipped_ips",
    "cross_fitted",
    "decisions_of",
    "diagnose",
    "dm",
    "dr",
    "effective_sample_size",
    "evaluate",
    "evaluate_decisions",
    "evaluate_slates",
    "independent_ips",
    "ips",
    "propensity_calibration",
    "reward_interaction_ips",
    "slate_ips",
    "slates_of",
    "snips",
    "switch_dr",
    "switch_threshold",
]
