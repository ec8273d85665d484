"""Guardrails: rates and mean values that must not get worse, found where they do, left in peace where they do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from orita.core.errors import UserError
from orita.delivery.rollouts import Checks, DriftCheck, GuardrailCheck, LatencyCheck, RolloutPlan
from orita.delivery.rollouts.checking import check_plan
from orita.delivery.rollouts.findings import Levels
from orita.delivery.rollouts.guardrails import Guardrail
from orita.delivery.rollouts.looks import MetricBatch, MetricCounts
from orita.delivery.rollouts.plan_files import plan_of, read_document

Values = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]


def revenue(worth: float = 1.0) -> Values:
    """Return what users spend: 5 % of them something, seldom much."""
    return lambda random, n: np.where(random.random(n) < 0.05, worth * random.lognormal(3, 1.2, n), 0.0)


def outcomes(rate: float) -> Values:
    """Return how many of a user's ten items had an outcome."""
    return lambda random, n: random.binomial(10, rate, n).astype(np.float64)


def run(
    check: GuardrailCheck,
    old: Values,
    new: Values,
    *,
    level: float = 0.005,
    shares: Sequence[float] = (0.01, 0.05, 0.25, 0.5),
    looks: int = 30,
    users: int = 1000,
    seed: int = 0,
    levels: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
) -> Guardrail:
    """Return a guardrail after some looks in each step; *levels* multiply what all users do in each."""
    random = np.random.default_rng(seed)
    guardrail = Guardrail(check, "a", "b", level=level, takes_back=True)
    for stage, (share, rise) in enumerate(zip(shares, levels, strict=False)):
        for _ in range(looks):
            treated = random.binomial(users, share)
            counts = {
                version: MetricCounts.of(np.full(n, 10), rise * does(random, n))
                for version, does, n in (("a", old, users - treated), ("b", new, treated))
                if n
            }
            guardrail.take(MetricBatch(stage, True, counts))
    return guardrail


MEAN = GuardrailCheck(name="revenue", kind="mean")
COMPLAINTS = GuardrailCheck(name="hide", direction="down")


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (GuardrailCheck(name="like"), outcomes(0.1), outcomes(0.085)),
        (COMPLAINTS, outcomes(0.01), outcomes(0.014)),
        (MEAN, revenue(), revenue(0.6)),
        (GuardrailCheck(name="wait", kind="mean", direction="down"), revenue(), revenue(1.7)),
    ],
)
def test_what_gets_worse_is_harm(check: GuardrailCheck, old: Values, new: Values) -> None:
    """In the direction that is declared; the other way round it is fine, and so is what is the same."""
    found = run(check, old, new).finding
    assert (found.check, found.says) == (f"guardrail {check.name}", "harm")
    assert found.evidence["p_worse"] <= found.evidence["level"]
    assert run(check, new, old).finding.says == "fine"
    assert run(check, old, old).finding.says == "fine"


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (GuardrailCheck(name="like", most_loss=0.1), outcomes(0.1), outcomes(0.095)),
        (GuardrailCheck(name="hide", most_loss=1.5, direction="down"), outcomes(0.01), outcomes(0.02)),
        (GuardrailCheck(name="revenue", kind="mean", most_loss=0.5), revenue(), revenue(0.7)),
    ],
)
def test_a_loss_that_is_tolerated_is_no_harm(check: GuardrailCheck, old: Values, new: Values) -> None:
    """Beyond it must be proven, however sure it is that something is lost."""
    assert run(check, old, new).finding.says == "fine"
    assert run(GuardrailCheck(name="x", kind=check.kind, direction=check.direction), old, new).finding.says == "harm"


def test_what_nobody_has_yet_waits() -> None:
    """A handful of users says nothing."""
    found = run(MEAN, revenue(), revenue(), looks=1, users=50, shares=(0.1,)).finding
    assert (found.says, found.evidence["ratio"]) == ("waiting", found.evidence["ratio"])
    assert "too few users" in found.why


def test_levels_that_move_with_shares_are_no_effect() -> None:
    """Everybody spends a third when the challenger has most users (Simpson): its ratio is about 1."""
    found = run(MEAN, revenue(), revenue(), levels=(3.0, 3.0, 1.0, 1.0), users=4000).finding
    assert found.says == "fine"
    assert found.evidence["ratio"] == pytest.approx(1, abs=0.1)
    pooled = {of: found.evidence[f"{of}outcomes"] / found.evidence[f"{of}shown"] for of in ("", "champion_")}
    assert pooled[""] / pooled["champion_"] < 0.8


@pytest.mark.parametrize("check", [MEAN, GuardrailCheck(name="wait", kind="mean", direction="down")])
def test_equal_versions_are_left_in_peace(check: GuardrailCheck) -> None:
    """Heavy tails, from a share of 1 % on, a look after each batch: at a level of 10 % at most so many of 60 err."""
    wrong = sum(
        run(check, revenue(), revenue(), level=0.1, users=500, looks=12, seed=seed).finding.says == "harm"
        for seed in range(60)
    )
    assert wrong <= 12  # more has a chance of 1.2 % at the level


def test_equal_rates_are_left_in_peace() -> None:
    """Users differ in how often they hide things; both directions."""
    random = np.random.default_rng(0)

    def hides(_: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        return random.binomial(10, random.beta(0.5, 20, n)).astype(np.float64)

    for check in (COMPLAINTS, GuardrailCheck(name="like")):
        wrong = sum(run(check, hides, hides, level=0.1, users=1500, looks=4).finding.says == "harm" for _ in range(25))
        assert wrong <= 7  # more has a chance of 0.2 % at the level


def test_they_share_a_half_of_alpha_with_the_metric() -> None:
    """In equal parts; quantiles of latency share the part of latency."""
    checks = Checks(
        alpha=0.06,
        latency=(LatencyCheck(quantile=0.5), LatencyCheck(quantile=0.99)),
        guardrails=(GuardrailCheck(name="like"), MEAN),
    )
    levels = Levels.of(RolloutPlan(strategy="canary", versions=("b",), checks=checks))
    assert (levels.metric, levels.guardrail) == pytest.approx((0.01, 0.01))
    assert (levels.errors, levels.answers, levels.latency) == pytest.approx((0.0075, 0.0075, 0.0075))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"guardrails": (GuardrailCheck(name="like"), GuardrailCheck(name="like", kind="mean"))},
            r"s\[1\].name is 'like' again",
        ),
        ({"guardrails": (GuardrailCheck(name=""),)}, r"guardrails\[0\].name is ''"),
        ({"guardrails": (GuardrailCheck(name="like", top=10_001),)}, r"guardrails\[0\].top is 10,001"),
        ({"guardrails": tuple(GuardrailCheck(name=f"c{n}") for n in range(21))}, "allowed are 20"),
        ({"guardrails": (GuardrailCheck(name="like", most_loss=1.0),)}, "can lose less than 1"),
        ({"latency": (LatencyCheck(), LatencyCheck(most_more_ms=5))}, "give each once"),
    ],
)
def test_what_cannot_be_judged_is_refused(given: dict[str, Any], said: str) -> None:
    """With the field; complaints may double."""
    with pytest.raises(UserError, match=said):
        check_plan(RolloutPlan(strategy="canary", versions=("b",), checks=Checks(**given)))
    double = GuardrailCheck(name="hide", direction="down", most_loss=1.0)
    check_plan(RolloutPlan(strategy="canary", versions=("b",), checks=Checks(guardrails=(double,))))
    assert double.null == 2.0


def test_a_plan_with_all_of_it_is_kept_as_it_is_read() -> None:
    """A list of quantiles, guardrails, drift: from YAML, to control state and back; what is wrong is named."""
    document = """
        strategy: canary
        versions: [v2]
        checks:
          latency: [{quantile: 0.5, most_more_ms: 5}, {quantile: 0.99}]
          drift: {action: roll_back, items: true}
          guardrails: [{name: dwell_time, kind: mean, most_loss: 0.05}, {name: hide, direction: down}]
    """
    plan = plan_of(read_document(document, "plan"))
    assert [each.quantile for each in plan.checks.latencies] == [0.5, 0.99]
    assert plan.checks.drift == DriftCheck(action="roll_back", items=True)
    assert [each.null for each in plan.checks.guardrails] == [0.95, 1.0]
    assert msgspec.json.decode(msgspec.json.encode(plan), type=RolloutPlan) == plan
    with pytest.raises(UserError, match=r"checks\.guardrails\[0\]\.kind"):
        plan_of(read_document(document.replace("mean", "sum"), "plan"))


def test_what_the_champion_never_has_is_told_in_numbers() -> None:
    """A rise from nothing has no percentage; the sentence of a rollback says what there is."""
    found = run(COMPLAINTS, outcomes(0.0), outcomes(0.1)).finding
    assert found.says == "harm"
    assert "shown items, the champion none" in found.why
    assert "p of a rise" in found.why


def test_users_who_are_all_alike_stop_no_look() -> None:
    """There is no variance to know a mean by, and nothing is said."""
    found = run(MEAN, lambda _, n: np.ones(n), lambda _, n: np.ones(n)).finding
    assert found.says in ("fine", "waiting")


def test_what_takes_nothing_back_is_told_as_it_is_now() -> None:
    """In an A/B test people decide by it: a loss of the first users is not told for ever."""
    random, guardrail = np.random.default_rng(3), Guardrail(COMPLAINTS, "a", "b", level=0.005, takes_back=False)
    for look in range(60):
        rates = {"a": 0.05, "b": 0.3 if look < 10 else 0.05}
        counts = {v: MetricCounts.of(np.full(300, 10), random.binomial(10, rate, 300)) for v, rate in rates.items()}
        guardrail.take(MetricBatch(0, True, counts))
    assert guardrail.finding.says == "fine"
    assert "by 18,000 and 18,000 users" in guardrail.finding.why
