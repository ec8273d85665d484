"""One request is found wherever it lies in the log, and the log's days and latest requests are told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.events.test_predictions import AT, request, segment

from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.events import prediction_view
from orita.events.prediction_files import convert_segment, parquet_files, write_ahead_files
from orita.events.prediction_listing import LoggedDay, latest_requests, logged_days
from orita.events.prediction_segment import ScoredRequest
from orita.events.prediction_view import find_request
from orita.events.predictions import prediction_log


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path)


def asked(number: int, items: list[int | str], *, identity: str = "", at: datetime = AT) -> ScoredRequest:
    """Return a request that has an id of its own time, or *identity*."""
    made = request(number, items, at=at)
    return ScoredRequest(
        made.at_micros,
        made.as_of_micros,
        identity or uuid7(ManualClock(at)),
        2**61 + number,
        made.user_id,
        items,
        made.latency_ms,
        made.scores,
        made.ranks,
        made.features,
    )


@pytest.mark.parametrize("converted", [False, True])
def test_a_request_as_it_was(home: Home, converted: bool) -> None:
    """All that was logged comes back, items in their order, whether the segment is Parquet yet or not."""
    one, other = asked(0, [5, "x'y", 3]), asked(1, [8], identity="mine:1")
    path = segment(home, "2024-11-15-a", [one, other])
    if converted:
        convert_segment(home, path)
    found = find_request(home, one.request_id)
    assert (found.request_id, found.system, found.model_version, found.user_id) == (one.request_id, "feed", "v1", "7")
    assert (found.at, found.as_of, found.latency_ms) == (AT, AT - timedelta(days=1), 1.5)
    assert found.item_ids == ("5", "x'y", "3")
    assert found.ranks_N.tolist() == [1, 2, 3]
    assert found.scores_N.tobytes() == one.scores
    assert found.features == ("a", "b")
    np.testing.assert_array_equal(found.x_NF, [[np.nan, 1], [2, 3], [4, 5]])
    assert find_request(home, found.prediction_ids[2]).request_id == one.request_id
    assert find_request(home, "mine:1").item_ids == ("8",)
    assert found.to_dict()["items"][0]["features"] == {"a": None, "b": 1.0}
    with pytest.raises(NotFound, match=r"did not ask for item '6'\. Known: 3, 5"):
        found.place("6")
    with pytest.raises(NotFound, match="no request and no prediction has the id 'other'"):
        find_request(home, "other")


def test_a_model_without_features(home: Home) -> None:
    """A request of a model that reads none is found too."""
    convert_segment(home, segment(home, "2024-11-15-a", [request(0, [1, 2], features=0)], features=""))
    assert find_request(home, "r0").x_NF.shape == (2, 0)


def test_an_id_that_was_used_again(home: Home) -> None:
    """Of several answers with one id the latest is found, and how many there are; a prediction id finds its own."""
    early, late = asked(0, [1], identity="again"), asked(9, [2, 3], identity="again")
    convert_segment(home, segment(home, "2024-11-15-a", [early, late]))
    found = find_request(home, "again")
    assert (found.item_ids, found.answers) == (("2", "3"), 2)
    first = prediction_log(home, columns=["prediction_id"])["prediction_id"][0].as_py()
    assert find_request(home, first).item_ids == ("1",)


def test_only_files_near_in_time_are_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that holds its time is found among the first files of its day, however long the log is."""
    wanted = ""
    for day in range(3):
        for hour in range(14):
            at = datetime(2024, 11, 10 + day, hour, tzinfo=UTC)
            begun = f"{at.date()}-{uuid7(ManualClock(at - timedelta(minutes=5)))}"
            made = asked(day * 100 + hour, [1], at=at)
            convert_segment(home, segment(home, begun, [made]))
            wanted = made.request_id if (day, hour) == (1, 9) else wanted
    read: list[int] = []
    look = prediction_view.read_parquet_rows

    def counted(files: list[Path], select: str, where: str, *, alike: bool = True) -> object:
        read.append(len(files))
        return look(files, select, where, alike=alike)

    monkeypatch.setattr(prediction_view, "read_parquet_rows", counted)
    assert find_request(home, wanted).at == datetime(2024, 11, 11, 9, tzinfo=UTC) + timedelta(microseconds=109)
    assert read == [2, 1], "the first batch has it, then the one file is read"


def test_row_groups_are_small_enough_to_skip(home: Home) -> None:
    """Parquet is written in groups, so that one request is not read with 400,000 other rows."""
    many = [asked(n, list(range(4000))) for n in range(20)]
    target = convert_segment(home, segment(home, "2024-11-15-a", many))
    assert target is not None
    assert pq.read_metadata(target).num_row_groups == 2
    assert find_request(home, many[17].request_id).prediction_ids[-1][:8] == many[17].request_id[:8]


def test_found_while_it_becomes_parquet(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that is converted after it was listed is found as Parquet, and never missed."""
    path = segment(home, "2024-11-15-a", [asked(0, [1], identity="r")])

    def then_converted(which: Home) -> list[Path]:
        found = write_ahead_files(which)
        convert_segment(which, path)
        return found

    monkeypatch.setattr(prediction_view, "write_ahead_files", then_converted)
    assert find_request(home, "r").item_ids == ("1",)


def test_files_that_go_while_they_are_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What retention deletes between two steps is missing, and nothing fails."""
    for day in (14, 15):
        made = asked(day, [day], identity=f"r{day}", at=AT.replace(day=day))
        convert_segment(home, segment(home, f"2024-11-{day}-a", [made]))

    def then_gone(which: Home) -> list[Path]:
        found = list(parquet_files(which))
        for file in found:
            if "11-14" in file.name:
                file.unlink()
        return found

    monkeypatch.setattr(prediction_view, "parquet_files", then_gone)
    assert find_request(home, "r15").item_ids == ("15",)
    with pytest.raises(NotFound):
        find_request(home, "r14")


def test_a_prediction_with_a_small_salt(home: Home) -> None:
    """A prediction that is not Parquet yet is found by its id, whatever its random bits are."""
    segment(home, "2024-11-15-a", [request(n, [n, n + 1]) for n in range(5)])  # their salts are 0 … 4
    rows = prediction_log(home, columns=["prediction_id", "request_id"]).to_pylist()
    assert [find_request(home, row["prediction_id"]).request_id for row in rows] == [row["request_id"] for row in rows]


def test_a_damaged_file(home: Home) -> None:
    """A file that is no Parquet file any more is a sentence that names it."""
    target = convert_segment(home, segment(home, "2024-11-15-a", [asked(0, [1], identity="r")]))
    assert target is not None
    target.write_bytes(b"torn")
    with pytest.raises(UserError, match=r"the prediction log cannot be read .*2024-11-15-a\.parquet.*move it out"):
        find_request(home, "r")


def test_days_and_latest_requests(home: Home) -> None:
    """Days tell rows and files; requests come latest first, by user, version, day and system."""
    convert_segment(home, segment(home, "2024-11-14-a", [asked(0, [1, 2], at=AT - timedelta(days=1), identity="r0")]))
    segment(home, "2024-11-15-b", [asked(n, [n, n + 1], identity=f"r{n}") for n in range(1, 4)], version="v2")
    first, second = logged_days(home)
    assert (first.day, first.rows, first.parts, first.open_parts) == (date(2024, 11, 14), 2, 1, 0)
    assert first.size > 0
    assert second == LoggedDay(date(2024, 11, 15), 6, 1, 1, 0)

    def ids(limit: int = 20, **only: object) -> list[str]:
        return [each["request_id"] for each in latest_requests(home, limit, **only)]  # type: ignore[arg-type]

    assert ids() == ["r3", "r2", "r1", "r0"]
    assert ids(2) == ["r3", "r2"]
    assert ids(model_version="v1") == ids(day=date(2024, 11, 14)) == ["r0"]
    assert ids(user="7", system="feed") == ids()
    assert ids(user="8") == ids(system="o'ther") == []
    (best,) = latest_requests(home, 1)
    assert (best["items"], best["best"], best["user_id"], best["model_version"]) == (2, "3", "7", "v2")


def test_an_empty_log(home: Home) -> None:
    """Where nothing was answered there are no days and no requests."""
    assert (logged_days(home), latest_requests(home)) == ([], [])


def test_latest_requests_of_servers_side_by_side(home: Home) -> None:
    """Segments of several servers overlap in time, and the latest requests are told whichever segment has them."""
    for server in range(4):
        each = [asked(n, [n], identity=f"s{server}-{n}", at=AT + timedelta(seconds=4 * n + server)) for n in range(20)]
        for half, requests in enumerate((each[:10], each[10:])):
            convert_segment(home, segment(home, f"2024-11-15-{half}{server}", requests))
    told = [each["request_id"] for each in latest_requests(home, 50)]
    assert told == [f"s{n % 4}-{n // 4}" for n in reversed(range(80))][:50]
    assert [each["request_id"] for each in latest_requests(home, 3)] == told[:3]
