"""Does some part of the rows lose, while all together win? Champion and challenger on the same fresh rows of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from orita.core.errors import UserError
from orita.models.evaluation import compare
from orita.models.evaluation.parts import partings
from orita.pipelines.comparison import Meeting
from orita.pipelines.gates.config import SlicesGate
from orita.pipelines.gates.finding import GateFinding, GateState

__all__ = ["slices_gate"]


@dataclass(frozen=True, slots=True)
class _Part:
    """One value of one feature: what the challenger's AUC is more than the champion's there."""

    name: str
    value: str
    rows: int
    users: int
    delta: float | None
    low: float | None
    high: float | None
    state: GateState

    @property
    def sentence(self) -> str:
        """It in words."""
        if self.delta is None or self.low is None:
            return f"{self.name} = {self.value}: {self.rows:,} rows of {self.users:,} users do not tell"
        return f"{self.name} = {self.value}: AUC {self.delta:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


def slices_gate(met: Meeting, gate: SlicesGate, *, resamples: int, seed: int) -> GateFinding:
    """Judge each slice of the rows on which two models met.

    Raises:
        UserError: a feature is named that the challenger's rows have not.
    """
    cuts = partings(met.rows, gate.by)
    within = [(cut.name, label, np.flatnonzero(cut.part_N == n)) for cut in cuts for n, label in enumerate(cut.labels)]
    within = [each for each in within if len(each[2])]
    confidence = 1 - (1 - gate.confidence) / max(len(within), 1)
    parts = []
    for name, value, rows_K in within:
        parts.append(_part(met, name, value, rows_K, confidence, gate.most_loss, resamples=resamples, seed=seed))
    lost = [part for part in parts if part.state == "fail"]
    untold = [part for part in parts if part.state == "not_enough_data"]
    state: GateState = "fail" if lost else "not_enough_data" if untold or not parts else "pass"
    figures: dict[str, Any] = {"confidence": confidence, "slices": [asdict(part) for part in parts]}
    allows = state == "pass" or (state == "not_enough_data" and gate.not_enough == "allow")
    return GateFinding("slices", state, _sentence(parts, lost, untold, gate), allows, figures)


def _part(
    met: Meeting,
    name: str,
    value: str,
    rows_K: Any,
    confidence: float,
    most_loss: float,
    *,
    resamples: int,
    seed: int,
) -> _Part:
    rows, users = met.rows.take(rows_K), len(np.unique(met.rows.users_N[rows_K]))
    mine_K, theirs_K = met.scores_N[rows_K], met.champion_scores_N[rows_K]
    try:
        found = compare(mine_K, theirs_K, rows, resamples=resamples, confidence=confidence, seed=seed)
    except UserError:  # only clicks, or none
        return _Part(name, value, len(rows), users, None, None, None, "not_enough_data")
    state: GateState = "not_enough_data"
    if found.low is not None and found.high is not None and not found.too_few:
        state = "fail" if found.high < -most_loss else "pass" if found.low >= -most_loss else "not_enough_data"
    return _Part(name, value, len(rows), users, found.delta, found.low, found.high, state)


def _sentence(parts: list[_Part], lost: list[_Part], untold: list[_Part], gate: SlicesGate) -> str:
    limit = f"at most {gate.most_loss:g} of AUC may be lost"
    if lost:
        return f"{len(lost)} of {len(parts)} slices surely lose: {'; '.join(p.sentence for p in lost[:3])}; {limit}"
    if untold or not parts:
        worst = min(untold, key=lambda part: part.low if part.low is not None else 0.0, default=None)
        told = f", such as {worst.sentence}" if worst else ""
        return f"{len(untold)} of {len(parts)} slices cannot tell{told}; {limit}"
    return f"none of {len(parts)} slices loses; {limit}"
