"""The bench's worlds are what they say: probabilities that add up, and values that logs come to."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.ope import one_run
from benchmarks.ope_worlds import POSITIONS, decision_world, slate_world

from orita.delivery.ope import ESTIMATORS, SLATE_ESTIMATORS, slate_ips


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


@pytest.mark.parametrize("kind", ["independent", "cascade"])
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
    logged = world.log("near", "right", 4000, np.random.default_rng(0))
    assert logged.reward_NK.shape == (4000, POSITIONS)
    found = slate_ips(logged)
    assert abs(found.value - world.value("near")) < 4 * found.standard_error


def test_a_run_has_every_estimator() -> None:
    """One small run of the bench tells of all estimators in all worlds."""
    found = one_run(0, 200)
    names = {key.split("|")[3] for key in found}
    assert names == {*ESTIMATORS, *SLATE_ESTIMATORS, "calibration test of 5 %"}
    assert len(found) == 2 * (1 + 3 * 6 + 3 * 3) + 2 * 3 * (7 + 1)
