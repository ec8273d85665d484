"""What one gate found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["GateFinding", "GateState"]

GateState = Literal["pass", "fail", "not_enough_data"]


@dataclass(frozen=True, slots=True)
class GateFinding:
    """What one gate says of a model.

    Attributes:
        gate: which: ``safety``, ``size``, ``latency``, ``slices`` or ``ope``.
        state: ``not_enough_data``: what was measured can tell neither.
        sentence: it in words, with the figures that decide.
        allows: whether the model may go on: it passed, or could not tell and that is allowed.
        figures: plain values.
    """

    gate: str
    state: GateState
    sentence: str
    allows: bool
    figures: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)
