"""Plans as documents: what is wrong is told of its field, and a plan that nobody can carry out is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from orita.core.errors import UserError
from orita.delivery.rollouts import RolloutPlan
from orita.delivery.rollouts.checking import check_metric
from orita.delivery.rollouts.plan_files import plan_of, read_document

CANARY = {"strategy": "canary", "versions": ["b"]}
KINDS = "all, any, contains, ends_with, in, matches, network, not, number, present, segment, starts_with, time, version"
PRESENT = {"is": "present", "attribute": "mail"}


def step(**given: object) -> dict[str, object]:
    """Return a plan whose first step is so."""
    return {"steps": [{"share": 1, **given}, {"share": 100}]}


def override(**given: object) -> dict[str, object]:
    """Return a plan with an override that is so."""
    return {"overrides": [{"attribute": "user_id", "values": [7], "variant": "b", **given}]}


def metric(**given: object) -> dict[str, object]:
    """Return a plan with a metric that is so."""
    return {"checks": {"metric": given}}


SPELLED: list[tuple[dict[Any, Any], str]] = [
    ({"stepz": []}, "the plan of the rollout has the unknown field 'stepz'. Did you mean 'steps'?"),
    ({"checks": {"alpah": 1}}, "checks has the unknown field 'alpah'. Did you mean 'alpha'?"),
    ({"checks": {"alpha": math.nan}}, "checks.alpha has the value nan, expected float > 0 and < 1."),
    ({"strategy": "canry"}, 'strategy has the value "canry", expected one of ab, bandit, '),
    ({"audience": {"is": "inn"}}, f"audience.is has the value \"inn\", expected one of {KINDS}. Did you mean 'in'?"),
    ({"audience": {"attribute": "mail"}}, f"audience.is is missing: give one of {KINDS}."),
    (
        {"audience": {"is": "all", "of": [PRESENT, {"is": "in", "atribute": "a", "values": [1]}]}},
        "audience.of[1] has the unknown field 'atribute'. Did you mean 'attribute'?",
    ),
    (
        {"audience": {"is": "in", "attribute": "a", "values": [None]}},
        "audience.values[0] has the value null, expected bool | int | float | str.",
    ),
    (step(share="x"), 'steps[0].share has the value "x", expected float.'),
    ({"overrides": [{"attribute": "a", "variant": "b"}]}, "overrides[0].values is missing: give attribute and values"),
    ({"checks": {"scores": {"action": "back"}}}, "has the value \"back\", expected 'hold' or 'roll_back'."),
    (metric(most_loss=1.5), "checks.metric.most_loss has the value 1.5, expected float > 0 and < 1."),
    ({1: 2}, "the plan of the rollout has a name that is no text: put it in quotes."),
]

IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"versions": [""]}, "versions[0] is '': name a registered version"),
    ({"by": []}, "by is []: name the attributes"),
    ({"by": [""]}, "by is ['']: name the attributes"),
    ({"by": ["user_id", "user_id"]}, "each once"),
    (step(least_requests=10**23), "steps[0].least_requests is 100000… (24 digits): allowed are 0 to 1,000,000,000"),
    (metric(top=10**19), "checks.metric.top is 100000… (20 digits): allowed are 0"),
    (metric(top=10_001), "checks.metric.top is 10,001: allowed are 0"),
    (metric(name=""), "checks.metric.name is ''"),
    ({"checks": {"alpha": 1e-320}}, "checks.alpha is 9.99989e-321: allowed is 1e-09 or more"),
    ({"shares": [5]}, "shares means nothing for the strategy 'canary': leave it out, or take ab, bandit, segment or"),
    (
        {"strategy": "blue_green", **step()},
        "steps means nothing for the strategy 'blue_green': leave it out, or take c",
    ),
    ({"strategy": "ab", "soak_seconds": 60}, "soak_seconds means nothing for the strategy 'ab'"),
    ({"strategy": "ab", "least_share": 7}, "least_share means nothing for the strategy 'ab'"),
    ({"strategy": "ab", "cpu_percent": 7}, "cpu_percent means nothing for the strategy 'ab'"),
    ({"strategy": "ab", "shares": [0]}, "shares[0] is 0: give more than 0"),
    ({"strategy": "shadow", "audience": PRESENT}, "audience means nothing for the strategy 'shadow'"),
    ({"strategy": "shadow", **override()}, "overrides means nothing for the strategy 'shadow'"),
    (override(values=[]), "overrides[0].values is []: name whose user_id gets b"),
    (override(values=[""]), "overrides[0].values is ['']"),
    (
        {"overrides": [{"attribute": "a", "values": [7], "variant": v} for v in ("a", "b")]},
        "overrides[1] gives b to a '7', who has a by another one",
    ),
    ({"holdouts": [{"name": "all", "percent": 100}]}, "holdouts[0] is 'all' with 100 %"),
    ({"audience": {"is": "in", "attribute": "a", "values": []}}, "audience.values is empty, which means nobody"),
    ({"audience": {"is": "all", "of": [{"is": "any", "of": []}]}}, "audience.of[0].of is empty, which means nobody"),
]


@pytest.mark.parametrize(("given", "sentence"), [*SPELLED, *IMPOSSIBLE])
def test_what_is_wrong_is_told_of_its_field(given: dict[str, Any], sentence: str) -> None:
    """Where it is, its value, what is allowed, and the name that was meant."""
    with pytest.raises(UserError) as told:
        plan_of(CANARY | given)
    assert sentence in str(told.value)


def test_an_option_is_called_as_it_was_written() -> None:
    """What the command line said is told by the name of the option; the same field of a file is not."""
    wrong = CANARY | {"checks": {"alpha": 3.0}}
    with pytest.raises(UserError, match=r"^--alpha has the value 3\.0"):
        plan_of(wrong, {"checks.alpha": "--alpha"})
    with pytest.raises(UserError, match=r"^checks\.alpha has the value 3\.0"):
        plan_of(wrong)


COLUMNS = {"click": "flag", "like": "int", "device": "category"}


def test_a_metric_is_one_of_interactions() -> None:
    """Where users are looked at; a shadow changes nothing for them."""
    plan = plan_of(CANARY | metric(name="clik"))
    with pytest.raises(UserError, match=r"checks\.metric\.name is 'clik', .* Did you mean 'click'\?"):
        check_metric(plan, COLUMNS)
    with pytest.raises(
        UserError, match=r"checks\.metric\.name is 'device', which is of type category: .* click, like\."
    ):
        check_metric(plan_of(CANARY | metric(name="device")), COLUMNS)
    for fine in (CANARY, CANARY | {"checks": {"metric": None}}, {"strategy": "shadow", "versions": ["b"]}):
        check_metric(plan_of(fine), COLUMNS)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_document_that_is_not_utf8(encoding: str, form: Any) -> None:
    """It is said to be none, whatever it would hold."""
    with pytest.raises(UserError, match=r"plan\.yaml is not UTF-8: .* Save it as UTF-8"):
        read_document('{"strategy": "cañary"}'.encode(encoding), "plan.yaml", form)


def test_a_document_of_utf8() -> None:
    """With the mark that some editors write first, too; numbers are those of YAML 1.2."""
    assert read_document("﻿{audience: é, alpha: 1e-3}".encode(), "plan.yaml") == {"audience": "é", "alpha": 0.001}
    assert plan_of(read_document("{strategy: canary, versions: [b], checks: {alpha: 1e-3}}", "p")).checks.alpha == 1e-3
    assert isinstance(plan_of(CANARY), RolloutPlan)
