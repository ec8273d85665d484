"""Simulated outcomes come late, and count as a controller counts them: when the window of their answer is over."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.canary_outcomes import LateOutcomes
from benchmarks.canary_world import Scenario, simulate
from msgspec.structs import replace

from orita.delivery.rollouts import Checks, GuardrailCheck, MetricCheck
from orita.delivery.rollouts.looks import MetricBatch
from orita.delivery.rollouts.shown_items import METRIC

SECOND = 1_000_000
USERS, ITEMS = 400, 10
CLICKED = 3
"""Of the items of each answer."""


def outcomes(delay_seconds: float, **checks: object) -> LateOutcomes:
    """Return a rollout's outcomes, after every user was shown ten items in its first second and did the same."""
    declared = replace(Checks(metric=MetricCheck(window_seconds=100.0)), **checks)
    late = LateOutcomes(declared, ("old", "new"), delay_seconds, np.random.default_rng(5))
    value_UIC = np.zeros((USERS, ITEMS, len(late.columns)))
    value_UIC[:, :CLICKED, 0] = 1.0
    value_UIC[:, 0, 1:] = 2.5
    variant_U, fresh_U = np.arange(USERS) % 2, np.arange(USERS) < 100
    late.show(np.arange(USERS), variant_U, fresh_U, value_UIC, stage=4, until=SECOND)
    return late


def seconds(late: LateOutcomes, until: int) -> list[tuple[int, MetricBatch]]:
    """Return the batches of the metric with the second of the look that closed each."""
    return [(at, batch) for at in range(1, until) for batch in late.closed(at * SECOND).get(METRIC, ())]


def test_answers_count_when_their_window_and_the_grace_are_over() -> None:
    """A hundred and ten seconds after the look, however soon the clicks came; none of them is missing."""
    batches = seconds(outcomes(2.0), 200)
    assert [at for at, _ in batches] == [111, 111]
    assert {(batch.stage, batch.fresh): batch.counts["new"].users for _, batch in batches} == {
        (4, True): 50,
        (4, False): 150,
    }
    for _, batch in batches:
        for counts in batch.counts.values():
            assert counts.shown == ITEMS * counts.users
            assert counts.outcomes == CLICKED * counts.users


def test_a_click_behind_its_window_is_none() -> None:
    """With a mean delay as long as the window, 1 ÷ e of all clicks come too late."""
    counts = [each for _, batch in seconds(outcomes(100.0), 200) for each in batch.counts.values()]
    counted = sum(each.outcomes for each in counts) / (USERS * CLICKED)
    assert counted == pytest.approx(1 - np.exp(-1), abs=0.05)


def test_guardrails_wait_for_their_own_window() -> None:
    """A value adds up, at the end of the guardrail's window."""
    late = outcomes(1.0, guardrails=(GuardrailCheck(name="revenue", kind="mean", window_seconds=50.0),))
    assert late.columns == ("click", "revenue")
    found = {at: closed for at in range(1, 120) if (closed := late.closed(at * SECOND))}
    assert {at: list(closed) for at, closed in found.items()} == {61: ["revenue"], 111: [METRIC]}
    assert sum(each.outcomes for batch in found[61]["revenue"] for each in batch.counts.values()) == 2.5 * USERS


def test_no_step_with_a_comparison_is_left_before_its_window_is_over() -> None:
    """A version twice as good needs hardly any evidence: a longer window keeps it in its first step, and uses more."""
    quick, slow = (
        simulate(Scenario(lift=1.0, per_second=20, window_seconds=window, delay_seconds=20.0), 1003)
        for window in (120.0, 4000.0)
    )
    assert (quick.state, slow.state) == ("promoted", "promoted")
    assert quick.hours < 4000 / 3600 < slow.hours
    assert slow.impressions > quick.impressions
