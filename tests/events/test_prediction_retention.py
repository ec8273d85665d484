"""Old days of the prediction log go whole; what a server writes stays, and readers are not disturbed."""

from __future__ import annotations

import struct
import threading
import zlib
from datetime import date, timedelta
from pathlib import Path

import pytest
from tests.events.test_predictions import AT, request, segment

from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.prediction_files import convert_segment, prediction_parts, segment_folder
from orita.events.prediction_retention import retain_predictions
from orita.events.prediction_segment import SegmentHeader, encode_frame
from orita.events.predictions import prediction_days, prediction_log
from orita.serving.log.segment_file import SegmentFile

_PAYLOAD = b"\x93\x01\x02\x03"
_ANOTHER = struct.pack("<II", len(_PAYLOAD), zlib.crc32(_PAYLOAD)) + _PAYLOAD
"""A frame that is whole and has another form."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a Parquet segment on each of the last five days."""
    made = Home(tmp_path)
    for ago in range(5):
        at = AT - timedelta(days=ago)
        convert_segment(made, segment(made, f"{at.date()}-a", [request(ago, [1, 2], at=at)]))
    return made


def test_days_past_the_limit_go(home: Home) -> None:
    """So many days are kept beside the present one, the folders of the others go too; a second run finds nothing."""
    done = retain_predictions(home, 2, AT)
    assert (done.first, done.files, done.held) == (date(2024, 11, 13), 2, 0)
    assert done.days == (date(2024, 11, 11), date(2024, 11, 12))
    assert done.size > 0
    assert prediction_days(home) == [date(2024, 11, 13), date(2024, 11, 14), date(2024, 11, 15)]
    assert sorted(path.name for path in home.predictions.glob("date=*")) == [
        "date=2024-11-13",
        "date=2024-11-14",
        "date=2024-11-15",
    ]
    assert retain_predictions(home, 2, AT).files == 0


def test_what_a_server_has_open_stays(home: Home) -> None:
    """An old segment goes once its writer is gone, never before, and a young one stays."""
    header = SegmentHeader("2024-11-01-x", date(2024, 11, 1), "feed", "v1", ("a", "b"))
    live = SegmentFile(segment_folder(home), header)
    live.append(encode_frame(request(0, [1])))
    live.sync()
    segment(home, "2024-11-02-killed", [request(1, [1])])
    segment(home, "2024-11-15-young", [request(2, [1])])
    done = retain_predictions(home, 4, AT)
    assert (done.files, done.held, done.days) == (1, 1, (date(2024, 11, 2),))
    assert live.path.exists()
    live.close()
    assert retain_predictions(home, 4, AT).days == (date(2024, 11, 1),)
    assert [path.name for path in segment_folder(home).glob("*.wal")] == ["2024-11-15-young.wal"]


def test_a_damaged_segment_stays(home: Home) -> None:
    """A segment whose day cannot be read is not deleted: nobody knows how old it is."""
    damaged = segment(home, "2024-11-01-x", [request(0, [1])])
    damaged.write_bytes(b"X" + damaged.read_bytes()[1:])
    retain_predictions(home, 1, AT)
    assert damaged.exists()


def test_what_cannot_be_read_stops_nothing(home: Home) -> None:
    """A frame of another form has its segment's day, so it goes with that; one without a day stays, others go."""
    for name in ("2024-11-01-x", "2024-11-15-x"):
        with segment(home, name, []).open("ab") as file:
            file.write(_ANOTHER)
    unknown = segment(home, "2024-11-01-y", [])
    unknown.write_bytes(b"ORITAPL1" + _ANOTHER)
    done = retain_predictions(home, 1, AT)
    assert done.days == (date(2024, 11, 1), date(2024, 11, 11), date(2024, 11, 12), date(2024, 11, 13))
    assert sorted(path.stem for path in segment_folder(home).iterdir()) == ["2024-11-01-y", "2024-11-15-x"]


def test_half_files_of_days_that_are_past_go(home: Home) -> None:
    """What killed conversions left goes with its day, folder and all; what is just being converted stays."""
    gone = home.predictions / "date=2024-10-01" / ".partial-2024-10-01-a.parquet"
    header = SegmentHeader("2024-10-02-a", date(2024, 10, 2), "feed", "v1", ("a", "b"))
    converting = SegmentFile(segment_folder(home), header)
    held = home.predictions / "date=2024-10-02" / ".partial-2024-10-02-a.parquet"
    for half in (gone, held):
        half.parent.mkdir()
        half.write_bytes(b"PAR1")
    retain_predictions(home, 4, AT)
    assert not gone.parent.exists()
    assert held.exists()
    converting.close()
    retain_predictions(home, 4, AT)
    assert not held.parent.exists()


def test_readers_beside_it(home: Home) -> None:
    """A part that goes after it was listed has no rows, whatever columns are asked; the log is readable all along."""
    parts = prediction_parts(home)
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(len(prediction_log(home)))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for days in (4, 3, 2, 1):
            retain_predictions(home, days, AT)
    finally:
        done.set()
        reader.join()
    assert set(seen) <= {10, 8, 6, 4}
    assert [len(part.read(["item_id", "features"])) for part in parts] == [0, 0, 0, 2, 2]


def test_today_always_stays(home: Home) -> None:
    """Less than a day cannot be asked for."""
    with pytest.raises(UserError, match="days is 0, allowed are 1 and more"):
        retain_predictions(home, 0, AT)
