"""What else is demanded of a model that is better: ``blessing.gates`` in ``model_config.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orita.core.config import Section
from orita.pipelines.ope_gate_config import OpeGate

__all__ = ["GatesSection", "LatencyGate", "SafetyGate", "SizeGate", "SlicesGate"]

NotEnough = Literal["refuse", "allow"]
_Ratio = Annotated[float, Field(gt=0, le=1000)]


class LatencyGate(Section):
    """How long the model may take for a typical request, measured here, in turn with the champion.

    Attributes:
        most_ratio: of its median time to the champion's; null: none is asked for.
        most_ms: its median time at most, on this machine; null: none.
        rows: candidates of the typical request, made of the rows that a package keeps as its sample.
        rounds: requests of each that are timed, at least; up to eight times as many where they do not tell.
        not_enough: what happens where that does not tell either: ``refuse`` keeps the champion, ``allow`` goes on.
    """

    most_ratio: _Ratio | None = 2.0
    most_ms: Annotated[float, Field(gt=0)] | None = None
    rows: Annotated[int, Field(ge=1, le=10_000)] = 100
    rounds: Annotated[int, Field(ge=20, le=10_000)] = 100
    not_enough: NotEnough = "refuse"

    @model_validator(mode="after")
    def _has_a_limit(self) -> LatencyGate:
        if self.most_ratio is None and self.most_ms is None:
            raise ValueError("give a limit, most_ratio or most_ms; or null for the whole gate")
        return self


class SizeGate(Section):
    """How large the package may be on disk.

    Attributes:
        most_ratio: of its bytes to the champion's; null: none is asked for.
        most_mb: at most, in MiB; null: none.
    """

    most_ratio: _Ratio | None = 3.0
    most_mb: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> SizeGate:
        if self.most_ratio is None and self.most_mb is None:
            raise ValueError("give a limit, most_ratio or most_mb; or null for the whole gate")
        return self


class SlicesGate(Section):
    """No part of the rows loses: champion and challenger meet on the same fresh rows of each value of some features.

    Attributes:
        by: features whose values part the rows, numbers into quarters.
        most_loss: of AUC that a slice may lose; it fails where it surely loses more, and passes where it surely does
            not.
        confidence: of all slices together: with k slices each has the interval of 1 − (1 − confidence) ÷ k.
        not_enough: what happens where some slice can tell neither: ``refuse`` keeps the champion, ``allow`` goes on.
    """

    by: Annotated[tuple[str, ...], Field(min_length=1)]
    most_loss: Annotated[float, Field(ge=0, lt=1)] = 0.02
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    not_enough: NotEnough = "allow"


class SafetyGate(Section):
    """What a score must be whatever is asked.

    Attributes:
        low, high: bounds of every score: on fresh rows, of ids that nobody knows, and without any feature value.
        most_calibration_error: mean distance of score and rate of the label over ten equally filled bins of fresh
            rows, beyond what chance makes of it; null: not asked for.
        least_spread: the standard deviation of scores on fresh rows must be above it; 0 refuses one score for all.
    """

    low: float = 0.0
    high: float = 1.0
    most_calibration_error: Annotated[float, Field(gt=0, lt=1)] | None = 0.05
    least_spread: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _bounds_rise(self) -> SafetyGate:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}: low must be the smaller")
        return self


class GatesSection(Section):
    """What else is demanded of a model that is better on test rows; null: nothing.

    Attributes:
        safety: scores are finite, within bounds, calibrated, also of ids that nobody knows.
        size: of the package.
        latency: of a typical request.
        slices: no declared part of the rows loses.
        ope: what the prediction log must say.
    """

    safety: SafetyGate | None = None
    size: SizeGate | None = None
    latency: LatencyGate | None = None
    slices: SlicesGate | None = None
    ope: OpeGate | None = None
