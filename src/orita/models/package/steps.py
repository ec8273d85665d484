"""What is done to features before the graph and to scores after it: declarations, carried out by NumPy, never code.

Legend: N rows, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.calibration import Calibration

__all__ = [
    "Calibrate",
    "ClipFeature",
    "ClipScore",
    "FeatureStep",
    "FillFeature",
    "ScoreStep",
    "Temperature",
    "read_feature_steps",
    "read_score_steps",
]

_MOST_STEPS = 1000
_EDGE = 1e-7


class FeatureStep(Protocol):
    """A change of one feature, in place, in rows that are the package's own copy."""

    def apply(self, x_NF: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Change ``x_NF``."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as plain JSON values."""
        ...


class ScoreStep(Protocol):
    """A function from scores to scores, both in [0, 1]."""

    def apply(self, scores_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the new ``scores_N``."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as plain JSON values."""
        ...


@dataclass(frozen=True, slots=True)
class ClipFeature:
    """Values of *feature* below *low* become *low*, above *high* become *high*; missing ones stay missing."""

    feature: str
    low: float
    high: float

    def apply(self, x_NF: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Clip the feature's column."""
        column_N = x_NF[:, schema.index(self.feature)]
        np.clip(column_N, np.float32(self.low), np.float32(self.high), out=column_N)

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as plain JSON values."""
        return {"kind": "clip", "feature": self.feature, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class FillFeature:
    """Missing values of *feature* become *value*."""

    feature: str
    value: float

    def apply(self, x_NF: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Fill the feature's column."""
        column_N = x_NF[:, schema.index(self.feature)]
        column_N[np.isnan(column_N)] = self.value

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as plain JSON values."""
        return {"kind": "fill", "feature": self.feature, "value": self.value}


@dataclass(frozen=True, slots=True)
class Calibrate:
    """The scores through a `Calibration`."""

    calibration: Calibration

    def apply(self, scores_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Calibrate."""
        return self.calibration.apply(scores_N)

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as plain JSON values."""
        return {"kind": "calibration", **self.calibration.to_dict()}


@dataclass(frozen=True, slots=True)
class Temperature:
    """σ(logit(score) ÷ *value*): over 1 nearer to a half, under 1 further from it (Guo et al. 2017)."""

    value: float

    def apply(self, scores_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Warm or cool the scores."""
        p_N = np.clip(scores_N.astype(np.float64), _EDGE, 1 - _EDGE)
        logit_N = (np.log(p_N) - np.log1p(-p_N)) / self.value
        return (1 / (1 + np.exp(-np.clip(logit_N, -700, 700)))).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as plain JSON values."""
        return {"kind": "temperature", "value": self.value}


@dataclass(frozen=True, slots=True)
class ClipScore:
    """Scores between *low* and *high*; those beyond become equal, and lose their order."""

    low: float
    high: float

    def apply(self, scores_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Clip."""
        return np.clip(scores_N, np.float32(self.low), np.float32(self.high))

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as plain JSON values."""
        return {"kind": "clip", "low": self.low, "high": self.high}


def read_feature_steps(content: object, schema: FeatureSchema, where: str) -> tuple[FeatureStep, ...]:
    """Return the steps before the graph that *content* declares.

    Raises:
        UserError: a step is unknown, or names a feature that is not in *schema*.
    """
    steps = _read(content, _feature_step, f"{where}: pre", "clip of a feature, fill of a feature")
    for step in steps:
        schema.index(step.feature)
    return steps


def read_score_steps(content: object, where: str) -> tuple[ScoreStep, ...]:
    """Return the steps after the graph that *content* declares.

    Raises:
        UserError: a step is unknown or cannot be.
    """
    return _read(content, _score_step, f"{where}: post", "calibration, temperature over 0, clip within 0 and 1")


def _read(content: object, read: Callable[[Mapping[str, Any]], Any], what: str, allowed: str) -> tuple[Any, ...]:
    if not isinstance(content, Sequence) or isinstance(content, str) or len(content) > _MOST_STEPS:
        raise UserError(f"{what} is not a list of at most {_MOST_STEPS} steps.")
    steps = []
    for declared in content:
        step = read(declared) if isinstance(declared, Mapping) else None
        if step is None:
            raise UserError(f"{what} has the step {ascii(declared)[:120]}, allowed are: {allowed}.")
        steps.append(step)
    return tuple(steps)


def _feature_step(declared: Mapping[str, Any]) -> ClipFeature | FillFeature | None:
    match dict(declared):
        case {"kind": "clip", "feature": str(feature), "low": low, "high": high, **more}:
            fits = not more and _is_number(low) and _is_number(high) and low <= high
            return ClipFeature(feature, low, high) if fits else None
        case {"kind": "fill", "feature": str(feature), "value": value, **more}:
            return FillFeature(feature, value) if not more and _is_number(value) else None
        case _:
            return None


def _score_step(declared: Mapping[str, Any]) -> ScoreStep | None:
    match dict(declared):
        case {"kind": "calibration", **calibration}:
            return Calibrate(Calibration.from_dict(calibration))
        case {"kind": "temperature", "value": value, **more}:
            return Temperature(value) if not more and _is_number(value) and 1e-3 <= value <= 1e3 else None
        case {"kind": "clip", "low": low, "high": high, **more}:
            fits = not more and _is_number(low) and _is_number(high) and 0 <= low <= high <= 1
            return ClipScore(low, high) if fits else None
        case _:
            return None


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= 3e38  # type: ignore[arg-type]
