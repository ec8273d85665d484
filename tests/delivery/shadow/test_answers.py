"""The answers of a version out of the prediction log, each once, while servers go on writing it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tests.delivery.shadow.worlds import CHAMPION, answer, home_in, open_segment

from orita.core.clock import ManualClock, SystemClock
from orita.core.home import Home
from orita.delivery.shadow.answers import Answers
from orita.delivery.shadow.kept import LogPlace
from orita.events.prediction_files import convert_segment
from orita.events.prediction_segment import ScoredRequest, encode_frame
from orita.serving.log.segment_file import SegmentFile

NOW = datetime.now(UTC).replace(microsecond=0)


def write(segment: SegmentFile, requests: Sequence[ScoredRequest]) -> None:
    """Append *requests*, durably."""
    segment.append(b"".join(map(encode_frame, requests)))
    segment.sync()


def converted(home: Home, segment: SegmentFile) -> None:
    """Close a segment and make it Parquet."""
    segment.close()
    convert_segment(home, segment.path)


def reader(home: Home, place: LogPlace | None = None, since: datetime = NOW - timedelta(hours=1)) -> Answers:
    """Return what reads the champion's answers."""
    return Answers(home, "feed", CHAMPION, since=since, place=place or LogPlace(), clock=SystemClock())


def taken(answers: Answers) -> list[ScoredRequest]:
    """Return all that is new, and take it."""
    found: list[ScoredRequest] = []
    for new in answers.new():
        found += new.read.requests
        answers.take(new)
    return found


def test_each_answer_comes_once_before_and_after_it_is_parquet(tmp_path: Path) -> None:
    """While a segment grows, after it became Parquet in between, and for who starts again at the place."""
    home = home_in(tmp_path)
    requests = [answer(number, NOW) for number in range(30)]
    segment = open_segment(home, NOW)
    answers = reader(home)
    assert taken(answers) == []
    write(segment, requests[:10])
    assert [each.request_id for each in taken(answers)] == [each.request_id for each in requests[:10]]
    assert taken(answers) == []
    write(segment, requests[10:20])
    converted(home, segment)
    again = reader(home, answers.place)
    for one in (answers, again):
        assert [each.salt for each in taken(one)] == [each.salt for each in requests[10:20]]
        assert taken(one) == []
    other = open_segment(home, NOW)
    write(other, requests[20:])
    assert len(taken(answers)) == 10
    other.close()


def test_parquet_says_what_the_segment_said(tmp_path: Path) -> None:
    """All that is scored and compared is the same; ids are text."""
    home = home_in(tmp_path)
    requests = [answer(number, NOW, items=3 + number) for number in range(5)]
    requests.append(answer(9, NOW, level=2))
    segment = open_segment(home, NOW)
    write(segment, requests)
    before = taken(reader(home))
    converted(home, segment)
    after = taken(reader(home))
    assert len(before) == len(after) == 6
    for first, second in zip(before, after, strict=True):
        assert [str(each) for each in first.item_ids] == second.item_ids
        assert str(first.user_id) == second.user_id
        for name in ("at_micros", "as_of_micros", "request_id", "salt", "scores", "ranks", "level", "cached"):
            assert getattr(first, name) == getattr(second, name), name
        x_first, x_second = (np.frombuffer(each.features, np.float32) for each in (first, second))
        np.testing.assert_array_equal(x_first, x_second)


def test_answers_of_parquet_are_read_in_pieces(tmp_path: Path) -> None:
    """A piece ends between two answers, and who was killed between two pieces goes on with the next."""
    home = home_in(tmp_path)
    requests = [answer(number, NOW, items=1_000) for number in range(40)]
    segment = open_segment(home, NOW)
    write(segment, requests)
    converted(home, segment)
    answers = reader(home)
    new = answers.new()
    first = next(new)
    answers.take(first)
    assert 1 <= len(first.read.requests) < 40
    rest = taken(reader(home, answers.place))
    found = [*first.read.requests, *rest]
    assert [each.request_id for each in found] == [each.request_id for each in requests]
    assert all(len(each.item_ids) == 1_000 for each in found)


def test_others_are_passed_over(tmp_path: Path) -> None:
    """Another version's answers, another system's, and those of days before."""
    home = home_in(tmp_path)
    for at, version, system in (
        (NOW, "v0.9.0", "feed"),
        (NOW, CHAMPION, "movielens"),
        (NOW - timedelta(days=3), CHAMPION, "feed"),
    ):
        for parquet in (False, True):
            segment = open_segment(home, at, version=version, system=system)
            write(segment, [answer(1, at)])
            if parquet:
                converted(home, segment)
            else:
                segment.close()
    assert taken(reader(home)) == []


def test_the_place_stays_small(tmp_path: Path) -> None:
    """Of segments that were read to their end an hour ago one name is kept, and they are not read again."""
    home = home_in(tmp_path)
    for number in range(3):
        segment = open_segment(home, NOW)
        write(segment, [answer(number, NOW)])
        converted(home, segment)
    answers = reader(home)
    assert len(taken(answers)) == 3
    later = Answers(
        home,
        "feed",
        CHAMPION,
        since=NOW - timedelta(hours=1),
        place=answers.place,
        clock=ManualClock(NOW + timedelta(hours=2)),
    )
    assert taken(later) == []
    assert len(answers.place.segments) == 3
    assert later.place.segments == {}
    assert taken(reader(home, later.place)) == []


def test_half_a_frame_waits(tmp_path: Path) -> None:
    """What a writer has not finished yet is read when it is whole."""
    home = home_in(tmp_path)
    segment = open_segment(home, NOW)
    frame = encode_frame(answer(1, NOW))
    answers = reader(home)
    segment.append(frame[:40])
    assert taken(answers) == []
    segment.append(frame[40:])
    assert len(taken(answers)) == 1
    segment.close()
