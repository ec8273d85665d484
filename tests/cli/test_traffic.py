"""Held-out events: replayed once, under their own ids, and no bad row is lost on the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.small_world import SMALL

from orita.cli.traffic import hold_out
from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.events.ingest import ingest
from orita.project import Project, open_project
from orita.simulate import replay
from orita.simulate.client import Answer


def make_source(path: Path, rows: int, bad: int) -> Path:
    """Write *rows* events, of which the last *bad* have no user."""
    begin = datetime(2024, 3, 1, tzinfo=UTC)
    lines = [
        {
            "interaction_id": f"e{n}",
            "user_id": n % 7 if n < rows - bad else None,
            "item_id": n,
            "timestamp": (begin + timedelta(minutes=n)).isoformat(),
            "click": n % 2,
        }
        for n in range(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def make_project(folder: Path) -> Project:
    """Open a project in *folder* that lets a tenth of the rows be bad."""
    return open_project(folder, home=folder / "home", overrides=[*SMALL, "validation.max_bad_share=0.1"])


def test_bad_rows_of_replayed_data_are_kept(tmp_path: Path) -> None:
    """What is held out and what is not: every row of the source is accounted for, bad ones in the home's quarantine."""
    project = make_project(tmp_path)
    held = hold_out(project, make_source(tmp_path / "events.jsonl", 200, 10), 0.1, SILENT)
    judged = held.judged.tables["interactions"]
    assert (judged.rows_read, judged.rows_new, judged.rows_quarantined) == (200, 190, 10)
    assert judged.quarantine_path is not None
    assert len(pq.read_table(judged.quarantine_path)) == 10
    assert Path(judged.quarantine_path).is_relative_to(project.home.quarantine)
    assert len(pq.read_table(held.history / "interactions.parquet")) + held.live_rows == 190


def test_events_are_replayed_once(tmp_path: Path) -> None:
    """Once the home knows the held-out events, replaying them would judge a model on what it learnt: it is refused."""
    project = make_project(tmp_path)
    source = make_source(tmp_path / "events.jsonl", 200, 0)
    held = hold_out(project, source, 0.1, SILENT)
    ingest(project.home, held.history)
    held = hold_out(project, source, 0.1, SILENT)  # nothing was replayed yet
    ingest(project.home, held.live)
    with pytest.raises(UserError, match="holds 21 of the 21 events that would be replayed"):
        hold_out(project, source, 0.1, SILENT)


def test_every_replayed_event_comes_back_under_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A visit of more items than a request can hold becomes several requests, and no event is left out or renamed."""
    asked: list[list[int]] = []

    class Server:
        """Answers in the order asked."""

        def __init__(self, _url: str) -> None:
            pass

        def predict(self, _user: int, items: list[int], _device: str | None, _at: str) -> Answer:
            asked.append(items)
            return Answer("ok", 1.0, tuple(items), f"r{len(asked)}")

        def close(self) -> None:
            pass

    monkeypatch.setattr(replay, "RankingClient", Server)
    begin = datetime(2024, 3, 1, tzinfo=UTC)
    events = pa.Table.from_pylist([
        {"interaction_id": f"e{n}", "user_id": n % 2, "item_id": n, "timestamp": at, "click": 1}
        for n, at in enumerate(begin + timedelta(seconds=n) for n in range(45))
    ])  # fmt: skip
    back = tmp_path / "back.jsonl"
    report = replay.replay_events(events, [99, 98], "http://x", back, start=0, items=10, most_items=20)
    rows = [json.loads(line) for line in back.read_text().splitlines()]
    assert sorted(row["interaction_id"] for row in rows) == sorted(f"e{n}" for n in range(45))
    assert report.events == 45
    assert max(map(len, asked)) <= 20
