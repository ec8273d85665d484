"""Another policy on the log of a bandit that serves and is told of clicks alone."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.delivery.bandits.logged import Logged, choice, rewards

from orita.core.clock import to_micros
from orita.core.home import Home
from orita.delivery.bandits.choices import logged_choices
from orita.delivery.bandits.records import Choice, Rewards
from orita.delivery.ope import PolicyEvaluation, evaluate

RATES = {"a": 0.1, "b": 0.2, "c": 0.3}
UNIFORM = sum(RATES.values()) / len(RATES)
WAIT = 600
DECLARED = f"""
bandits:
  - key: title
    policy: {{type: epsilon_greedy, epsilon: 0.4}}
    arms: [a, b, c]
    unrewarded: 0
    wait_seconds: {WAIT}
"""
TICK, TICKS, AT_ONCE = 5, 300, 10
"""Seconds between looks, looks, choices at each: the last 1,200 of 3,000 choices are open at the end."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """A bandit that learnt as it served; clicks were told 1 to 30 seconds after the choice, silence by nobody."""
    logged, rng = Logged(Home(tmp_path_factory.mktemp("bandits")), DECLARED), np.random.default_rng(11)
    declared, learner, told = logged.of("title"), logged.learner(), list[tuple[float, Choice]]()
    for tick in range(TICKS):
        learner.look()
        assert learner.served is not None
        made = []
        for _ in range(AT_ONCE):
            slate = learner.served["title"].slate(rng)
            (arm,) = slate.arms
            of = msgspec.structs.replace(
                choice(declared, str(arm)),
                at=to_micros(logged.clock.now()),
                propensities=slate.propensities_K.tolist(),
            )
            made.append(of)
            if rng.random() < RATES[str(arm)]:
                told.append((tick * TICK + rng.uniform(1, 30), of))
        due: list[Choice | Rewards] = [rewards(of, [1.0]) for at, of in told if at <= tick * TICK]
        told = [(at, of) for at, of in told if at > tick * TICK]
        logged.append([*made, *due])
        logged.clock.advance(timedelta(seconds=TICK))
    return logged


def uniform_on(rows: pa.Table) -> PolicyEvaluation:
    """Return what a policy that shows each title as often would have earned."""
    told = rows.filter(pc.is_valid(rows["reward"]))
    return evaluate(told, target=lambda table: np.full(len(table), 1 / len(RATES)))


def errors_off(found: PolicyEvaluation, estimator: str) -> float:
    """Return how many standard errors an estimate is above the truth."""
    estimate = found[estimator]
    return (estimate.value - UNIFORM) / estimate.standard_error


@pytest.mark.parametrize("estimator", ["ips", "snips"])
def test_a_policy_is_worth_what_it_is_with_clicks_alone(served: Logged, estimator: str) -> None:
    """Rows without a reward are those of open choices, clicked or not, so the rest is worth the truth."""
    rows = logged_choices(served.log, served.of("title"))
    is_open = pc.is_null(rows["reward"])
    assert rows.num_rows == TICKS * AT_ONCE
    assert is_open.to_pylist() == sorted(is_open.to_pylist())  # the latest, and no others
    assert 1000 < pc.sum(is_open).as_py() < 1300
    assert abs(errors_off(uniform_on(rows), estimator)) < 4


@pytest.mark.parametrize("estimator", ["ips", "snips"])
def test_clicks_at_once_would_be_worth_too_much(served: Logged, estimator: str) -> None:
    """What the test above would see if clicks of open choices counted and their silence did not: the same log."""
    declared = served.of("title")
    rows = logged_choices(served.log, declared)
    at_once = logged_choices(served.log, msgspec.structs.replace(declared, unrewarded=None))
    early = rows.set_column(
        rows.schema.get_field_index("reward"), "reward", pc.coalesce(rows["reward"], at_once["reward"])
    )
    assert errors_off(uniform_on(early), estimator) > 4


def test_what_it_was_worth_as_logged(served: Logged) -> None:
    """The bandit itself showed the better titles more, and earned more than by chance."""
    rows = logged_choices(served.log, served.of("title"))
    assert uniform_on(rows).logged.value > UNIFORM
