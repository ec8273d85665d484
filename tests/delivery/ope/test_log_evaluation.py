"""A candidate judged on a home's own log: reading, joining, weighing, and what is said where it cannot be told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.delivery.ope.logged_home import FIRST, LOGGED, OnePackage, logged_home
from tests.delivery.ope.made_pages import World, made_pages
from tests.features.small_system import NOW, declared_system

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.delivery.ope.evaluate_log import LogEvaluation, evaluate_log
from orita.delivery.ope.log_policies import AsLogged, ByFeatures, ByModel, LogPolicy
from orita.delivery.ope.log_reading import read_pages
from orita.delivery.ope.log_rewards import LogWindow
from orita.events.lake import Lake
from orita.events.prediction_files import Part
from orita.events.predictions import prediction_log

WINDOW = LogWindow(LOGGED)
CLOCK = ManualClock(NOW)
SYSTEM = declared_system()


@pytest.fixture(scope="module")
def world() -> World:
    """1,200 pages, explored two in five, of which the candidate orders half otherwise."""
    return made_pages(1200, share=0.4, differs=0.5, users=600, seed=7)


@pytest.fixture(scope="module")
def home(world: World, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Their home."""
    return logged_home(tmp_path_factory.mktemp("ope"), world)


def load(version: str) -> Any:
    """Return the packages there are."""
    return {LOGGED: OnePackage(LOGGED, "next", "now"), "v1.1.0": OnePackage("v1.1.0", "now", "next")}[version]


def judged(home: Home, policy: LogPolicy, window: LogWindow = WINDOW) -> LogEvaluation:
    """Return what the log tells of a policy."""
    return evaluate_log(home, SYSTEM, policy, window, clock=CLOCK)


def candidate(home: Home, version: str = "v1.1.0") -> ByModel:
    """Return the candidate."""
    return ByModel(home, SYSTEM, version, LOGGED, load=load)


def test_pages_come_back_as_they_were_logged(home: Home, world: World) -> None:
    """Every page has its order, probabilities, both scores, and as reward the clicks within the window, once each."""
    pages, counts = read_pages(home, SYSTEM, candidate(home), WINDOW, clock=CLOCK)
    assert pages is not None
    assert counts.to_dict() == {
        "answered": 1207,
        "fallback": 1,
        "overridden": 1,
        "weighed": 1,
        "late": 1,
        "certain": 1,
        "repeated": 2,
        "sampled_out": 0,
        "used": 1200,
        "rewarded": int(world.pages.reward_NK.sum()),
    }
    order, wanted = (np.lexsort(each.score_NK.T) for each in (pages, world.pages))
    for name in ("reward_NK", "score_NK", "candidate_NK", "propensity_NK", "placement_NK", "length_N"):
        np.testing.assert_array_equal(getattr(pages, name)[order], getattr(world.pages, name)[wanted])
    assert len(np.unique(pages.unit_N)) == len(np.unique(world.pages.unit_N))


def test_the_truth_lies_within_the_intervals(home: Home, world: World) -> None:
    """Each estimator holds the candidate's value, computed by hand, in its 99.9 % interval, and the log is enough."""
    found = evaluate_log(home, SYSTEM, candidate(home), WINDOW, clock=CLOCK, confidence=0.999)
    assert found.verdict.enough, found.verdict.reasons
    assert found.found is not None
    evaluation = found.found.evaluation
    assert evaluation.logged.low < world.logged < evaluation.logged.high
    assert len(evaluation.estimates) == 7
    for estimate in evaluation.estimates:
        assert estimate.low < world.candidate < estimate.high, estimate
    gain = found.gain("cascade_dr")
    assert gain is not None and gain.low < world.candidate - world.logged < gain.high
    assert found.found.agreement.same + found.found.agreement.one_swap == 1


def test_a_candidate_that_is_the_champion_gains_nothing(home: Home) -> None:
    """The same scores, by name or by another model's word, gain exactly 0 by every estimator."""
    for policy in (AsLogged(LOGGED), ByFeatures("its feature", ["now"])):
        found = judged(home, policy)
        assert found.verdict.enough and found.found is not None
        assert found.found.agreement.same == 1
        assert [gain.value for gain in found.found.evaluation.gains] == pytest.approx([0] * 7, abs=1e-12)


def test_a_far_candidate_is_told_to_have_no_support(home: Home) -> None:
    """The reverse order was never shown: not enough, with the reasons, and no estimator that would divide by 0."""

    class Reversed:
        name = "reversed"
        features: tuple[str, ...] | None = ()

        def scores(self, rows: Any) -> Any:
            return 1 - rows["score"].to_numpy()

    found = judged(home, Reversed())
    assert not found.verdict.enough and found.found is not None
    assert any("is never done by logging" in reason for reason in found.verdict.reasons)
    assert found.found.agreement.further > 0.99
    assert "self_normalised_slate_ips" not in [each.estimator for each in found.found.evaluation.estimates]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["enough"] is False


def test_times_and_the_bound_on_answers(home: Home) -> None:
    """Times cut the log; a bound keeps the same answers each time, and the rest is counted."""
    cut = replace(WINDOW, start=FIRST + timedelta(minutes=100), end=FIRST + timedelta(minutes=500))
    assert read_pages(home, SYSTEM, AsLogged(LOGGED), cut, clock=CLOCK)[1].used == 400
    few = replace(WINDOW, most=150)
    one, two = (read_pages(home, SYSTEM, AsLogged(LOGGED), few, clock=CLOCK) for _ in range(2))
    assert one[0] is not None and two[0] is not None
    assert one[1].used == 150 and one[1].sampled_out + one[1].repeated == 1052
    assert one[0].request_N.tolist() == two[0].request_N.tolist()


def test_answers_whose_window_is_not_over_are_left_out(home: Home) -> None:
    """With a day to earn, only what was answered a day before the latest event is weighed."""
    counts = read_pages(home, SYSTEM, AsLogged(LOGGED), replace(WINDOW, within=timedelta(days=1)), clock=CLOCK)[1]
    assert counts.late > 800 and counts.used + counts.late > 1190


def test_what_was_not_explored_cannot_be_told(world: World, tmp_path: Path) -> None:
    """A log without exploration says so, and how to get some."""
    ones = np.ones_like(world.pages.propensity_NK[:20])
    certain = replace(world, pages=replace(world.pages.take(slice(20)), propensity_NK=ones, placement_NK=ones))
    found = judged(logged_home(tmp_path, certain), AsLogged(LOGGED))
    assert found.found is None and not found.verdict.enough
    assert "serving.feed.exploration.share" in found.verdict.reasons[0]
    assert found.counts.certain >= 20


@pytest.mark.parametrize(
    ("window", "sentence"),
    [
        (replace(WINDOW, version="v9.9.9"), "v9.9.9 has answered nothing in this time"),
        (replace(WINDOW, reward="likes"), "have no 'likes'"),
        (replace(WINDOW, reward="device"), "'device' is string"),
    ],
)
def test_what_cannot_be_asked_is_refused(home: Home, window: LogWindow, sentence: str) -> None:
    """The sentence says what is wrong."""
    with pytest.raises(UserError, match=sentence):
        judged(home, AsLogged(LOGGED), window)


def test_features_that_a_policy_does_not_read_stay_on_disk(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that answered has its scores in the log; others read their own features, or all for history's sake."""
    asked: list[Any] = []
    read = Part.read

    def reading(part: Part, names: Any, wanted: Any = None, *, features: Any = None) -> pa.Table:
        asked.append(("features" in names, features))
        return read(part, names, wanted, features=features)

    monkeypatch.setattr(Part, "read", reading)
    lacking = OnePackage("v2.0.0")
    lacking.schema = SYSTEM.schema(["user_clicks"])
    packages: dict[str, Any] = {"v2.0.0": lacking, LOGGED: load(LOGGED)}
    for policy, wanted in (
        (AsLogged(LOGGED), (False, ())),
        (ByFeatures("its feature", ["now"]), (True, ("now",))),
        (candidate(home), (True, ("now", "next"))),
        (ByModel(home, SYSTEM, "v2.0.0", LOGGED, load=packages.__getitem__), (True, None)),
    ):
        asked.clear()
        read_pages(home, SYSTEM, policy, WINDOW, clock=CLOCK)
        assert set(asked) == {wanted}, policy.name


def test_a_feature_that_nobody_logged_is_refused(home: Home) -> None:
    """Popularity by a feature that the log lacks is not guessed."""
    with pytest.raises(UserError, match="reads feature 'item_ctr', which was not logged"):
        judged(home, ByFeatures("popularity", ["item_ctr"]))


def test_what_the_log_lacks_is_computed_from_history(home: Home) -> None:
    """A feature that the model which answered does not read is as it was known then: here a user's clicks so far."""
    package = OnePackage("v2.0.0")
    package.schema = SYSTEM.schema(["user_clicks"])
    packages: dict[str, Any] = {"v2.0.0": package, LOGGED: load(LOGGED)}
    policy = ByModel(home, SYSTEM, "v2.0.0", LOGGED, load=packages.__getitem__)
    rows = prediction_log(home, system="small", model_version=LOGGED).slice(0, 1200)
    with duckdb.connect() as connection:
        connection.register("asked", rows.select(["user_id", "as_of"]))
        wanted = connection.sql(
            f"""SELECT (SELECT coalesce(sum(e.click), 0) FROM {Lake(home).snapshot("interactions").sql} e
                        WHERE CAST(e.user_id AS VARCHAR) = a.user_id AND e.timestamp < a.as_of)::FLOAT AS clicks
                FROM asked a ORDER BY a.user_id, a.as_of"""
        ).to_arrow_table()["clicks"]
    order = np.lexsort((rows["as_of"].cast("int64").to_numpy(), rows["user_id"].to_numpy(zero_copy_only=False)))
    found_N = np.nan_to_num(policy.scores(rows))[order]
    assert found_N.max() > 5
    np.testing.assert_array_equal(found_N, wanted.to_numpy())


def test_a_feature_of_the_request_that_was_not_logged_is_refused(home: Home) -> None:
    """History does not have it: which device asked."""
    package = OnePackage("v2.0.0")
    package.schema = SYSTEM.schema(["device"])
    packages: dict[str, Any] = {"v2.0.0": package, LOGGED: load(LOGGED)}
    policy = ByModel(home, SYSTEM, "v2.0.0", LOGGED, load=packages.__getitem__)
    with pytest.raises(UserError, match="reads feature 'device_mobile', which needs 'device' of the request"):
        judged(home, policy)


def test_notes_say_what_a_reader_must_know(home: Home) -> None:
    """What was left out, how near the two are, and what no log can tell."""
    notes = " ".join(judged(home, candidate(home)).notes())
    for words in ("Of 1,207 answers of v1.0.0 left out", "1 whose time to earn", "in the logged order", "of no item"):
        assert words in notes
