"""The bench's worlds are what they say: probabilities that add up, and values that logs come to."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.ope import one_run
from benchmarks.ope_slate_worlds import KINDS, POLICIES, POSITIONS, slate_world
from benchmarks.ope_worlds import decision_world

from orita.delivery.ope import ESTIMATORS, SLATE_ESTIMATORS, cascade_dm, reward_interaction_ips, slate_ips


@pytest.mark.parametrize("kind", ["segments", "linear"])
def test_decisions(kind: str) -> None:
    """Policies are probabilities, every action has some in the log, and they come from near to far."""
    world = decision_world(kind)
    assert world.logging_MA.min() > 0.01
    distances = []
    for target in world.policies.values():
        assert target.sum(axis=1) == pytest.approx(np.ones(len(target)))
        distances.append(float((target**2 / world.logging_MA).sum(axis=1).mean()))
    assert distances == sorted(distances)


@pytest.mark.parametrize("kind", KINDS)
def test_slates(kind: str) -> None:
    """Slates of a segment have chances of 1 in all, each position's items too; rewards below the top are the value."""
    world = slate_world(kind)
    for policy, conditional in world.conditional.items():
        chance = conditional.prod(axis=2)
        assert chance.sum(axis=1) == pytest.approx(np.ones(len(chance)))
        marginal, items = world.marginal[policy], np.unique(world.prefix_LK[:, 0], return_inverse=True)[1]
        first = np.zeros((len(chance), 8))
        first[:, items] = marginal[:, :, 0]
        assert first.sum(axis=1) == pytest.approx(np.ones(len(chance)))
        _, expected = world.expected_below(policy, world.chance_SLK)
        assert expected[:, 0, 0].mean() == pytest.approx(world.value(policy))
    log = world.log(4000, np.random.default_rng(0))
    logged = world.seen_from("near", log, world.learned(log, by_segment=True))
    assert logged.reward_NK.shape == (4000, POSITIONS)
    found = slate_ips(logged)
    assert abs(found.value - world.value("near")) < 4 * found.standard_error


def test_reward_models_of_slates_are_right_where_they_are_called_so() -> None:
    """Tables of a large log come to the value in two worlds; without segments, or in the third, they do not."""
    off = {}
    for kind in KINDS:
        world = slate_world(kind)
        log = world.log(200_000, np.random.default_rng(1))
        for model in (True, False):
            logged = world.seen_from("far", log, world.learned(log, by_segment=model))
            off[kind, model] = abs(cascade_dm(logged).value - world.value("far"))
    assert max(off["independent", True], off["cascade", True]) < 0.006
    assert min(off["whole", True], *(off[kind, False] for kind in KINDS)) > 0.01


def test_a_slate_that_is_read_as_a_whole_is_wrong_from_the_top() -> None:
    """In the third world rewards depend on the item below, which weights of the items above know nothing of."""
    world = slate_world("whole")
    log = world.log(200_000, np.random.default_rng(2))
    logged = world.seen_from("far", log, world.learned(log, by_segment=True))
    wrong, right = reward_interaction_ips(logged), slate_ips(logged)
    assert abs(wrong.value - world.value("far")) > 2.5 * wrong.standard_error
    assert abs(right.value - world.value("far")) < 4 * right.standard_error


def test_a_run_has_every_estimator() -> None:
    """One small run of the bench tells of all estimators in all worlds."""
    found = one_run(0, 200)
    names = {key.split("|")[3] for key in found}
    assert names == {*ESTIMATORS, *SLATE_ESTIMATORS, "calibration test of 5 %"}
    policies = len(POLICIES)
    assert len(found) == 2 * (1 + policies * 7 + policies * 4) + len(KINDS) * policies * (9 + 3)
