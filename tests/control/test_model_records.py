"""What is said of models: the last word holds, systems and tenants apart, and nothing is lost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from orita.control.model_records import ModelRecord, ModelRecords
from orita.core.clock import ManualClock

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


def records(folder: Path, tenant: str = "default") -> ModelRecords:
    """Return the records of *folder*."""
    return ModelRecords(folder / "control.db", tenant, ManualClock(AT))


def test_nothing_said(tmp_path: Path) -> None:
    """Asking before anything was said makes no file."""
    assert records(tmp_path).of("feed") == {}
    assert not (tmp_path / "control.db").exists()


def test_the_last_word_holds(tmp_path: Path) -> None:
    """A description replaces the one before; retiring keeps it, and restoring keeps it too."""
    told = records(tmp_path)
    told.describe("feed", "v1.0.0", description="old", tags={"a": "1"}, actor="ana")
    told.describe("feed", "v1.0.0", description="new", tags={"b": "2"}, actor="ana")
    told.retire("feed", "v1.0.0", actor="ana")
    assert records(tmp_path).of("feed") == {"v1.0.0": ModelRecord("new", {"b": "2"}, AT)}
    told.describe("feed", "v1.0.0", description="newer", tags={}, actor="ana")
    assert told.of("feed")["v1.0.0"].retired_at == AT
    told.restore("feed", "v1.0.0", actor="ana")
    assert told.of("feed") == {"v1.0.0": ModelRecord("newer", {}, None)}


def test_twice_is_once(tmp_path: Path) -> None:
    """Retiring what is retired keeps its time; restoring what is not retired says nothing."""
    told = records(tmp_path)
    told.restore("feed", "v1.0.0", actor="ana")
    assert told.of("feed") == {}
    told.retire("feed", "v1.0.0", actor="ana")
    later = ModelRecords(tmp_path / "control.db", clock=ManualClock(AT.replace(year=2025)))
    assert later.retire("feed", "v1.0.0", actor="ben").retired_at == AT


def test_systems_and_tenants_are_apart(tmp_path: Path) -> None:
    """What is said of a version is said of one system of one tenant."""
    records(tmp_path).retire("feed", "v1.0.0", actor="ana")
    assert records(tmp_path).of("fraud") == {}
    assert records(tmp_path, "other").of("feed") == {}


def test_many_at_once(tmp_path: Path) -> None:
    """Several who speak at the same time are all heard."""
    threads = [
        threading.Thread(target=records(tmp_path).retire, args=("feed", f"v1.{n}.0"), kwargs={"actor": "ana"})
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(records(tmp_path).of("feed")) == 8
