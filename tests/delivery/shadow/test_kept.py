"""Differences are kept together with the place in the log that they go to."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.delivery.shadow.worlds import CHAMPION, answer

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.delivery.shadow.candidate import Failed
from orita.delivery.shadow.kept import LogPlace, SegmentPlace, ShadowFiles, ShadowState, read_shadow
from orita.delivery.shadow.records import Mirrored, shadow_rows

AT = from_micros(1_750_000_000_000_000)
DAY = AT.date()


def rows(*numbers: int):  # type: ignore[no-untyped-def]
    """Return rows of these requests, answered so many microseconds after the first."""
    answers = [answer(n, AT + timedelta(microseconds=n)) for n in numbers]
    return shadow_rows([Mirrored(each, CHAMPION, Failed("none", "")) for each in answers], "v2.0.0")


def at(rows_: int) -> ShadowState:
    """Return a state that goes to a place."""
    return ShadowState(place=LogPlace(segments={"one": SegmentPlace(rows_)}))


def test_rows_and_place_count_together(tmp_path: Path) -> None:
    """Who reads sees both or neither; what was written and never counted goes with the next start."""
    files = ShadowFiles(tmp_path)
    files.commit(rows(1, 2), DAY, at(24))
    left = tmp_path / f"date={DAY}" / "killed-before-it-counted.parquet"
    left.write_bytes(b"half")
    state, found = read_shadow(tmp_path)
    assert state.place.segments["one"].rows == 24
    assert found["request_id"].to_pylist() == ["request-0-1", "request-0-2"]
    files.close()
    again = ShadowFiles(tmp_path)
    assert not left.exists()
    assert again.state.place.segments["one"].rows == 24
    again.close()


def test_many_small_parts_become_one(tmp_path: Path) -> None:
    """A commit every ten seconds leaves no thousands of files, and no row is lost or twice."""
    files = ShadowFiles(tmp_path)
    for number in range(70):
        files.commit(rows(number), DAY, at(number))
    files.close()
    assert len(list(tmp_path.glob("date=*/*.parquet"))) == len(files.state.parts) < 20
    _, found = read_shadow(tmp_path, ["answer"])
    assert sorted(found["answer"].to_pylist()) == list(range(70))


def test_one_process_writes(tmp_path: Path) -> None:
    """A second one is refused, and told why."""
    files = ShadowFiles(tmp_path)
    with pytest.raises(UserError, match="another process"):
        ShadowFiles(tmp_path)
    files.close()
    ShadowFiles(tmp_path).close()


def test_days_are_let_go(tmp_path: Path) -> None:
    """With their rows and files; the place stays."""
    files = ShadowFiles(tmp_path)
    today = date(2026, 3, 10)
    for ago in (9, 2, 0):
        files.commit(rows(ago), today - timedelta(days=ago), replace(at(ago), cpu_seconds=1.0))
    files.let_go(2, today)
    files.close()
    state, found = read_shadow(tmp_path, ["answer"])
    assert sorted(found["answer"].to_pylist()) == [0, 2]
    assert len(list(tmp_path.glob("date=*/*.parquet"))) == 2
    assert state.place == at(0).place


def test_the_latest_rows_are_enough(tmp_path: Path) -> None:
    """A report of a long shadow reads its last days."""
    files = ShadowFiles(tmp_path)
    for ago in (0, 2, 1):
        files.commit(rows(ago), date(2026, 3, 10) - timedelta(days=ago), at(ago))
    files.close()
    _, found = read_shadow(tmp_path, ["answer"], most_rows=2)
    assert sorted(found["answer"].to_pylist()) == [0, 1]


def test_the_latest_rows_of_a_day_are_its_last(tmp_path: Path) -> None:
    """By when they were answered, whichever part was written first, also after small ones became one."""
    files = ShadowFiles(tmp_path)
    for number in (0, 200, 100):
        files.commit(rows(number), DAY, at(number))
    _, found = read_shadow(tmp_path, ["answer"], most_rows=2)
    assert found["answer"].to_pylist() == [100, 200]
    files.commit(rows(*range(1_000, 21_000)), DAY, at(21_000))
    for number in range(60):
        files.commit(rows(number), DAY, at(number))
    files.close()
    assert len(files.state.parts) < 10 and files.state.parts[-1].rows < 20_000  # the early ones were written again
    _, found = read_shadow(tmp_path, ["answer"], most_rows=2)
    assert min(found["answer"].to_pylist()) == 1_000


def test_parts_of_before_are_read_in_their_order(tmp_path: Path) -> None:
    """A state that does not say of when a part is: what was written last is the latest."""
    files = ShadowFiles(tmp_path)
    for number in range(3):
        files.commit(rows(number), DAY, at(number))
    files.close()
    state = tmp_path / "state.json"
    told = json.loads(state.read_bytes())
    told["parts"] = [{name: value for name, value in part.items() if name != "last"} for part in told["parts"]]
    state.write_text(json.dumps(told))
    _, found = read_shadow(tmp_path, ["answer"], most_rows=2)
    assert found["answer"].to_pylist() == [1, 2]
