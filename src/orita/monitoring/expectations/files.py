"""Declarations as YAML: read strictly, each fault with its place; written so that reading gives them back equal.

tables:
  payments:
    time: paid_at
    fresh_within: 26h
    totals: [total = price * quantity]
    columns:
      payment_id: {type: text, most_missing: 0, unique: true}
      amount: {type: number, most_missing: 0.01, minimum: 0}
      currency: {choices: [SEK, NGN, EUR]}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from orita.core.config import read_yaml
from orita.core.errors import NotFound, UserError, closest
from orita.core.files import atomic_file
from orita.monitoring.expectations.declaration import ColumnExpectation, TableExpectation
from orita.monitoring.expectations.formulas import Equation

__all__ = ["read_declarations", "write_declarations"]

S = TypeVar("S", bound=msgspec.Struct)


def read_declarations(file: Path) -> dict[str, TableExpectation]:
    """Return the expectations of each table that *file* declares.

    Raises:
        NotFound: there is no such file.
        UserError: it is no YAML, has a key that is not known, a value that is not allowed, or contradicts itself.
    """
    if not file.exists():
        raise NotFound(f"{file} does not exist: 'orita quality infer TABLE' writes it from history.")
    content = read_yaml(file)
    if set(content) != {"tables"} or not isinstance(content["tables"], dict):
        raise UserError(f"{file} has to hold 'tables:' with a table's name and its expectations below, and no more.")
    return {str(name): _table(f"{file}: table {str(name)!r}", each) for name, each in content["tables"].items()}


def write_declarations(file: Path, tables: Mapping[str, TableExpectation]) -> None:
    """Write what `read_declarations` gives back, whole or not at all."""
    content = {"tables": {name: msgspec.to_builtins(each) for name, each in tables.items()}}
    for each in content["tables"].values():
        each.setdefault("columns", {})
        each["columns"] = each.pop("columns")  # last, as it is long
    with atomic_file(file) as partial:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
        partial.write_text(text, encoding="utf-8")


def _table(where: str, content: Any) -> TableExpectation:
    if not isinstance(content, dict):
        raise UserError(f"{where} holds {content!r}: expected keys and values such as 'columns:'.")
    columns = content.get("columns") or {}
    if not isinstance(columns, dict):
        raise UserError(f"{where} has columns {columns!r}: expected a name and its expectations each.")
    typed = {str(n): _read(f"{where}, column {str(n)!r}", c or {}, ColumnExpectation) for n, c in columns.items()}
    table = _read(where, {key: value for key, value in content.items() if key != "columns"}, TableExpectation)
    table = msgspec.structs.replace(table, columns=typed)
    named = {"time": [table.time], "label": [table.label]}
    named |= {f"the total {text!r}": sorted(Equation.parsed(text).names) for text in table.totals}
    for what, names in named.items():
        for name in filter(None, names):
            if name not in typed:
                raise UserError(f"{where}: {what} names the column {name!r}. {closest(name, typed)}")
    return table


def _read(where: str, content: Any, kind: type[S]) -> S:
    if not isinstance(content, dict):
        raise UserError(f"{where} holds {content!r}: expected keys and values.")
    known = kind.__struct_fields__
    for key in content:
        if key not in known:
            raise UserError(f"{where} has the key {key!r}, which is not known. {closest(str(key), known)}")
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, UserError):  # said by the expectation itself
            raise UserError(f"{where}: {error.__cause__}") from None
        raise UserError(f"{where}: {_in_words(str(error))}.") from None


def _in_words(told: str) -> str:
    """Return msgspec's sentence with the field first: ``most_missing: expected `float`, got `str```."""
    what, _, place = told.partition(" - at `$")
    place = place.strip("`.")
    what = what[:1].lower() + what[1:]
    if "expected `str`, got" in what and place.startswith("choices"):
        what += "; put quotes around each choice"
    return f"{place}: {what}" if place else what
