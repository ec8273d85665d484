"""Reports: effects against independent computations, what is found and what is not, every check, JSON and HTML."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats
from tests.delivery.experiments.small_experiments import (
    START,
    clicks,
    days_after,
    plan_of,
    reported,
    stamps,
    write_events,
    write_exposures,
)

from orita.core.errors import UserError
from orita.core.home import Home
from orita.delivery.assignment import Holdout
from orita.delivery.experiments import KeptExperiment
from orita.delivery.experiments.page import write_report
from orita.delivery.experiments.report import report_on
from orita.delivery.experiments.results import as_json

Floats = npt.NDArray[np.float64]

RATE = clicks(name="rate", kind="ratio", column=None, numerator="click", role="secondary", effect=0.1)
SHARE = clicks(name="share", aggregate="any", role="secondary", effect=0.1)
BACK = clicks(name="back", kind="retention", column=None, window=None, day=1, role="secondary", effect=0.1)
MEDIAN = clicks(name="median", kind="quantile", quantile=0.5, role="secondary", effect=None)


class World:
    """Units of two arms that click now and then, with a taste of their own, before and after their first exposure."""

    def __init__(self, folder: Path, units: int, lift: float = 0.0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.first_U = np.sort(rng.random(units) * 10)
        self.arm_U = rng.random(units) < 0.5
        self.stratum_U = rng.integers(3, size=units)
        taste_U = rng.gamma(2.0, 0.5, units) * (1 + self.stratum_U)
        visits_U = rng.poisson(2 + taste_U)
        unit_N = np.repeat(np.arange(units), 2 * visits_U)
        # Half of the visits are in the three days before, half in the two days after.
        after_N = np.concatenate([np.arange(2 * n) % 2 == 0 for n in visits_U]).astype(bool)
        offset_N = np.where(after_N, rng.random(len(unit_N)) * 2, -rng.random(len(unit_N)) * 3)
        lift_N = np.where(after_N & self.arm_U[unit_N], 1 + lift, 1.0)
        click_N = rng.poisson(0.4 * taste_U[unit_N] * lift_N).astype(float)
        shown = {
            "user_id": np.arange(units),
            "variant": np.where(self.arm_U, "B", "A"),
            "timestamp": stamps([days_after(day) for day in self.first_U]),
            "country": np.array(["SE", "DK", "NO"])[self.stratum_U],
        }
        pq.write_table(pa.table(shown), folder / "exposures.parquet")
        times = (self.first_U[unit_N] + offset_N).tolist()
        write_events(folder, list(zip(unit_N.tolist(), times, click_N.tolist(), strict=True)))
        self.clicks_U: Floats = np.bincount(unit_N[after_N], click_N[after_N], units).astype(np.float64)
        self.rows_U: Floats = np.bincount(unit_N[after_N], minlength=units).astype(np.float64)

    def arms(self, values_U: npt.NDArray[Any], kept: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return the values of kept units, by arm."""
        return values_U[kept & ~self.arm_U], values_U[kept & self.arm_U]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an experiment whose treatment is clicked half as much again."""
    return tmp_path_factory.mktemp("lifted")


@pytest.fixture(scope="module")
def world(folder: Path) -> World:
    """Return the units in it."""
    return World(folder, 1600, lift=0.5)


def test_at_every_look(folder: Path, world: World) -> None:
    """The effect is that of closed units, found after some look and kept; the other metrics come with it."""
    report = reported(folder, plan_of(clicks(effect=1.5), RATE, SHARE, BACK, MEDIAN), 11.0)
    closed = world.first_U + 2 <= 11.0
    control, treatment = world.arms(world.clicks_U, closed)
    (effect,) = report.primary.effects
    assert effect.estimate == pytest.approx(treatment.mean() - control.mean())
    assert (effect.n_control, effect.n_treatment) == (len(control), len(treatment))
    assert effect.error == pytest.approx(math.hypot(stats.sem(control), stats.sem(treatment)))
    assert effect.low < effect.estimate - 1.96 * effect.error  # wider than one look's
    assert [look.p_value for look in effect.course] == sorted((look.p_value for look in effect.course), reverse=True)
    assert effect.course[-1].units == closed.sum()
    (rate,) = report.metrics[1].effects
    below = world.arms(world.rows_U, closed)
    assert rate.estimate == pytest.approx(treatment.sum() / below[1].sum() - control.sum() / below[0].sum())
    (share,) = report.metrics[2].effects
    assert share.estimate == pytest.approx((treatment > 0).mean() - (control > 0).mean())
    (median,) = report.metrics[4].effects
    assert median.control == pytest.approx(np.quantile(control, 0.5, method="inverted_cdf"))
    assert median.treatment == pytest.approx(np.quantile(treatment, 0.5, method="inverted_cdf"))
    assert median.low < 0.5 < median.high
    assert report.verdict.sentence == "ship B"
    assert all(effect.adjusted_p is not None for metric in report.metrics[1:] for effect in metric.effects)
    assert effect.adjusted_p is None


def test_no_report_contradicts_an_earlier_one(folder: Path, world: World) -> None:
    """The looks of a report are those of every later one; a report as of then is the same whenever it is asked."""
    courses = [reported(folder, plan_of(clicks(), SHARE), until).metrics for until in (6.0, 9.0)]
    for early, late in zip(*courses, strict=True):
        before, after = early.effects[0].course, late.effects[0].course
        assert len(before) >= 2
        assert after[: len(before)] == before
        assert len(after) > len(before)


def test_at_the_planned_end(folder: Path, world: World) -> None:
    """A fixed analysis shows nothing before its size, and then the first units only, whenever it is asked."""
    plan = plan_of(clicks(), RATE, SHARE, MEDIAN, analysis={"kind": "fixed", "units": 1000}, multiple_testing="holm")
    early = reported(folder, plan, 5.0)
    assert not any(metric.effects for metric in early.metrics)
    assert early.verdict.decision == "keep_running"
    a_day = (world.first_U < 5.0).sum() / 5
    assert early.size.days_left == math.ceil((1000 - 5 * a_day) / a_day + 2)
    first = reported(folder, plan, 9.0)
    assert first.size.reached
    kept = np.arange(1600) < 1000
    control, treatment = world.arms(world.clicks_U, kept)
    (effect,) = first.primary.effects
    expected = stats.ttest_ind(treatment, control, equal_var=False)
    assert effect.p_value == pytest.approx(expected.pvalue)
    assert (effect.low, effect.high) == pytest.approx(tuple(expected.confidence_interval()))
    secondary = [metric.effects[0] for metric in first.metrics[1:]]
    raw = [each.p_value for each in secondary]
    assert [each.adjusted_p for each in secondary] == pytest.approx(_holm(raw))
    again = reported(folder, plan, 11.5)
    assert as_json(again.primary)["effects"] == as_json(first.primary)["effects"]


def _holm(p_values: list[float]) -> list[float]:
    order, adjusted, running = np.argsort(p_values), [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = running
    return adjusted


def test_what_was_known_before(folder: Path, world: World) -> None:
    """CUPED and strata take noise out, and say how much; the effect stays about what it was."""
    plan = plan_of(
        clicks(covariate="3d"),
        clicks(name="by country", role="secondary", strata="country"),
    )
    report = reported(folder, plan, 12.0)
    (effect,) = report.primary.effects
    assert effect.covariate is not None
    assert 0.2 < effect.covariate.variance_reduction < 0.95
    reduced = (effect.error / effect.covariate.raw_error) ** 2
    assert reduced == pytest.approx(1 - effect.covariate.variance_reduction, abs=0.02)
    assert abs(effect.estimate - effect.covariate.raw_estimate) < 3 * effect.covariate.raw_error
    strata = report.metrics[1].effects[0].stratification
    assert strata is not None
    assert (strata.column, strata.strata) == ("country", 3)
    closed = world.first_U + 2 <= 12.0
    by_stratum = [
        (np.diff([values.mean() for values in world.arms(world.clicks_U, closed & (world.stratum_U == s))])[0], s)
        for s in range(3)
    ]
    shares = [(world.stratum_U[closed] == s).mean() for s in range(3)]
    assert strata.estimate == pytest.approx(sum(gap * shares[s] for gap, s in by_stratum))
    assert strata.variance_reduction > 0.05


def test_beliefs_and_days(folder: Path, world: World) -> None:
    """The better variant is very probably the best; effects by day add up to the effect; nothing wears off."""
    report = reported(folder, plan_of(), 12.0)
    best = {belief.variant: belief.best for belief in report.belief}
    assert best["B"] > 0.99
    assert sum(best.values()) == pytest.approx(1.0)
    since, weekday = report.days
    assert since.by == "day since exposure"
    assert sum(since.effects) == pytest.approx(report.primary.effects[0].estimate)
    assert since.trend is not None
    assert weekday.by == "weekday of the first exposure"
    mondays = (world.first_U.astype(int) % 7 == 0) & (world.first_U + 2 <= 12.0)
    control, treatment = world.arms(world.clicks_U, mondays)
    assert weekday.labels[0] == "Monday"
    assert weekday.effects[0] == pytest.approx(treatment.mean() - control.mean())


def test_whole_weeks_by_weekday(tmp_path: Path) -> None:
    """Of a window of a week, outcomes count on the weekday on which they happened."""
    units = range(40)
    write_exposures(tmp_path, [(unit, "AB"[unit % 2], unit / 40) for unit in units])
    write_events(tmp_path, [(unit, 2.5, 1.0 + unit) for unit in units] + [(0, 6.5, 100.0), (1, 6.5, 300.0)])
    report = reported(tmp_path, plan_of(clicks(window="7d"), analysis={"kind": "fixed", "units": 100}), 9.0)
    assert not report.days  # nothing may be seen before the planned size
    wide = [(unit, "AB"[unit % 2], unit / 200) for unit in range(200)]
    write_exposures(tmp_path, wide)
    rows = [(unit, 1.0 + day, float(day + unit % 3 + unit % 2)) for unit in range(200) for day in range(6)]
    write_events(tmp_path, [*rows, *((unit, 0.999, float(unit % 5)) for unit in range(200))])
    report = reported(tmp_path, plan_of(clicks(window="7d"), analysis={"kind": "fixed", "units": 200}), 9.0)
    weekday = report.days[-1]
    assert weekday.by == "weekday"
    tuesday = [day + unit % 3 + unit % 2 for day in (0,) for unit in range(200)]
    gap = np.mean(tuesday[1::2]) - np.mean(tuesday[::2])
    assert weekday.effects[1] == pytest.approx(gap)


@pytest.mark.slow
def test_nothing_to_find(tmp_path: Path) -> None:
    """Of 60 experiments without effect, looked at daily, no more find one than a level of 0.05 over all looks allows.

    At that rate more than 8 of 60 have a chance of 0.2 %; a test at 0.05 a look would find about 10 in 5 looks.
    """
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        first, arm = np.sort(rng.random(600) * 5), rng.random(600) < 0.5
        write_exposures(tmp_path, [(u, "AB"[int(arm[u])], float(first[u])) for u in range(600)])
        write_events(tmp_path, [(u, float(first[u] + 0.5), float(rng.poisson(1.0))) for u in range(600)])
        report = reported(tmp_path, plan_of(clicks(window="1d", effect=0.3)), 6.5)
        found += report.primary.effects[0].p_value <= 0.05
        assert not report.sample_ratio.mismatch
    assert found <= 8


def test_a_mismatch(tmp_path: Path) -> None:
    """Shares other than declared make all else invalid, whatever the effect."""
    units = range(900)
    write_exposures(tmp_path, [(unit, "A" if unit % 3 else "B", unit / 300) for unit in units])
    write_events(tmp_path, [(unit, unit / 300 + 0.1, 0.0 if unit % 3 else 9.0 + unit % 2) for unit in units])
    report = reported(tmp_path, plan_of(), 6.0)
    ratio = report.sample_ratio
    assert (ratio.counts, ratio.expected) == ({"A": 600, "B": 300}, {"A": 450.0, "B": 450.0})
    assert ratio.p_value == pytest.approx(stats.binomtest(300, 900, 0.5).pvalue)
    assert ratio.sequential_p_value < 0.001
    assert report.verdict.sentence == "invalid: sample ratio mismatch"
    declared = plan_of(variants=[{"name": "A", "weight": 66.6667}, {"name": "B", "weight": 33.3333}])
    assert reported(tmp_path, declared, 6.0).verdict.decision == "ship"


def test_several_treatments(tmp_path: Path) -> None:
    """Each is compared with the control at a share of the level; the best of those that ship is named."""
    rng = np.random.default_rng(5)
    means = {"A": 1.0, "B": 1.6, "C": 2.4}
    arms = [("A", "B", "C")[unit % 3] for unit in range(1200)]
    write_exposures(tmp_path, [(unit, arm, unit / 400) for unit, arm in enumerate(arms)])
    write_events(tmp_path, [(u, u / 400 + 0.1, float(rng.poisson(means[arm]))) for u, arm in enumerate(arms)])
    variants = [{"name": name, "weight": weight} for name, weight in (("A", 33.34), ("B", 33.33), ("C", 33.33))]
    report = reported(tmp_path, plan_of(variants=variants), 6.0)
    assert report.primary.level == pytest.approx(0.025)
    assert [effect.variant for effect in report.primary.effects] == ["B", "C"]
    assert report.verdict.winner == "C"
    assert [round(belief.best, 3) for belief in report.belief] == [0.0, 0.0, 1.0]


def test_a_holdout(tmp_path: Path) -> None:
    """Units that were there before the start are compared, held out against not; a newcomer does not count."""
    holdout = Holdout("all", 50)
    units = [str(unit) for unit in range(400)]
    free = [unit for unit in units if not holdout.holds(unit)]
    write_exposures(tmp_path, [(unit, "AB"[place % 2], 0.1) for place, unit in enumerate(free)])
    before = [(unit, -3.0, 50.0) for unit in units[:300]]
    after = [(unit, 1.0, (2.0 if unit in free else 1.0) + place % 2) for place, unit in enumerate(units)]
    write_events(tmp_path, before + after)
    report = reported(tmp_path, plan_of(holdouts=[{"name": "all", "percent": 50}]), 4.0)
    found = report.holdout
    assert found is not None
    held_values = [1.0 + place % 2 for place, unit in enumerate(units[:300]) if unit not in free]
    free_values = [2.0 + place % 2 for place, unit in enumerate(units[:300]) if unit in free]
    assert (found.held, found.free) == (len(held_values), len(free_values))
    assert found.estimate == pytest.approx(np.mean(free_values) - np.mean(held_values))
    assert found.low > 0


def test_quantiles_of_rows_at_the_planned_end(tmp_path: Path) -> None:
    """Each row is a value, units being clusters: the interval is wider than that of independent rows."""
    rng = np.random.default_rng(2)
    level = rng.normal(10, 3, 200)
    write_exposures(tmp_path, [(unit, "AB"[unit % 2], 0.0) for unit in range(200)])
    rows = [(unit, 0.5, float(level[unit] + rng.normal())) for unit in range(200) for _ in range(10)]
    write_events(tmp_path, rows)
    slow = clicks(kind="quantile", quantile=0.9, aggregate="rows", effect=None)
    report = reported(tmp_path, plan_of(slow, analysis={"kind": "fixed", "units": 200}), 4.0)
    (effect,) = report.primary.effects
    values = np.array([value for _, _, value in rows])
    odd = np.array([unit % 2 == 1 for unit, _, _ in rows])
    assert effect.estimate == pytest.approx(np.quantile(values[odd], 0.9) - np.quantile(values[~odd], 0.9))
    assert (effect.n_control, effect.n_treatment) == (100, 100)
    density = stats.norm.pdf(stats.norm.isf(0.1)) / math.sqrt(10)
    assert effect.error > 1.5 * math.sqrt(2 * 0.09 / 1000) / density


def test_stopped(folder: Path, world: World) -> None:
    """Later exposures do not count, outcomes of earlier ones still do."""
    report = reported(folder, plan_of(), 7.0, stopped=5.0)
    assert report.exposed.total == (world.first_U < 5).sum()
    assert report.size.closed == (world.first_U < 5).sum()
    assert report.size.days_left in (None, 0)


def test_nothing_to_report_on(folder: Path, world: World) -> None:
    """A draft, or a time before the start, is refused with what to do."""
    draft = KeptExperiment(plan=plan_of())
    with pytest.raises(UserError, match="is a draft: 'orita experiments start colours'"):
        report_on(draft, Home(folder / ".orita"), folder, until=days_after(1))
    with pytest.raises(UserError, match="nothing to report"):
        reported(folder, plan_of(), -1.0)


def test_as_json_and_as_a_page(folder: Path, world: World, tmp_path: Path) -> None:
    """JSON has no NaN; the page stands alone, names the verdict, and draws every plot."""
    guardrail = clicks(name="more <b>", role="guardrail", margin=1.0)
    report = reported(folder, plan_of(clicks(covariate="3d", strata="country"), guardrail), 12.0)
    told = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert told["verdict"]["decision"] == "ship"
    assert told["metrics"][1]["effects"][0]["guarded"] == "holds"
    assert told["started_at"] == START.isoformat()
    write_report(tmp_path / "r.html", replace(report, hypothesis="<script>"))
    page = (tmp_path / "r.html").read_text()
    assert "ship B" in page
    assert page.count("<svg") == 7  # effects, two courses, units, shares, two by day
    assert "<script>" not in page
    assert "more &lt;b&gt;" in page
    assert "://" not in page.replace("http://www.w3.org", "")
