"""The bench of the unattended month: what it measures by is right, and it runs through the machinery that users run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.month_found import SILENCE, Alarm, Month, judged
from benchmarks.month_life import Course, Deployed, Fired, Ran, live
from benchmarks.month_noon import Measured, NoonFigures, Noons, expected_auc
from benchmarks.month_page import write_month_page
from tests.benchmarks.running import last_line

from benchmarks import month as bench
from orita.simulate.scenario import Scenario, read_scenario
from orita.stats.metrics import auc

_SCENARIO = Scenario.model_validate(
    {
        "happenings": [
            {"day": 4, "drift": {"redrawn": 0.5}},
            {"day": 20, "outage": {"hours": 14, "at_hour": 16}},
            {"day": 25, "drift": {"redrawn": 0.5}},
        ]
    }
)


def _fired(name: str, day: int, hour: float, version: str = "v1") -> Fired:
    return Fired(name, "feed/score", 24 * (day - 1) + hour, "it changed", version)


class _Given(Noons):
    """Noons that were not measured."""

    def __init__(self, found: Iterable[NoonFigures]) -> None:
        self._found = list(found)


def _month(shares: list[float], course: Course, alarms: tuple[Alarm, ...] = ()) -> Month:
    """Return a month whose champion has these shares of the oracle's AUC."""
    noons = [
        NoonFigures(day, "v1", Measured(0.7 * share, 0.7, 0.8), Measured(0.3, 0.3, 0.4), 0.01 if day == 3 else None)
        for day, share in enumerate(shares, 1)
    ]
    return Month(0, _SCENARIO, _Given(noons), course, alarms, 1.0)


def test_the_expected_auc_is_the_auc_of_the_clicks_that_chances_bring() -> None:
    """With chances of 0 and 1 it is the AUC; with others, that of clicks drawn from them, on average."""
    rng = np.random.default_rng(0)
    chance_N, scores_N = rng.random(2000) * 0.6, rng.integers(0, 9, 2000).astype(np.float64)
    clicks_N = (rng.random(2000) < 0.3).astype(np.float64)
    assert expected_auc(clicks_N, scores_N) == pytest.approx(float(auc(clicks_N, scores_N)), abs=1e-3)
    drawn = [float(auc((rng.random(2000) < chance_N).astype(np.float64), chance_N)) for _ in range(60)]
    assert expected_auc(chance_N, chance_N) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 60**0.5)


def test_a_drift_is_recovered_from_when_two_days_are_within_one_per_cent() -> None:
    """One good day between bad ones is none; what was not reached before the next drift, or the end, never was."""
    shares = [1.0] * 3 + [0.9, 0.995, 0.98, 0.991, 0.992] + [1.0] * 16 + [0.9] * 6
    month = _month(shares, Course(0))
    assert month.recovered("auc") == [3, None]
    assert month.recovered("ctr") == [0, 0]
    assert month.figures()["within_auc"] == round((30 - 2 - 6) / 30, 3)


def test_alarms_are_judged_by_what_happened() -> None:
    """A drift since the version's first requests, the outage in the window, the echo of a drift, or nothing."""
    course = Course(0, deployed=[Deployed("v2", "v1", 24 * 5.0)])
    course.fired = [
        _fired("FEATURE_DRIFT", 3, 4),
        _fired("FEATURE_DRIFT", 5, 4),
        _fired("PREDICTION_DRIFT", 8, 4, "v2"),
        _fired("FEATURE_DRIFT", 13, 4, "v2"),
        _fired(SILENCE, 15, 4, "v2"),
        _fired(SILENCE, 20, 20, "v2"),
        _fired("FEATURE_DRIFT", 21, 20, "v2"),
        _fired("FEATURE_DRIFT", 22, 20, "v2"),
    ]
    alarms = judged(None, _SCENARIO, course)  # type: ignore[arg-type]
    assert [a.reason for a in alarms] == ["none", "drift", "echo", "none", "none", "outage", "outage", "none"]
    figures = _month([1.0] * 30, course, alarms).figures()
    assert (figures["alarms"], figures["echoes"], figures["false_alarms"]) == (8, 1, 4)
    assert figures["outage_alarmed"]


def test_a_retraining_while_nobody_was_answered_is_counted() -> None:
    """One that looked and did not train is none, nor is one of the morning after."""
    outage = 24 * 19 + 20.0
    ran = [
        Ran("retraining", hour, {"check_trigger_conditions": {"retrain": asked}})
        for hour, asked in ((outage, False), (outage + 1, True), (outage + 12, True))
    ]
    figures = _month([1.0] * 30, Course(0, ran=ran)).figures()
    assert figures["retrained_in_outage"] == 1
    assert not figures["outage_alarmed"]


def test_the_page_stands_alone(tmp_path: Path) -> None:
    """It loads nothing, and tells of every alert."""
    course = Course(0, fired=[_fired("FEATURE_DRIFT", 3, 4)], clicked=[0.2] * 30)
    write_month_page(tmp_path / "month.html", _month([1.0] * 30, course, judged(None, _SCENARIO, course)))  # type: ignore[arg-type]
    page = (tmp_path / "month.html").read_text()
    assert "FEATURE_DRIFT" in page and "3, 04:00" in page
    assert page.count("<svg") == 4
    assert not any(outside in page for outside in ("http://", "https://", "<script src", "<link"))


def test_the_shipped_month_has_three_drifts_and_an_outage() -> None:
    """As issue and documents say, and it fits into the days that the bench simulates."""
    options = bench.parsed([])
    scenario = read_scenario(str(options.scenario)).checked(days=options.days, topics=16)
    assert [each.kind for each in scenario.happenings] == ["drift", "drift", "outage", "drift"]
    assert options.days == 30


def test_the_bench_is_that_of_the_documents() -> None:
    """Its sizes are those that decision 0069 tells of."""
    options = bench.parsed([])
    text = (Path(__file__).parents[2] / "docs" / "decisions" / "0069-retraining.md").read_text()
    told = re.search(r"a world of ([\d,]+) users, ([\d,]+) items and ([\d,]+) interactions, of whose users (\d+)", text)
    assert told is not None
    sizes = [int(each.replace(",", "")) for each in told.groups()]
    assert sizes == [options.users, options.items, options.interactions, options.panel]


@pytest.mark.slow
def test_days_go_by_unattended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three days of a tiny world: every noon is measured, pipelines run by their schedule, a page is written."""
    courses: list[Course] = []

    def noted(*given: Any, **more: Any) -> Course:
        courses.append(live(*given, **more))
        return courses[-1]

    monkeypatch.setattr(bench, "live", noted)
    scenario = tmp_path / "short.yaml"
    scenario.write_text(json.dumps({"happenings": [{"day": 2, "drift": {"redrawn": 0.5}}]}))
    sizes = ("--users", "150", "--panel", "80", "--items", "300", "--interactions", "6000", "--pages", "300")
    page = tmp_path / "month.html"
    told = last_line(
        bench, monkeypatch, capsys, "--seeds", "0", "--days", "3", "--settling", "1", "--scenario", str(scenario),
        "--html", str(page), *sizes,
    )  # fmt: skip
    (course,) = courses
    assert {ran.pipeline for ran in course.ran} >= {"etl", "training", "monitoring"}
    assert sorted(ran.hour for ran in course.ran if ran.pipeline == "etl") == [2.0, 26.0, 50.0]
    assert len(course.clicked) == 3 and min(course.clicked) > 0
    assert told["drifts"] == 1 and told["seeds"]["0"]["recovered_auc"][0] in (None, 0, 1)
    assert page.read_text().count("<svg") == 4
