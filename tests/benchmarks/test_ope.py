"""The bench of off-policy evaluation tells coverage and errors of the scenarios where estimators claim to hold."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.ope import RATIOS, Found, drawn_actions, judged
from benchmarks.ope_slate_worlds import KINDS
from tests.benchmarks.running import last_line

from benchmarks import ope
from orita.delivery.ope import ESTIMATORS, SLATE_ESTIMATORS


def runs_of(errors: dict[str, float], *, held: float = 0.95, runs: int = 100) -> list[Found]:
    """Return runs in which estimators are off by so much each time, and hold in so many."""

    def one(run: int) -> Found:
        return {
            key: (error, run < held * runs, not key.endswith("dm") and "whole" not in key, 1.0)
            for key, error in errors.items()
        }

    return [one(run) for run in range(runs)]


def errors(dr: float) -> dict[str, float]:
    """Return the errors of a scenario of each world."""
    single = {"ips": 0.4, "dm": 0.2, "dr": dr, "switch_dr": 0.3, "blended_dr": 0.3}
    slate = {"slate_ips": 0.5, "reward_interaction_ips": 0.25, "cascade_dm": 0.3, "cascade_dr": 0.2}
    return {
        f"{world}|far|right|{name}": error
        for worlds, each in ((("segments", "linear"), single), (KINDS, slate | {"blended_cascade_dr": 0.2}))
        for world in worlds
        for name, error in each.items()
    }


def test_the_last_line_has_every_estimator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All but the one that claims nothing, with shares; the runs are counted."""
    found = last_line(ope, monkeypatch, capsys, "--runs", "1", "--rows", "200")
    assert set(found["coverage"]) == {*ESTIMATORS} - {"dm"}
    assert set(found["slate_coverage"]) == {*SLATE_ESTIMATORS} - {"cascade_dm"}
    shares = [*found["coverage"].values(), *found["slate_coverage"].values()]
    assert all(0 <= low <= high <= 1 for low, high in shares)
    assert found["runs"] == 1
    assert {"outside", *RATIOS, *(f"{told}_by_world" for told in RATIOS)} < set(found)


def test_an_error_is_told_by_the_lesser_of_both_parts() -> None:
    """DR off by 0.3 where IPS is by 0.4 and DM by 0.2 is at 1.5, in the worst world."""
    found = judged(runs_of(errors(dr=0.1) | {"linear|far|right|dr": 0.3}))
    assert found["ratio_error_dr_by_world"] == {"segments": 0.5, "linear": 1.5}
    assert (found["ratio_error_dr"], found["runs"]) == (1.5, 100)


def test_slates_are_judged_where_users_read_from_the_top() -> None:
    """Cascade-DR off by 0.2 is at 0.8 of the least of its rivals; the world where it is not right is told alone."""
    found = judged(runs_of(errors(dr=0.1) | {"whole|far|right|cascade_dr": 0.5, "cascade|far|right|slate_ips": 0.1}))
    assert found["ratio_error_slate_dr_by_world"] == {"independent": 0.8, "cascade": 2.0, "whole": 2.0}
    assert (found["ratio_error_slate_dr"], found["ratio_error_blended_slate_dr"]) == (2.0, 2.0)
    found = judged(runs_of(errors(dr=0.1) | {"whole|far|right|cascade_dr": 0.5}))
    assert (found["ratio_error_slate_dr"], found["ratio_error_slate_dr_by_world"]["whole"]) == (0.8, 2.0)  # type: ignore[index]


@pytest.mark.parametrize(("held", "outside"), [(0.95, 0), (0.9, 16), (1.0, 16)])
def test_coverage_that_is_off_is_named(held: float, outside: int) -> None:
    """Too often is off as too seldom is; what claims nothing is neither."""
    found = judged(runs_of(errors(dr=0.2), held=held))
    assert found["coverage"] == {name: [held, held] for name in ("ips", "dr", "switch_dr", "blended_dr")}
    assert isinstance(found["slate_coverage"], dict)
    assert set(found["slate_coverage"]) == {"slate_ips", "reward_interaction_ips", "cascade_dr", "blended_cascade_dr"}
    assert isinstance(found["outside"], dict)
    assert len(found["outside"]) == outside


def test_actions_are_drawn_with_their_chances() -> None:
    """Also where a row's chances add up to a little less than 1."""
    chance_NA = np.tile([0.2, 0.0, 0.8 - 1e-12], (20_000, 1))
    share_A = np.bincount(drawn_actions(chance_NA, np.random.default_rng(0)), minlength=3) / 20_000
    assert share_A == pytest.approx([0.2, 0.0, 0.8], abs=0.015)
