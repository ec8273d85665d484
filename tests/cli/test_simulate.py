"""``orita simulate``: users live with what a trained model serves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.cli.small_world import orita_inside, told

_FEED = ("simulate", "feed", "--users", "60", "--candidates", "40", "--days")


def test_the_scenarios_that_ship_are_listed(tmp_path: Path) -> None:
    """Names and what happens, for people and for programs."""
    found = told(tmp_path, "simulate", "scenarios")["scenarios"]
    assert {"drift", "outage", "bad_model", "new_audience"} <= set(found)
    assert found["drift"]["happenings"][0]["day"] == 10
    assert "new_audience" in orita_inside(tmp_path, "simulate", "scenarios")


def test_without_a_world_the_way_to_one_is_told(tmp_path: Path) -> None:
    """A home in which nothing was generated has no users; a scenario that is none is told before."""
    assert "there is no synthetic world in this home" in orita_inside(tmp_path, *_FEED, "1", code=2)
    assert "there is no scenario 'drif'" in orita_inside(tmp_path, *_FEED, "1", "--scenario", "drif", code=2)


def test_the_command_without_a_name_asks_a_server(tmp_path: Path) -> None:
    """'orita simulate SERVER' is 'orita simulate requests SERVER', wherever its options stand."""
    short = orita_inside(tmp_path, "simulate", "--requests", "3", "http://127.0.0.1:9", code=2)
    assert short == orita_inside(tmp_path, "simulate", "requests", "http://127.0.0.1:9", code=2)
    assert "feed" in orita_inside(tmp_path, "simulate", "--help")


@pytest.mark.slow
def test_users_live_with_a_trained_model(tmp_path: Path) -> None:
    """The champion ranks by features that move, the home stays as it was, and the same seed finds the same again."""
    told(tmp_path, "--set", "beside=[]", "--set", "model.type=lightgbm", "run", "all")
    before = _digest(tmp_path / ".orita" / "online")
    page = tmp_path / "feed.html"
    first, again = (told(tmp_path, *_FEED, "2", "--ceiling", "--html", str(page)) for _ in range(2))
    assert {name: value for name, value in first.items() if name != "seconds"} == {
        name: value for name, value in again.items() if name != "seconds"
    }
    champion, popularity, oracle = first["arms"]
    assert champion["policy"].startswith("champion v")
    assert champion["totals"]["clicks"] > 0
    assert champion["totals"]["failures"] == 0
    assert first["events"] == sum(arm["totals"]["shown"] for arm in (champion, popularity, oracle))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert _digest(tmp_path / ".orita" / "online") == before
    assert "champion" in orita_inside(tmp_path, *_FEED, "1", "--scenario", str(_outage(tmp_path)))


def _outage(folder: Path) -> Path:
    file = folder / "dark.yaml"
    file.write_text("happenings: [{day: 1, outage: {hours: 6, at_hour: 12}}]")
    return file


def _digest(folder: Path) -> str:
    parts = hashlib.sha256()
    for file in sorted(folder.rglob("data.mdb")):
        parts.update(file.read_bytes())
    return parts.hexdigest()
