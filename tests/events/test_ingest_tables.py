"""Which table a file holds: any that is declared, by the file's name or as the caller says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.events.conftest import Row, WriteRows

from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.ingest import ingest, validate
from orita.events.lake import Lake
from orita.events.schema import Column, TableSchema, entity_schema

PAYMENT = TableSchema(
    "payments",
    key="payment_id",
    time="at",
    columns=(Column("payment_id", "str", required=True), Column("card_id", "id"), Column("at", "time", required=True)),
)
CARD = entity_schema("Cards", key="card_id", attributes={"limit": "float"})
SCHEMAS = {"payments": PAYMENT, "Cards": CARD}
REFUND = TableSchema("refunds", key="payment_id", time="at", columns=PAYMENT.columns)

PAID: list[Row] = [{"payment_id": "a", "card_id": 1, "at": "2024-05-01T00:00:00Z"}]
CARDS: list[Row] = [{"card_id": 1, "limit": 100}]


def test_any_declared_table_comes_in_by_the_name_of_its_file(tmp_path: Path, write_rows: WriteRows) -> None:
    """A system of payments and cards takes payments.jsonl and cards.csv, alone and as a folder."""
    folder = write_rows(PAID, "in/payments.jsonl").parent
    write_rows(CARDS, "in/cards.csv")
    write_rows(CARDS, "in/users.csv")
    alone = Home(tmp_path / "alone")
    assert ingest(alone, folder / "payments.jsonl", schemas=SCHEMAS).tables["payments"].rows_new == 1
    assert ingest(alone, folder / "cards.csv", schemas=SCHEMAS).tables["Cards"].rows_new == 1
    together = Home(tmp_path / "together")
    assert set(ingest(together, folder, schemas=SCHEMAS).tables) == {"payments", "Cards"}
    assert Lake(alone).tables() == Lake(together).tables()


def test_a_file_of_another_name_holds_the_events_or_what_the_caller_says(tmp_path: Path, write_rows: WriteRows) -> None:
    """march.csv is of the one table of events; a caller may name any table, and what is wrong names the others."""
    home = Home(tmp_path / "home")
    assert "payments" in ingest(home, write_rows(PAID, "march.csv"), schemas=SCHEMAS).tables
    limits = write_rows(CARDS, "limits.csv")
    with pytest.raises(UserError, match=r"no column 'payment_id'.* If it is one of Cards, .* with --table NAME"):
        ingest(home, limits, schemas=SCHEMAS)
    assert "Cards" in validate(home, limits, schemas=SCHEMAS, table="Cards").tables


def test_what_is_not_known_is_refused_with_what_there_is(tmp_path: Path, write_rows: WriteRows) -> None:
    """Two tables of events: a name must say which; no such table, and a folder under one table, are refused."""
    home, file = Home(tmp_path / "home"), write_rows(PAID, "in/march.csv")
    with pytest.raises(UserError, match=r"like none of the tables payments, Cards, refunds: say which .* --table"):
        ingest(home, file, schemas={**SCHEMAS, "refunds": REFUND})
    with pytest.raises(NotFound, match=r"table 'card' is not declared\. Did you mean 'Cards'"):
        ingest(home, file, schemas=SCHEMAS, table="card")
    with pytest.raises(UserError, match="is a folder"):
        ingest(home, file.parent, schemas=SCHEMAS, table="payments")
    with pytest.raises(UserError, match=r"has none of payments, Cards as \.csv.* it has march\.csv: .* payments\.csv"):
        ingest(home, file.parent, schemas=SCHEMAS)
