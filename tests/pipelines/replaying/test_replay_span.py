"""A span of time replayed: what was online is equal to what the logs give; what was broken is found, and only it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pipelines.replaying.damage import (
    lake_changed,
    log_changed,
    predictions_changed,
    profile_changed,
    report_changed,
)
from tests.pipelines.replaying.online_home import ITEMS, Life, copied, lived, part_of, replayed

from orita.core.errors import UserError
from orita.pipelines.replaying import course, scores
from orita.pipelines.replaying.course import PARTS
from orita.pipelines.replaying.features import ALLOWED
from orita.pipelines.replaying.findings import ReplayReport
from orita.pipelines.replaying.page import write_replay_page
from orita.pipelines.replaying.span import Span

pytestmark = pytest.mark.slow

ROWS = 12 * 4 * len(ITEMS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A home in which nothing went wrong."""
    return lived(tmp_path_factory.mktemp("lived"))


@pytest.fixture
def life(whole: Life, tmp_path: Path) -> Life:
    """A copy of it, to be damaged."""
    return copied(whole, tmp_path / "home")


def kinds(report: ReplayReport) -> dict[str, dict[str, int]]:
    """Return what differs, by part and kind."""
    return {part.name: part.kinds for part in report.parts if part.kinds}


def one(row: dict[str, Any], key: str, value: str, **changes: Any) -> dict[str, Any]:
    """Return *row*, changed if it is the one."""
    return {**row, **changes} if row[key] == value else row


def test_what_was_online_is_equal(whole: Life, tmp_path: Path) -> None:
    """Late events, feedback and missing values included, all parts of an honest home are equal; nothing is left out."""
    report = replayed(whole)
    assert report.equal and kinds(report) == {}
    assert tuple(part.name for part in report.parts) == PARTS
    looked = {part.name: part.looked_at for part in report.parts}
    assert looked["features"] == ROWS * 8 and looked["scores"] == ROWS
    assert looked["events"] == 12 * 3 + 12 * 4 * 2
    assert looked["profiles"] > 100 and looked["metrics"] > 10
    assert all(not part.left_out for part in report.parts)
    assert sum(figure["rows"] for figure in report.figures) == 12 * 4 * 2
    page = tmp_path / "page.html"
    write_replay_page(page, report)
    assert "none differs" in page.read_text() and "Differences by day" in page.read_text()


def test_an_event_that_the_log_lost(life: Life) -> None:
    """The lake has it: it is told as not in the log, and features, which the lake gives, stay equal."""
    log_changed(life, lambda row: None if row["interaction_id"] == "p5-0" else row)
    report = replayed(life, "events", "features")
    assert kinds(report) == {"events": {"not_in_log": 1}}
    (example,) = part_of(report, "events").examples
    assert example == {"kind": "not_in_log", "table": "interactions", "interaction_id": "p5-0"}


def test_an_event_that_the_lake_lost(life: Life) -> None:
    """The log has it: it is told as not in the lake, and so is every feature that it made differ."""
    lake_changed(life, lambda row: None if row["interaction_id"] == "p5-0" else row)
    report = replayed(life, "events", "features")
    found = kinds(report)
    assert found["events"] == {"not_in_lake": 1}
    assert set(found["features"]) == {"not_in_lake"}
    touched = {example["feature"] for example in part_of(report, "features").examples}
    assert touched <= {"user_clicks", "item_ctr", "recent"}


def test_an_event_that_both_lost(life: Life) -> None:
    """What online features counted and no log has is told so: the user's count is higher than it can be."""
    for changed in (log_changed, lake_changed):
        changed(life, lambda row: None if row["interaction_id"] == "p2-0" else row)
    report = replayed(life, "events", "features")
    assert "events" not in kinds(report)
    features = part_of(report, "features")
    assert features.different and not set(features.kinds) & {"behind", "after_as_of", "before_as_of", "altered_value"}
    assert {name for name, (_, wrong) in features.by.items() if wrong} <= {"user_clicks", "item_ctr", "recent"}
    assert "unknown_event" in features.kinds


def test_another_value_in_the_lake(life: Life) -> None:
    """An event with another value in log and lake is told, with its id."""
    lake_changed(life, lambda row: one(row, "interaction_id", "p5-0", click=1 - row["click"]))
    report = replayed(life, "events")
    assert kinds(report) == {"events": {"other_values": 1}}
    assert part_of(report, "events").examples[0]["interaction_id"] == "p5-0"


def test_an_altered_feature(life: Life) -> None:
    """A logged value from which the logged score does not follow is told, with the request; its score likewise."""

    def altered(row: dict[str, Any]) -> dict[str, Any]:
        if (row["request_id"], row["item_id"]) != ("r3-1", "102"):
            return row
        return {**row, "features": {**row["features"], "user_clicks": row["features"]["user_clicks"] + 40}}

    predictions_changed(life, altered)
    report = replayed(life, "features", "scores")
    assert kinds(report) == {"features": {"altered_value": 1}, "scores": {"altered_features": 1}}
    (example,) = part_of(report, "features").examples
    assert (example["feature"], example["request_id"], example["item_id"]) == ("user_clicks", "r3-1", "102")
    assert example["logged"] - example["rebuilt"] == 40


def test_an_altered_score(life: Life) -> None:
    """A score that the version does not give is told, and no feature."""
    predictions_changed(life, lambda row: one(row, "request_id", "r3-1", score=row["score"] + 0.01))
    report = replayed(life, "features", "scores")
    assert kinds(report) == {"scores": {"other_score": len(ITEMS)}}


@pytest.mark.parametrize(("hours", "kind"), [(-1, "after_as_of"), (1, "before_as_of")])
def test_a_shifted_clock(life: Life, hours: int, kind: str) -> None:
    """Where the times that were logged are an hour off, the differences say so, and by how much."""
    shift = timedelta(hours=hours)
    predictions_changed(life, lambda row: {**row, "as_of": row["as_of"] + shift})
    features = part_of(replayed(life, "features"), "features")
    assert features.different
    told = Counter(example["kind"] for example in features.examples)
    assert kind in told
    hour = [example for example in features.examples if example["feature"] == "hour"]
    assert hour and all(example["kind"] == kind and example["note"] == "by 1 h" for example in hour)


def test_an_event_that_was_counted_before_it_was_known(life: Life) -> None:
    """Where log and lake say that an event was known later, what counted it before is a late event."""

    def later(row: dict[str, Any]) -> dict[str, Any]:
        return one(row, "interaction_id", "p5-0", ingested_at=row["timestamp"] + timedelta(days=30))

    log_changed(life, later)
    lake_changed(life, later)
    report = replayed(life, "events", "features")
    assert set(kinds(report)) == {"features"}
    assert set(kinds(report)["features"]) == {"late_event"}


def test_state_that_was_behind(life: Life) -> None:
    """An event that was known, and that online features took a while to count, is a state that was behind."""

    def earlier(row: dict[str, Any]) -> dict[str, Any]:
        if row["interaction_id"] != "p4-2":  # was known five hours after its time
            return row
        return {**row, "ingested_at": None}

    log_changed(life, earlier)
    lake_changed(life, earlier)
    report = replayed(life, "events", "features")
    assert set(kinds(report)) == {"features"}
    # Where others were counted meanwhile, no lag explains what is missing.
    assert set(kinds(report)["features"]) == {"behind", "uncounted_event"}
    notes = {each["note"] for each in part_of(report, "features").examples if each["kind"] == "behind"}
    assert notes == {"by at most 1 h"}
    allowed = part_of(replayed(life, "features", lag=timedelta(hours=1)), "features")
    assert set(allowed.kinds) == {"uncounted_event"}
    assert allowed.left_out[ALLOWED] + allowed.looked_at == ROWS * 8


def test_a_changed_profile(life: Life) -> None:
    """A count that is one off is told with stream, slice and column, and nothing else."""

    def change(profile: Any) -> None:
        profile.columns["click"].nulls += 1

    profile_changed(life, change)
    report = replayed(life, "profiles", "events")
    assert kinds(report) == {"profiles": {"counts": 1}}
    (example,) = part_of(report, "profiles").examples
    assert (example["stream"], example["column"]) == ("interactions", "click")
    assert (example["kept"], example["rebuilt"]) == ({"nulls": 1}, {"nulls": 0})


def test_changed_sketches(life: Life) -> None:
    """Quantiles and distinct values that are not those of the rows are told as such."""

    def change(profile: Any) -> None:
        profile.columns["item_id"].distinct.add_numbers(np.arange(500.0))
        profile.columns["user_id"].quantiles.add_sorted(np.array([99.0]), np.random.default_rng(0))

    profile_changed(life, change)
    assert kinds(replayed(life, "profiles")) == {"profiles": {"distinct": 1, "quantiles": 1}}


def test_a_changed_report(life: Life) -> None:
    """A figure of a monitoring report that does not follow from the logs is told by its name."""

    def change(report: dict[str, Any]) -> None:
        report["performance"]["versions"][0]["auc"]["value"] += 0.01

    report_changed(life, change)
    report = replayed(life, "metrics")
    assert kinds(report) == {"metrics": {"other_figure": 1}}
    (example,) = part_of(report, "metrics").examples
    assert example["figure"] == "auc" and example["stored"] - example["rebuilt"] == pytest.approx(0.01)


def test_answers_that_were_not_known_yet(life: Life) -> None:
    """Where an answer was known only after the report that counts it, each figure that it moves is told so."""

    def later(row: dict[str, Any]) -> dict[str, Any]:
        return one(row, "interaction_id", "f10-1-100", ingested_at=row["timestamp"] + timedelta(days=30))

    lake_changed(life, later)
    assert set(kinds(replayed(life, "metrics"))["metrics"]) == {"late_answer"}


def test_lost_predictions(life: Life) -> None:
    """A row that the prediction log lost is told by the figures of the report."""
    predictions_changed(life, lambda row: None if (row["request_id"], row["item_id"]) == ("r11-1", "100") else row)
    assert set(kinds(replayed(life, "metrics"))["metrics"]) == {"other_predictions"}


def test_a_sample_repeats_itself(whole: Life) -> None:
    """So many requests a day are drawn, the same at each time."""
    found = replayed(whole, "scores", sample=2)
    assert part_of(found, "scores").looked_at == 3 * 2 * len(ITEMS)
    assert found.to_dict()["parts"] == replayed(whole, "scores", sample=2).to_dict()["parts"]


def test_an_ended_replay_goes_on(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done before the end is not done again; when all is done, nothing is left behind."""
    calls, real = [0], scores.score_again

    def ended(*arguments: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr("orita.pipelines.replaying.course.score_again", ended)
    with pytest.raises(KeyboardInterrupt):
        replayed(life, "scores")
    found = replayed(life, "scores")
    assert found.went_on == 1 and calls[0] == 2 + 2
    assert part_of(found, "scores").looked_at == ROWS
    assert not list((life.workspace.home.checkpoints / "replay").iterdir())
    predictions_changed(life, lambda row: one(row, "request_id", "r0-0", score=0.0))
    assert replayed(life, "scores").went_on == 0


def test_what_cannot_be_replayed_is_said(life: Life) -> None:
    """A span without anything, an empty one, and a part that is none are refused; a package that is gone is told."""
    at = life.span.start - timedelta(days=900)
    with pytest.raises(UserError, match="nothing to replay"):
        replayed(replace(life, span=Span(at, at + timedelta(days=1))))
    with pytest.raises(UserError, match="is not before --to"):
        Span(at, at)
    with pytest.raises(UserError, match="'tea' cannot be replayed"):
        replayed(life, "tea")

    def gone(version: str) -> Any:
        raise UserError(version)

    found = course.replay_span(life.workspace, life.span, gone, parts=("scores",))
    assert part_of(found, "scores").left_out == {course.NO_PACKAGE: ROWS}
