"""Features of both versions, compared one by one: what differs is named, what is the same is left in peace."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from orita.delivery.rollouts import DriftCheck
from orita.delivery.rollouts.drift import DriftGuard
from orita.delivery.rollouts.looks import FirstItems, GuardCounts

NAMES = ("age", "hour", "item_ctr")


def users(
    random: np.random.Generator,
    n: int,
    *,
    names: tuple[str, ...] = NAMES,
    shift: dict[str, float] | None = None,
    missing: dict[str, float] | None = None,
    varies: tuple[str, ...] = ("item_ctr",),
    share: float = 1.0,
) -> GuardCounts:
    """Return users with features of a model."""
    x_UF = random.normal(size=(n, len(names))).astype(np.float32)
    for f, name in enumerate(names):
        x_UF[:, f] += (shift or {}).get(name, 0.0)
        x_UF[random.random(n) < (missing or {}).get(name, 0.0), f] = np.nan
    chance_U = random.random(n)
    kept = chance_U < share
    first = FirstItems(
        names, x_UF[kept], np.array([name in varies for name in names]), chance_U[kept], np.full(kept.sum(), share)
    )
    return GuardCounts(np.zeros(n, bool), np.ones(n), np.zeros(n), first)


def guard_of(
    seconds: int = 40, check: DriftCheck | None = None, seed: int = 0, level: float = 0.01, **new: Any
) -> DriftGuard:
    """Return a guard after some looks; *new* says what the challenger was given."""
    random, guard = np.random.default_rng(seed), DriftGuard(check or DriftCheck(), "b", level)
    for _ in range(seconds):
        guard.take(users(random, 50), users(random, 20, **new))
    return guard


def test_the_same_features_are_fine() -> None:
    """Distances are told, the largest first; nothing is beyond."""
    found = guard_of().finding
    assert (found.says, found.evidence["beyond"], found.evidence["features"]) == ("fine", [], 3)
    assert list(found.evidence["distances_by_item"]) == ["item_ctr"]
    assert found.evidence["users"] == 40 * 20
    assert max(found.evidence["distances"].values()) < 0.1


@pytest.mark.parametrize(("action", "says"), [("hold", "beyond"), ("roll_back", "harm")])
def test_what_differs_is_named(action: Any, says: str) -> None:
    """The feature, how far it is, and what the plan does then."""
    found = guard_of(check=DriftCheck(action=action), shift={"hour": 2.0}).finding
    assert (found.says, found.evidence["beyond"]) == (says, ["hour"])
    assert found.why.startswith("feature hour of b and the champion differs by 0.6")
    assert "age" not in found.why


def test_what_is_missing_counts() -> None:
    """The same values for those who have one, and none for half of the users."""
    found = guard_of(missing={"age": 0.5}).finding
    assert (found.says, found.evidence["beyond"]) == ("beyond", ["age"])
    assert re.search(r"\(missing for [45]\d\.\d % and 0\.0 %\)", found.why)


def test_what_ranking_does_to_items_is_told_and_not_judged() -> None:
    """Unless the plan says so: other items are first where a model ranks otherwise."""
    told, judged = (guard_of(check=DriftCheck(items=items), shift={"item_ctr": 2.0}).finding for items in (False, True))
    assert told.says == "fine"
    assert told.evidence["distances_by_item"]["item_ctr"] > 0.5
    assert (judged.says, judged.evidence["beyond"]) == ("beyond", ["item_ctr"])


def test_what_only_one_reads_is_named_and_not_compared() -> None:
    """In whatever order the versions list their features."""
    found = guard_of(names=("hour", "fresh", "age"), varies=(), shift={"fresh": 5.0}).finding
    assert (found.says, found.evidence["features"]) == ("fine", 2)
    assert found.evidence["not_compared"] == ["fresh", "item_ctr"]
    assert guard_of(names=("hour", "fresh", "age"), varies=(), shift={"age": 2.0}).finding.evidence["beyond"] == ["age"]


def test_without_the_champion_nothing_is_compared() -> None:
    """After a switch there is nobody to compare with; what was proven before stays."""
    random = np.random.default_rng(0)
    fine, held = guard_of(), guard_of(shift={"hour": 2.0})
    for guard in (fine, held):
        guard.begin(1, beside=False)
        for _ in range(40):
            guard.take(None, users(random, 50, shift={"age": 3.0}))
    assert (fine.finding.says, held.finding.says) == ("waiting", "beyond")


def test_versions_without_features_wait() -> None:
    """Nothing was kept of what they were given."""
    guard = DriftGuard(DriftCheck(), "b", 0.01)
    guard.take(GuardCounts(np.zeros(5, bool), np.ones(5), np.zeros(5)), None)
    assert (guard.finding.says, guard.finding.evidence["features"]) == ("waiting", 0)


def test_a_distance_within_the_limit_is_rarely_called_beyond() -> None:
    """At the limit itself, a look after each of 60 batches: at a level of 10 % at most so many of 50 err."""
    limit = 0.1974  # distance of two normal distributions half a standard deviation apart: 2·Φ(1/4) − 1
    check = DriftCheck(most_distance=limit)
    wrong = sum(
        guard_of(60, check, seed=seed, level=0.1, shift={"age": 0.5, "hour": 0.5}).finding.says != "fine"
        for seed in range(50)
    )
    assert wrong <= 11  # more has a chance of 0.9 % at the level


def test_a_busy_second_is_no_drift() -> None:
    """Features that follow the time: of one version fewer answers are kept after a while, and both did the same."""
    random, guard = np.random.default_rng(2), DriftGuard(DriftCheck(action="roll_back"), "b", 0.01)
    for second in range(300):
        hour, share = {"hour": second / 30}, 0.1 if second > 150 else 1.0
        guard.take(users(random, 100, shift=hour, share=share), users(random, 20, shift=hour))
    found = guard.finding
    assert found.says == "fine"
    assert 2000 < found.evidence["champion_users"] < 4000
    assert found.evidence["distances"]["hour"] < 0.1


def test_a_sample_stays_bounded() -> None:
    """Beyond some thousand users of a version it is halved, and a difference is seen all the same."""
    random, guard = np.random.default_rng(2), DriftGuard(DriftCheck(), "b", 0.01)
    for _ in range(30):
        guard.take(users(random, 1000), users(random, 1000, shift={"age": 1.0}))
    assert guard.finding.evidence["beyond"] == ["age"]
    assert guard.finding.evidence["users"] <= 8192
