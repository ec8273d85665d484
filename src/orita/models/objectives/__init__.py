"""Several things that a model foretells of a row, and the one score that is made of them.

A `Head` is one of them. `heads_for` and `targets` make of rows what heads learn, `calibrate_heads` fits a calibration
for each, `weigh` makes one score of all by declared weights, `trade_offs` shows what weights give up for what.
"""

from __future__ import annotations

from orita.models.objectives.calibrating import calibrate_heads, calibrate_outputs
from orita.models.objectives.heads import HasHeads, Head, read_heads
from orita.models.objectives.judging import JudgedHead, judge_heads
from orita.models.objectives.targets import heads_for, targets
from orita.models.objectives.tradeoff import Point, TradeOff, brought, trade_offs
from orita.models.objectives.weighing import check_objective, weigh

__all__ = [
    "HasHeads",
    "Head",
    "JudgedHead",
    "Point",
    "TradeOff",
    "brought",
    "calibrate_heads",
    "calibrate_outputs",
    "check_objective",
    "heads_for",
    "judge_heads",
    "read_heads",
    "targets",
    "trade_offs",
    "weigh",
]
