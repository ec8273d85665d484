"""What is said of models: the last word holds, systems and tenants apart, and nothing is lost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

from orita.control.model_records import ModelRecord, ModelRecords
from orita.core.clock import ManualClock

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


def records(where: Path | str, tenant: str = "default") -> ModelRecords:
    """Return the records that are kept there."""
    return ModelRecords(where, tenant, ManualClock(AT))


def test_nothing_said(where: Path | str) -> None:
    """Asking before anything was said makes no file."""
    assert records(where).of("feed") == {}
    assert isinstance(where, str) or not where.exists()


def test_the_last_word_holds(where: Path | str) -> None:
    """A description replaces the one before; retiring keeps it, and restoring keeps it too."""
    told = records(where)
    told.describe("feed", "v1.0.0", description="old", tags={"a": "1"}, actor="ana")
    told.describe("feed", "v1.0.0", description="new", tags={"b": "2"}, actor="ana")
    told.retire("feed", "v1.0.0", actor="ana")
    assert records(where).of("feed") == {"v1.0.0": ModelRecord("new", {"b": "2"}, AT)}
    told.describe("feed", "v1.0.0", description="newer", tags={}, actor="ana")
    assert told.of("feed")["v1.0.0"].retired_at == AT
    told.restore("feed", "v1.0.0", actor="ana")
    assert told.of("feed") == {"v1.0.0": ModelRecord("newer", {}, None)}


def test_twice_is_once(where: Path | str) -> None:
    """Retiring what is retired keeps its time; restoring what is not retired says nothing."""
    told = records(where)
    told.restore("feed", "v1.0.0", actor="ana")
    assert told.of("feed") == {}
    told.retire("feed", "v1.0.0", actor="ana")
    later = ModelRecords(where, clock=ManualClock(AT.replace(year=2025)))
    assert later.retire("feed", "v1.0.0", actor="ben").retired_at == AT


def test_systems_and_tenants_are_apart(where: Path | str) -> None:
    """What is said of a version is said of one system of one tenant."""
    records(where).retire("feed", "v1.0.0", actor="ana")
    assert records(where).of("fraud") == {}
    assert records(where, "other").of("feed") == {}


def test_many_at_once(where: Path | str) -> None:
    """Several who speak at the same time are all heard."""
    threads = [
        threading.Thread(target=records(where).retire, args=("feed", f"v1.{n}.0"), kwargs={"actor": "ana"})
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(records(where).of("feed")) == 8
