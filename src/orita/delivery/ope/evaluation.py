"""All estimators of a policy's value on one log, with diagnostics: one value to print, to store, and to gate by.

Legend: N rows, K positions, A actions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError, closest
from orita.delivery.ope.blending import blended_cascade_dr, blended_dr
from orita.delivery.ope.calibration import PropensityCalibration
from orita.delivery.ope.decisions import LoggedDecisions
from orita.delivery.ope.diagnostics import Diagnostics, Limits, diagnose
from orita.delivery.ope.estimate import Estimate, Ratios
from orita.delivery.ope.estimators import Estimator, clipped_ips, dm, dr, ips, snips
from orita.delivery.ope.slate_estimators import (
    SlateEstimator,
    cascade_dm,
    cascade_dr,
    independent_ips,
    reward_interaction_ips,
    slate_ips,
)
from orita.delivery.ope.slates import LoggedSlates
from orita.delivery.ope.switching import switch_dr

__all__ = ["ESTIMATORS", "SLATE_ESTIMATORS", "PolicyEvaluation", "evaluate_decisions", "evaluate_slates"]

ESTIMATORS: MappingProxyType[str, Estimator] = MappingProxyType(
    {
        "ips": ips,
        "clipped_ips": clipped_ips,
        "snips": snips,
        "dm": dm,
        "dr": dr,
        "switch_dr": switch_dr,
        "blended_dr": blended_dr,
    }
)
"""Estimators of single decisions, by name; the last four need a reward model."""

SLATE_ESTIMATORS: MappingProxyType[str, SlateEstimator] = MappingProxyType(
    {
        "slate_ips": slate_ips,
        "self_normalised_slate_ips": partial(slate_ips, self_normalised=True),
        "independent_ips": independent_ips,
        "self_normalised_independent_ips": partial(independent_ips, self_normalised=True),
        "reward_interaction_ips": reward_interaction_ips,
        "self_normalised_reward_interaction_ips": partial(reward_interaction_ips, self_normalised=True),
        "cascade_dm": cascade_dm,
        "cascade_dr": cascade_dr,
        "blended_cascade_dr": blended_cascade_dr,
    }
)
"""Estimators of slates, by name; the last three need a reward model."""

_NEED_MODEL = frozenset({"dm", "dr", "switch_dr", "blended_dr", "cascade_dm", "cascade_dr", "blended_cascade_dr"})


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    """What a log tells of a target policy.

    Attributes:
        logged: what the policy that was logged earned.
        estimates: what the target policy would have earned, by each estimator.
        gains: the target's value less the logged one's, by each estimator, on the same rows.
        diagnostics: how far the log supports the target, with a verdict.
    """

    logged: Estimate
    estimates: tuple[Estimate, ...]
    gains: tuple[Estimate, ...]
    diagnostics: Diagnostics

    def __getitem__(self, estimator: str) -> Estimate:
        """Return the estimate by that estimator."""
        return {each.estimator: each for each in self.estimates}[estimator]

    def to_dict(self) -> dict[str, Any]:
        """Return a plain object for JSON; what is not a number is None."""
        return {
            "logged": self.logged.to_dict(),
            "estimates": [each.to_dict() for each in self.estimates],
            "gains": [each.to_dict() for each in self.gains],
            "diagnostics": self.diagnostics.to_dict(),
        }

    def to_text(self) -> str:
        """Return a table for people, with the verdict below it."""
        width = max(len(each.estimator) for each in (self.logged, *self.estimates))
        return "\n".join(self._lines(width))

    def _lines(self, width: int) -> Iterator[str]:
        share = f"{self.logged.confidence:.0%}"
        heads = f"{'value':>10} {share + ' interval':>23} {'gain':>10} {'interval':>23} {'rows worth':>10}"
        yield f"{'estimator':{width}} {heads}"
        yield f"{'logged':{width}} {_number(self.logged.value)} {_ends(self.logged)}"
        for found, gain in zip(self.estimates, self.gains, strict=True):
            star = "" if found.covers else "  (spread of contexts only)"
            yield (
                f"{found.estimator:{width}} {_number(found.value)} {_ends(found)} {_number(gain.value)} {_ends(gain)} "
                f"{found.effective_sample_size:10,.0f}{star}"
            )
        verdict = self.diagnostics.verdict
        yield "enough to decide by" if verdict.enough else "not enough to decide by:"
        yield from (f"- {reason}" for reason in verdict.reasons)


def evaluate_decisions(
    logged: LoggedDecisions,
    *,
    confidence: float = 0.95,
    logging_NA: npt.ArrayLike | None = None,
    target_NA: npt.ArrayLike | None = None,
    calibration: PropensityCalibration | None = None,
    limits: Limits | None = None,
) -> PolicyEvaluation:
    """Return every estimate that the log allows, with diagnostics.

    Args:
        logged: the decisions; without predictions the estimators that need a model are left out.
        confidence: of intervals.
        logging_NA: the logging policy's probabilities of all actions, with *target_NA*, for exact support.
        target_NA: the target policy's.
        calibration: of the propensities, where it was looked at.
        limits: what is enough.

    Raises:
        UserError: as the estimators and `diagnose`.
    """
    names = [name for name in ESTIMATORS if logged.expected_N is not None or name not in _NEED_MODEL]
    return PolicyEvaluation(
        _earned(logged.reward_N, logged.unit_N, confidence),
        tuple(ESTIMATORS[name](logged, confidence=confidence) for name in names),
        tuple(ESTIMATORS[name](logged, confidence=confidence, gain=True) for name in names),
        diagnose(
            logged.weights(),
            unit_N=logged.unit_N,
            logging_NA=logging_NA,
            target_NA=target_NA,
            calibration=calibration,
            limits=limits,
        ),
    )


def evaluate_slates(
    logged: LoggedSlates,
    *,
    confidence: float = 0.95,
    logging_NA: npt.ArrayLike | None = None,
    target_NA: npt.ArrayLike | None = None,
    calibration: PropensityCalibration | None = None,
    limits: Limits | None = None,
    estimators: Collection[str] = SLATE_ESTIMATORS,
) -> PolicyEvaluation:
    """Return every estimate that the log allows, with diagnostics of the weights of whole slates.

    Self-normalised estimators are left out where no logged slate has any weight at one of the positions.

    Args: as `evaluate_decisions`; an action is a whole slate. *estimators* are the names of those that are wanted.

    Raises:
        UserError: as the estimators and `diagnose`; one of *estimators* is none.
    """
    for name in estimators:
        if name not in SLATE_ESTIMATORS:
            raise UserError(f"{name!r} is no estimator of slates. {closest(name, SLATE_ESTIMATORS)}")
    left_out = set(_unnormalised(logged)) | (_NEED_MODEL if logged.expected_NK is None else frozenset())
    names = [name for name in SLATE_ESTIMATORS if name in estimators and name not in left_out]
    return PolicyEvaluation(
        _earned(logged.reward_NK.sum(axis=1), logged.unit_N, confidence),
        tuple(SLATE_ESTIMATORS[name](logged, confidence=confidence) for name in names),
        tuple(SLATE_ESTIMATORS[name](logged, confidence=confidence, gain=True) for name in names),
        diagnose(
            logged.cascade_weights()[:, -1],
            unit_N=logged.unit_N,
            logging_NA=logging_NA,
            target_NA=target_NA,
            calibration=calibration,
            limits=limits,
        ),
    )


def _unnormalised(logged: LoggedSlates) -> Iterator[str]:
    """Yield the self-normalised estimators that would divide by 0."""
    cascade_NK = logged.cascade_weights()
    if not cascade_NK[:, -1].any():
        yield "self_normalised_slate_ips"
    if not np.all(cascade_NK.any(axis=0)):
        yield "self_normalised_reward_interaction_ips"
    if not np.all(logged.position_weights().any(axis=0)):
        yield "self_normalised_independent_ips"


def _earned(reward_N: npt.NDArray[np.float64], unit_N: npt.NDArray[np.int64] | None, confidence: float) -> Estimate:
    return Ratios.mean(reward_N, unit_N).estimate("logged", confidence, effective=float(len(reward_N)))


def _number(value: float) -> str:
    return f"{value:10.5f}"


def _ends(found: Estimate) -> str:
    return f"{f'{found.low:.5f} … {found.high:.5f}' if np.isfinite(found.low) else 'unknown':>23}"
