"""A project of payments and cards, no interactions: every table comes in, and the first events may be pushed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orita.cli import data, feature_values, features  # noqa: F401 - they register their commands
from orita.cli.app import app
from orita.core.errors import NotFound

DECLARED = """
from orita import Column, Entity, Source, TableSchema, system

PAYMENT = TableSchema("payments", key="payment_id", time="at", columns=(
    Column("payment_id", "str", required=True), Column("card_id", "id"), Column("shop_id", "id"),
    Column("at", "time", required=True), Column("amount", "float"), Column("fraud", "flag")))
card = Entity("card", "card_id", "cards", [Column("limit", "float")])
shop = Entity("shop", "shop_id")
payments = Source("payments", PAYMENT)
fraud = system("fraud", label=payments.fraud, rank=shop, for_=card)
fraud.features(spent=payments.sum("amount").by(card), limit=card["limit"])
"""
PAID = [
    {"payment_id": name, "card_id": 1, "shop_id": 2, "at": f"2024-05-01T0{hour}:00:00Z", "amount": 5, "fraud": 0}
    for hour, name in enumerate("ab")
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project on an empty home, with a file for each table and one of another name."""
    (tmp_path / "orita.yaml").write_text("system: features.py\n")
    (tmp_path / "features.py").write_text(DECLARED)
    for name, rows in (("payments", PAID), ("cards", [{"card_id": 1, "limit": 100}]), ("limits", [{"card_id": 1}])):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def told(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command in the project and return what it printed as JSON."""
    called = ["--quiet", "-p", str(folder), "--home", str(folder / ".orita"), *arguments, "--json"]
    result = CliRunner().invoke(app, called, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def online(folder: Path) -> tuple[float, float | None]:
    """Return what the card has online."""
    (row,) = told(folder, "features", "read", "1", "2")["rows"]
    return row["spent"], row["limit"]


def test_every_table_of_a_system_can_be_ingested(folder: Path) -> None:
    """Payments and cards come in by the names of their files, or by --table; no other table does."""
    for name in ("payments", "cards"):
        assert list(told(folder, "ingest", str(folder / f"{name}.jsonl"))["tables"]) == [name]
    again = told(folder, "ingest", str(folder))["tables"]
    assert {name: part["rows_new"] for name, part in again.items()} == {"payments": 0, "cards": 0}
    assert list(told(folder, "validate", str(folder / "limits.jsonl"), "--table", "cards")["tables"]) == ["cards"]
    with pytest.raises(NotFound, match="table 'users' is not declared"):
        told(folder, "ingest", str(folder / "limits.jsonl"), "--table", "users")
    told(folder, "features", "backfill")
    assert online(folder) == (10, 100)


def test_a_push_and_a_stream_begin_a_project(folder: Path) -> None:
    """On an empty home nothing but a push and a stream is needed; attributes come in by file and a backfill."""
    assert told(folder, "features", "push", str(folder / "payments.jsonl"))["rows"] == 2
    assert told(folder, "features", "stream", "--once")["counted"] == 2
    assert online(folder) == (10, None)
    told(folder, "ingest", str(folder / "cards.jsonl"))
    told(folder, "features", "backfill")
    assert online(folder) == (10, 100)


def test_an_empty_home_can_be_published(folder: Path) -> None:
    """Before the first event, a backfill makes servers answer: with the features of a card that nobody has."""
    assert told(folder, "features", "backfill")["events"] == 0
    assert online(folder) == (0, None)
