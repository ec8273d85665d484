"""Declarations of tables."""

from __future__ import annotations

from typing import Any, cast

import pytest

from orita.core.errors import NotFound, UserError
from orita.events.schema import INTERACTION, Column, TableSchema, entity_schema


def test_interaction_has_the_contract_columns_in_order() -> None:
    """The interaction table begins with the contract's columns and requires the five that every source must have."""
    contract = "interaction_id user_id item_id timestamp click like share dwell_time device time_of_day day_of_week"
    assert INTERACTION.names[:11] == tuple(contract.split())
    required = [column.name for column in INTERACTION.columns if column.required]
    assert required == ["interaction_id", "user_id", "item_id", "timestamp", "click"]


def test_with_columns_adds_and_replaces() -> None:
    """A new column goes to the end, a declared one is replaced in its place, and the original stays as it was."""
    changed = INTERACTION.with_columns(Column("rating", "float"), Column("click", "int", required=True))
    assert changed.names == (*INTERACTION.names, "rating")
    assert changed.column("click").type == "int"
    assert INTERACTION.column("click").type == "flag"


def test_entity_schema_requires_its_key() -> None:
    """An entity table has a required id key and the attributes that were given, short or whole."""
    schema = entity_schema("users", key="user_id", attributes={"age": "float", "job": Column("x", "category")})
    assert schema.names == ("user_id", "age", "job")
    assert schema.column("user_id").required
    assert schema.time is None


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda: Column("a", cast(Any, "integer")), "'integer'"),
        (lambda: Column("a", "int", minimum=2, maximum=1), "allows 2 to 1"),
        (lambda: TableSchema("t", "a", None, (Column("a", "id"), Column("a", "int"))), "'a' twice"),
        (lambda: TableSchema("t", "b", None, (Column("a", "id"),)), "'b' is not declared"),
        (lambda: INTERACTION.column("clik"), "Did you mean 'click'"),
    ],
)
def test_wrong_declarations_are_refused_at_once(declare: object, sentence: str) -> None:
    """A declaration that cannot hold is refused where it is written, with the name that is wrong."""
    assert callable(declare)
    with pytest.raises((UserError, NotFound), match=sentence):
        declare()
