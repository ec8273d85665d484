"""A shadow as a whole: candidates in processes of their own, over a log that servers write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.delivery.shadow.behaving import FEATURES, MORE, TRIGGER, Behaving
from tests.delivery.shadow.worlds import answer, begun, home_in, open_segment, times

from orita.core.clock import SystemClock, from_micros
from orita.core.home import Home
from orita.delivery.assignment import fraction_by
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts
from orita.delivery.shadow.follower import ShadowFollower
from orita.delivery.shadow.kept import ShadowState, read_shadow, shadow_folder
from orita.delivery.shadow.scoring import Limits
from orita.delivery.shadow.shadow import Shadow, mirrored_first
from orita.events.prediction_segment import ScoredRequest, encode_frame
from orita.serving.log.segment_file import SegmentFile

SAME = "v2.0.0"


@contextmanager
def logged(home: Home, requests: list[ScoredRequest]) -> Iterator[SegmentFile]:
    """Have *requests* in a segment that is still open."""
    segment = open_segment(home, from_micros(requests[0].at_micros))
    segment.append(b"".join(map(encode_frame, requests)))
    segment.sync()
    try:
        yield segment
    finally:
        segment.close()


def answers_of(rollout: Rollout, count: int, *, items: int = 12, seed: int = 0) -> list[ScoredRequest]:
    """Return answers that were given after a rollout began."""
    return [answer(n, at, items, seed=seed) for n, at in enumerate(times(rollout, count))]


def shadow_of(home: Home, rollout: Rollout, behaviours: dict[str, str], **options: Any) -> Shadow:
    """Return the shadow of a rollout whose candidates behave so."""
    features = options.pop("features", FEATURES)
    limits = options.pop("limits", Limits())
    return Shadow(home, rollout, Behaving(behaviours, features), clock=SystemClock(), limits=limits, **options)


def kept(home: Home, rollout: Rollout) -> tuple[ShadowState, pa.Table]:
    """Return what is kept of a rollout."""
    return read_shadow(shadow_folder(home, rollout.system, rollout.id))


def test_candidates_are_compared_with_the_champion(tmp_path: Path) -> None:
    """The same model agrees wholly, the reversed one not at all, those that fail are counted by kind."""
    home = home_in(tmp_path)
    behaviours = {SAME: "same", "v3.0.0": "reversed", "v4.0.0": "raises", "v5.0.0": "missing"}
    rollout = begun(home, *behaviours)
    requests = answers_of(rollout, 20)
    fallen_back = answer(99, times(rollout, 1)[0], level=3)
    with logged(home, [*requests, fallen_back]), closing(shadow_of(home, rollout, behaviours)) as shadow:
        shadow.catch_up()
        assert "v5.0.0" in (shadow.trouble or "")
    state, rows = kept(home, rollout)
    of = {version: rows.filter(pa.compute.equal(rows["candidate"], version)) for version in behaviours}
    for name in ("tau", "rho", "rbo", "top1", "overlap10"):
        assert of[SAME][name].to_pylist() == pytest.approx([1.0] * 20), name
    assert of[SAME]["largest_shift"].to_pylist() == [0.0] * 20
    assert of["v3.0.0"]["tau"].to_pylist() == pytest.approx([-1.0] * 20)
    assert of["v3.0.0"]["overlap10"].to_pylist() == pytest.approx([8 / 10] * 20)  # 2·10 − 12 of 10
    assert of["v4.0.0"]["error"].to_pylist() == ["ZeroDivisionError"] * 20
    assert sorted(of[SAME]["request_id"].to_pylist()) == sorted(each.request_id for each in requests)
    assert set(of[SAME]["features_from"].to_pylist()) == {"log"}
    counts = state.counts
    assert (counts[SAME].seen, counts[SAME].scored, counts[SAME].failed) == (20, 20, 0)
    assert (counts["v4.0.0"].scored, counts["v4.0.0"].failed) == (0, 20)
    assert counts["v5.0.0"].dropped == 20
    assert "not there" in state.trouble["v5.0.0"]
    assert state.cpu_seconds > 0


def test_a_candidate_that_hangs_or_crashes_is_ended(tmp_path: Path) -> None:
    """Each harms its own process alone: the request is a failure of that kind, and the next is asked of a new one."""
    home = home_in(tmp_path)
    behaviours = {SAME: "same", "v3.0.0": "hangs", "v4.0.0": "crashes"}
    rollout = begun(home, *behaviours)
    requests = [*answers_of(rollout, 1, items=TRIGGER), *answers_of(rollout, 1, seed=1)]
    first = {SAME: None, "v3.0.0": "timed_out", "v4.0.0": "crashed"}
    with closing(shadow_of(home, rollout, behaviours, limits=Limits(seconds=1.0))) as shadow:
        for request in requests:
            with logged(home, [request]):
                shadow.catch_up()
    state, rows = kept(home, rollout)
    for version, kind in first.items():
        of = rows.filter(pa.compute.equal(rows["candidate"], version))
        told = dict(zip(of["request_id"].to_pylist(), of["error"].to_pylist(), strict=True))
        assert told == {requests[0].request_id: kind, requests[1].request_id: None}
    assert state.starts == {SAME: 1, "v3.0.0": 2, "v4.0.0": 2}
    assert any("SIGSEGV" in (each or "") for each in rows["message"].to_pylist())


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A candidate that takes ever more is ended and begun anew; its answers up to then count."""
    home = home_in(tmp_path)
    rollout = begun(home, SAME)
    with closing(shadow_of(home, rollout, {SAME: "leaks"}, limits=Limits(memory_mib=256))) as shadow:
        for request in answers_of(rollout, 8):
            with logged(home, [request]):
                shadow.catch_up()
    state, _ = kept(home, rollout)
    assert state.counts[SAME].scored + state.counts[SAME].failed == state.counts[SAME].seen == 8
    assert state.starts[SAME] > 1


def test_features_that_the_log_has_not_are_read(tmp_path: Path) -> None:
    """From the store, and each row says so."""
    home = home_in(tmp_path)
    rollout = begun(home, SAME)
    with (
        logged(home, answers_of(rollout, 3)),
        closing(shadow_of(home, rollout, {SAME: "same"}, features=MORE)) as shadow,
    ):
        shadow.catch_up()
    _, rows = kept(home, rollout)
    assert rows["features_from"].to_pylist() == ["store"] * 3
    assert all(0 < shift < 1 for shift in rows["largest_shift"].to_pylist())


def test_a_share_of_requests_is_the_same_one_every_time() -> None:
    """By the hash of the request's id: a quarter is a quarter, is part of the half, and stays so."""
    home_free = [answer(n, SystemClock().now(), items=2) for n in range(400)]
    fraction = fraction_by("shadow/one")
    quarter = {each.request_id for each in mirrored_first(home_free, 25, fraction)}
    half = {each.request_id for each in mirrored_first(home_free[::-1], 50, fraction)}
    other = {each.request_id for each in mirrored_first(home_free, 25, fraction_by("shadow/two"))}
    assert quarter == {each.request_id for each in mirrored_first(home_free, 25, fraction)}
    assert quarter < half
    assert 60 <= len(quarter) <= 140  # ±4.6 standard deviations about 100
    assert quarter != other
    assert len(mirrored_first(home_free, 100, fraction)) == 400


def test_the_share_is_kept(tmp_path: Path) -> None:
    """What is not chosen is seen, and neither scored nor called dropped."""
    home = home_in(tmp_path)
    rollout = begun(home, SAME, shares=(30.0,))
    requests = answers_of(rollout, 60)
    chosen = mirrored_first(requests, 30, fraction_by(f"shadow/{rollout.id}"))
    with logged(home, requests), closing(shadow_of(home, rollout, {SAME: "same"})) as shadow:
        shadow.catch_up()
    state, rows = kept(home, rollout)
    assert {each.request_id for each in chosen} == set(rows["request_id"].to_pylist())
    counts = state.counts[SAME]
    assert (counts.seen, counts.chosen, counts.scored, counts.dropped) == (60, len(chosen), len(chosen), 0)


def test_who_is_gone_without_a_word_leaves_each_request_once(tmp_path: Path) -> None:
    """What counted when it was killed counts; what did not is scored by the next one."""
    home = home_in(tmp_path)
    rollout = begun(home, SAME)
    requests = answers_of(rollout, 30)
    with logged(home, requests[:10]) as segment:
        gone = shadow_of(home, rollout, {SAME: "same"})
        gone.catch_up()  # commits
        segment.append(b"".join(map(encode_frame, requests[10:20])))
        deadline = time.monotonic() + 60
        while len(gone._rows) == 0 and time.monotonic() < deadline:
            gone.look(5.0)  # scored, and not committed yet
        assert gone._rows
        for process in gone._processes:
            process.close()
        gone._files.close()  # the lock of a process goes with it
        segment.append(b"".join(map(encode_frame, requests[20:])))
        with closing(shadow_of(home, rollout, {SAME: "same"})) as shadow:
            shadow.catch_up()
    state, rows = kept(home, rollout)
    assert sorted(rows["request_id"].to_pylist()) == sorted(each.request_id for each in requests)
    assert state.counts[SAME].scored == 30


def test_a_slow_candidate_takes_no_more_than_its_share(tmp_path: Path) -> None:
    """20 ms of work a request and 20 % of a processor: the rest is dropped and counted, the sample stays fair."""
    home = home_in(tmp_path)
    rollout = begun(home, SAME, cpu_percent=20.0)
    requests = answers_of(rollout, 400)
    with closing(shadow_of(home, rollout, {SAME: "spins"})) as shadow:
        with logged(home, requests[:1]):
            shadow.catch_up()  # starts, and pays for it
        began, before = time.monotonic(), shadow._spent()
        with logged(home, requests[1:]) as segment:
            while time.monotonic() - began < 4:
                shadow.look(0.5)
                time.sleep(0.05)
            seconds, spent = time.monotonic() - began, shadow._spent() - before
            assert segment.size > 0
    state, _ = kept(home, rollout)
    counts = state.counts[SAME]
    assert spent <= 0.2 * (seconds + 1.0) + 0.3  # a second saved up, and what was under way
    assert counts.dropped > 0
    assert counts.scored + counts.dropped == counts.chosen == 400


def test_candidates_take_turns(tmp_path: Path) -> None:
    """Where there is no time for all, each candidate scores as many, and the same requests."""
    home = home_in(tmp_path)
    behaviours = {SAME: "spins", "v3.0.0": "spins"}
    rollout = begun(home, *behaviours)
    requests = answers_of(rollout, 401)
    with closing(shadow_of(home, rollout, behaviours)) as shadow:
        with logged(home, requests[:1]):
            shadow.catch_up()  # starts, and pays for it
        while shadow._budget.left <= 0:
            time.sleep(0.05)
        with logged(home, requests[1:]):
            shadow.look(0.5)
    state, rows = kept(home, rollout)
    first, second = (state.counts[version] for version in behaviours)
    assert first == second
    assert first.scored > 1 and first.dropped > 0
    of = [rows.filter(pa.compute.equal(rows["candidate"], version))["request_id"].to_pylist() for version in behaviours]
    assert of[0] == of[1]


def test_control_state_is_followed(tmp_path: Path) -> None:
    """A shadow begins with its rollout, passes over what is answered while it is paused, and ends with it."""
    home = home_in(tmp_path)
    rollouts = Rollouts(home.control, home.tenant)
    follower = ShadowFollower(home, "feed", Behaving({SAME: "same"}))
    follower.look(0.1)
    assert not follower.shadows
    rollout = begun(home, SAME)
    requests = answers_of(rollout, 30)
    with closing(follower), logged(home, requests[:10]) as segment:
        follower.catch_up()
        rollouts.pause("feed", rollout.id, actor="test", reason="test")
        segment.append(b"".join(map(encode_frame, requests[10:20])))
        follower.catch_up()
        rollouts.resume("feed", rollout.id, actor="test", reason="test")
        segment.append(b"".join(map(encode_frame, requests[20:])))
        follower.catch_up()
        assert list(follower.shadows) == [rollout.id]
        rollouts.abort("feed", rollout.id, actor="test", reason="test")
        follower.look(0.1)
        assert not follower.shadows
    _, rows = kept(home, rollout)
    expected = [each.request_id for each in (*requests[:10], *requests[20:])]
    assert sorted(rows["request_id"].to_pylist()) == sorted(expected)


def test_answers_of_before_take_no_part(tmp_path: Path) -> None:
    """A shadow sees what was answered since it began."""
    home = home_in(tmp_path)
    rollout = begun(home, SAME)
    early = [answer(n, rollout.started_at - timedelta(milliseconds=1), seed=3) for n in range(3)]
    with logged(home, [*early, *answers_of(rollout, 2)]), closing(shadow_of(home, rollout, {SAME: "same"})) as shadow:
        shadow.catch_up()
    assert kept(home, rollout)[0].counts[SAME].seen == 2
