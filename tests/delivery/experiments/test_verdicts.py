"""What to do follows from the intervals, the guardrails, the shares of units and the planned size."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.delivery.experiments.small_experiments import clicks

from orita.delivery.experiments.declarations import Metric
from orita.delivery.experiments.effects_of_means import sequential_effect
from orita.delivery.experiments.outcomes import Outcomes
from orita.delivery.experiments.periods import DAY
from orita.delivery.experiments.results import Effect, Guarded, MetricResult, SampleRatio, Size
from orita.delivery.experiments.verdicts import guarded, verdict_of

OPEN = Size(1000, True, 900, 500, 100.0, 5)
REACHED = Size(1000, True, 1000, 1000, 100.0, 0)


def effect(low: float, high: float, variant: str = "B", held: Guarded | None = None) -> Effect:
    """Return an effect whose p-value agrees with its interval."""
    p_value = 0.01 if low > 0 or high < 0 else 0.5
    middle = (low + high) / 2
    return Effect(variant, 1.0, 1.0 + middle, middle, 0.1, low, high, p_value, middle, 500, 500, guarded=held)


def metric(*effects: Effect, role: str = "primary", direction: str = "up") -> MetricResult:
    """Return a metric with these effects; an effect of 0.5 is looked for."""
    margin = 0.5 if role == "guardrail" else None
    return MetricResult(role, "mean", role, direction, 0.05, 0.5, margin, effects, 1000, 0, 0, 0)


def ratio(*, mismatch: bool = False) -> SampleRatio:
    """Return shares as declared, or not."""
    return SampleRatio({"A": 500, "B": 400}, {"A": 450.0, "B": 450.0}, 0.5, 0.5, 0.001, mismatch, (), {})


@pytest.mark.parametrize(
    ("found", "size", "decision"),
    [
        ((0.1, 0.9), OPEN, "ship"),
        ((-0.9, -0.1), OPEN, "do_not_ship"),
        ((-0.1, 0.9), OPEN, "keep_running"),
        ((-0.1, 0.4), OPEN, "do_not_ship"),  # the smallest effect that matters is excluded
        ((-0.1, 0.9), REACHED, "do_not_ship"),
    ],
)
def test_by_the_primary_metric(found: tuple[float, float], size: Size, decision: str) -> None:
    """Better is shipped; worse, too small, or not found by the planned end is not; else it goes on."""
    assert verdict_of((metric(effect(*found)),), ("B",), ratio(), size, over=False).decision == decision
    mirrored = metric(effect(-found[1], -found[0]), direction="down")
    assert verdict_of((mirrored,), ("B",), ratio(), size, over=False).decision == decision


@pytest.mark.parametrize(
    ("held", "size", "decision"),
    [
        ("holds", OPEN, "ship"),
        ("open", OPEN, "keep_running"),
        ("open", REACHED, "do_not_ship"),
        ("violated", OPEN, "do_not_ship"),
    ],
)
def test_every_guardrail_must_hold(held: Guarded, size: Size, decision: str) -> None:
    """A better metric is not enough where a guardrail is violated, or not known to hold."""
    metrics = (metric(effect(0.1, 0.9)), metric(effect(-1, 1, held=held), role="guardrail"))
    assert verdict_of(metrics, ("B",), ratio(), size, over=False).decision == decision


def test_a_guardrail_by_its_interval() -> None:
    """It holds where the interval excludes a harm of the margin, and is violated where it allows only more."""
    assert guarded(effect(-0.4, 0.1), 0.5, "up") == "holds"
    assert guarded(effect(-0.6, 0.1), 0.5, "up") == "open"
    assert guarded(effect(-0.9, -0.6), 0.5, "up") == "violated"
    assert guarded(effect(0.6, 0.9), 0.5, "down") == "violated"
    assert guarded(effect(-math.inf, math.inf), 0.5, "down") == "open"


def test_in_words() -> None:
    """One line says it: the variant, the days, or what is wrong."""
    better, worse = metric(effect(0.1, 0.9, "B"), effect(0.3, 0.9, "C")), metric(effect(-0.1, 0.9))
    assert verdict_of((better,), ("B", "C"), ratio(), OPEN, over=False).sentence == "ship C"
    assert verdict_of((worse,), ("B",), ratio(), OPEN, over=False).sentence == "keep running: 5 more days"
    told = verdict_of((better,), ("B", "C"), ratio(mismatch=True), OPEN, over=False)
    assert (told.sentence, told.winner) == ("invalid: sample ratio mismatch", None)
    assert "B 400 of 450" in told.reasons[0]


def test_when_nothing_more_comes() -> None:
    """A stopped experiment is not asked to go on."""
    assert verdict_of((metric(effect(-0.1, 0.9)),), ("B",), ratio(), OPEN, over=True).decision == "do_not_ship"
    assert verdict_of((metric(),), ("B",), ratio(), OPEN, over=True).decision == "do_not_ship"


@pytest.mark.parametrize(("later", "decision"), [(0.08, "ship"), (0.01, "keep_running"), (-0.08, "do_not_ship")])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_difference_that_did_not_last(later: float, decision: str, direction: str) -> None:
    """Better or worse is what is so now: an effect of the first two days alone, though found then, is not shipped."""
    units, days, sign = 600, 8, 1.0 if direction == "up" else -1.0
    arm_U = np.tile([0, 1], days * units // 2).astype(np.int8)
    day_U = np.repeat(np.arange(days), units)
    share_U = 0.4 + sign * arm_U * np.where(day_U < 2, 0.24, later - 0.24 / 3)
    # Of each arm and day exactly that share, spread evenly: nothing is drawn.
    place_U = np.tile(np.repeat(np.arange(units // 2), 2), days) / (units / 2)
    values_U = (place_U < share_U).astype(np.float64)
    found = Outcomes(np.arange(len(arm_U)), arm_U, day_U * DAY, values_U, np.ones(len(arm_U)), None, None, 0, 0, 0)
    declared = msgspec.convert(clicks(aggregate="any", direction=direction, effect=0.1), Metric)
    seen = sequential_effect(declared, "B", found, level=0.05, start=0, until=days * DAY)
    assert seen is not None
    assert seen.p_value < 0.001
    assert sign * seen.course[1].low > 0 or sign * seen.course[1].high > 0
    judged = replace(metric(seen, direction=direction), looked_for=0.03)
    told = verdict_of((judged,), ("B",), ratio(), OPEN, over=False)
    assert (told.decision, "did not last" in told.reasons[0]) == (decision, decision == "keep_running")
