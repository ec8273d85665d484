"""A simulated feed: what is asked for, what is found, and its page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orita.cli.simulate import _show
from orita.core.errors import UserError
from orita.simulate.feed import simulate_feed
from orita.simulate.feed_page import write_feed_page
from orita.simulate.feed_plan import FeedParts, FeedPlan, FeedSimulation
from orita.simulate.feed_words import too_few, verdict
from orita.simulate.figures import METRICS, figures_of
from orita.simulate.panel import Panel
from orita.simulate.scenario import Scenario
from orita.simulate.tally import Tally
from orita.stats.intervals import Interval

_OUTAGE = Scenario.model_validate({"name": "dark", "happenings": [{"day": 2, "outage": {"hours": 3}}]})


def _plan(**changes: object) -> FeedPlan:
    plan = FeedPlan(policy="oracle", vs="popularity", days=2, users=60, candidates=40)
    return replace(plan, **changes)  # type: ignore[arg-type]


@pytest.fixture
def found(parts: FeedParts) -> FeedSimulation:
    """Three policies over two days, with an outage."""
    return simulate_feed(parts, _plan(ceiling=True, policy="random", scenario=_OUTAGE))


def test_the_page_and_the_json_have_every_figure(found: FeedSimulation, tmp_path: Path) -> None:
    """The page stands alone and names policies, metrics and what happened; JSON has the same numbers by day."""
    page = tmp_path / "feed.html"
    write_feed_page(page, found)
    text = page.read_text(encoding="utf-8")
    for expected in ("random against popularity", "oracle against popularity", "Click-through rate", "day 2: outage"):
        assert expected in text
    assert "src=" not in text
    assert "<script" not in text
    told = json.loads(json.dumps(found.to_dict()))
    assert [arm["policy"] for arm in told["arms"]] == ["random", "popularity", "oracle"]
    assert told["compared_with"] == "popularity"
    assert {metric.key for metric in METRICS} <= set(told["figures"][0])
    assert all(len(days) == 2 for by_arm in told["daily"].values() for days in by_arm.values())
    assert told["scenario"]["happenings"] == [
        {"day": 2, "outage": {"hours": 3, "at_hour": 0, "serves": "list", "arm": "both"}}
    ]


def test_an_arm_is_named_apart_from_itself(parts: FeedParts, tmp_path: Path) -> None:
    """A policy may be compared with itself; its arms have two names then, and both are in the JSON."""
    found = simulate_feed(parts, _plan(policy="random", vs="random", days=1))
    told = found.to_dict()
    assert list(told["daily"]["ctr"]) == ["random (A)", "random (B)"]
    page = tmp_path / "feed.html"
    write_feed_page(page, found)
    assert "random (A) against random (B)" in page.read_text(encoding="utf-8")


def test_figures_are_sums_of_users_divided() -> None:
    """By hand: two users an arm over ten days; retention is of those who came before the last seven days."""
    tally = Tally(10, 4)
    panel = Panel(np.arange(4), np.array([0, 0, 1, 1]), np.zeros(4, np.int64), np.ones(4))
    for name, values in {"shown": 10, "clicks": 2, "engaged": 1, "pages": 1, "sessions": 1, "seconds": 30}.items():
        tally.counts[name][0] = values
    tally.counts["clicks"][0, 0] = 6
    tally.counts["sessions"][8, [0, 2, 3]] = 1
    tally.left_U[1] = 0
    figures = figures_of(tally, panel, ("a", "b"), start=0)
    found = figures.compared[0]
    assert (found["ctr"].treatment, found["ctr"].control) == (0.4, 0.2)
    assert found["engagement"].lift.value == 0
    assert (found["retention"].treatment, found["retention"].control) == (0.5, 1.0)
    assert found["sessions_a_day"].treatment == pytest.approx(3 / 20)
    assert figures.left == ((0.5,) * 10, (0.0,) * 10)
    assert figures.daily["ctr"][0][1] is None
    assert figures.daily["retention"][0][6] is None


def test_of_few_users_nothing_is_said(parts: FeedParts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in the terminal nor on the page, whatever the intervals are; both say how many are needed."""
    few = simulate_feed(parts, _plan(vs="random", days=1, users=20))
    assert any(each.lift.low > 0 for each in few.figures.compared[0].values())  # which would be called higher
    _show(few)
    write_feed_page(tmp_path / "feed.html", few)
    for text in (capsys.readouterr().out, (tmp_path / "feed.html").read_text(encoding="utf-8")):
        assert "too few to say" in text and "50 with each are needed" in text
        assert "higher" not in text and "undecided" not in text


def test_of_enough_users_the_interval_speaks(parts: FeedParts) -> None:
    """Of fifty in each arm, and of one less it does not."""
    figures = simulate_feed(parts, _plan(vs="random", days=1, users=20)).figures
    comparison = replace(figures.compared[0]["ctr"], lift=Interval(0.2, 0.1, 0.3), n_control=50, n_treatment=50)
    assert verdict(comparison)[0] == "higher"
    assert verdict(replace(comparison, n_treatment=49))[0] == "too few to say"
    assert too_few(replace(figures, users=(50, 50))) is None
    assert "49 with random" in (too_few(replace(figures, users=(50, 49))) or "")


def test_an_arm_of_one_user_has_no_table(parts: FeedParts, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to compare: how many users each arm has is said instead."""
    found = simulate_feed(parts, _plan(vs="random", days=1, users=20))
    _show(replace(found, figures=replace(found.figures, users=(1, 3), compared={0: {}})))
    text = capsys.readouterr().out
    assert "1 with oracle, 3 with random; 50 with each are needed" in text
    assert "metric" not in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"users": 5000}, "users is 5,000, and 400 users of the world had joined"),
        ({"days": 61}, "days is 61: allowed are 1 to 60"),
        ({"candidates": 5}, "candidates is 5: allowed are 10 to 250, as a page shows 10 items"),
        ({"scenario": _OUTAGE, "days": 1}, "comes after the last day, 1"),
        ({"http": "http://127.0.0.1:1"}, "the policies name no model"),
        ({"http": "http://127.0.0.1:1", "policy": "v1.0.0"}, "the policies name v1.0.0"),
        ({"policy": "champion"}, "has no online features: run 'orita run etl'"),
    ],
)
def test_what_cannot_be_simulated_is_said(parts: FeedParts, changes: dict[str, object], says: str) -> None:
    """A size, a scenario or a server that does not fit is one sentence."""
    with pytest.raises(UserError) as told:
        simulate_feed(parts, _plan(**changes))
    assert says in str(told.value)


@pytest.mark.slow
def test_a_policy_does_not_differ_from_itself(parts: FeedParts) -> None:
    """A/A: of 40 comparisons of a policy with itself, about one in twenty excludes zero.

    At a rate of 5 % more than 7 of 40 do once in 1,400 times; at 20 % more often than not. So it tells intervals
    that are far too narrow from sound ones, no more.
    """
    wrong = dict.fromkeys(("ctr", "engagement", "session_pages", "sessions_a_day"), 0)
    for seed in range(40):
        plan = _plan(policy="popularity", vs="popularity", users=120, days=1, seed=seed)
        figures = simulate_feed(parts, plan).figures
        for key in wrong:
            lift = figures.compared[0][key].lift
            wrong[key] += lift.low > 0 or lift.high < 0
    assert max(wrong.values()) <= 7, wrong


@pytest.mark.slow
def test_the_truth_beats_popularity_and_popularity_chance(parts: FeedParts) -> None:
    """The oracle is the ceiling; popularity, which learns from what is clicked, is above chance."""
    above = simulate_feed(parts, _plan(days=3, users=300)).figures.compared[0]["ctr"]
    below = simulate_feed(parts, _plan(policy="popularity", vs="random", days=3, users=380)).figures.compared[0]["ctr"]
    assert above.lift.low > 0
    assert below.lift.low > 0
