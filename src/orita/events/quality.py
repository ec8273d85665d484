"""Which rows are sound: the rules of a schema, and of the profile of earlier data, compiled to SQL.

Each row is given the number of the first rule it breaks, in the order of the schema's columns, or null. The rules of
a column, in order: ``required``, ``type`` (``id`` for ids), ``past`` and ``future`` for times, ``range``, ``choices``,
``pattern``, ``agrees``, ``profile.range``. A row that could not be read breaks ``columns`` or ``json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from orita.core.clock import Clock, to_micros
from orita.core.errors import UserError
from orita.core.sql import literal, quoted
from orita.events.config import Timestamps, ValidationConfig
from orita.events.schema import Column
from orita.events.sources.opened import FAULT, NESTED, Opened

__all__ = [
    "SQL_TYPES",
    "IdType",
    "Judge",
    "Rule",
    "compile_judge",
    "is_nested",
    "looks_whole",
    "typed_value",
    "whole_id",
]

IdType = Literal["BIGINT", "VARCHAR"]

SQL_TYPES = {
    "int": "BIGINT",
    "float": "DOUBLE",
    "flag": "TINYINT",
    "str": "VARCHAR",
    "category": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "list": "VARCHAR[]",
}
"""DuckDB type of a stored column by declared type; an ``id`` is BIGINT or VARCHAR, decided once a table."""

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_REALS = ("FLOAT", "DOUBLE", "DECIMAL")
_TIMES = ("TIMESTAMP", "DATE")
_DAY = 86_400_000_000
_HOUR = 3_600_000_000
_LONGEST_ID = 256
_LARGEST_ID = 2**63 - 1
_LOCAL = quoted("=local")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a column: what it allows, and the SQL that is true for a row that breaks it."""

    column: str
    name: str
    allows: str
    broken: str


@dataclass(frozen=True, slots=True)
class Judge:
    """The compiled rules of one source.

    Attributes:
        rules: in the order in which a row is judged.
        typed: SQL of each stored column's value in a row of the source, by name.
        relation: SQL behind FROM: the source's rows, with what the rules look at worked out once.
        broken: SQL that is true for a row of *relation* that breaks any rule.
        verdict: SQL of the position in *rules* of the first rule that a row of *relation* breaks.
    """

    rules: tuple[Rule, ...]
    typed: Mapping[str, str]
    relation: str
    broken: str
    verdict: str


def compile_judge(
    opened: Opened,
    id_types: Mapping[str, IdType],
    ranges: Mapping[str, tuple[float, float]],
    config: ValidationConfig,
    clock: Clock,
) -> Judge:
    """Compile the rules of a source.

    Args:
        opened: the source and its schema.
        id_types: the stored type of each id column.
        ranges: by numeric column, the bounds that the profile of earlier data sets.
        config: how times are written, their zone, how far they may lie ahead.
        clock: tells what the future is.

    Raises:
        UserError: a column's type can never hold what is declared.
    """
    context = _Context(opened, id_types, ranges, config, clock.now())
    fault = f"{quoted(FAULT)} IS NOT NULL"
    rules = [
        Rule("", "columns", "one value for each column of the first line", f"{quoted(FAULT)} = 'columns'"),
        Rule("", "json", "a JSON object on one line", f"{quoted(FAULT)} = 'json'"),
    ]
    typed = {}
    for name in opened.declared:
        column = opened.schema.column(name)
        _check_storage(opened, column, config)
        id_type = id_types.get(name, "VARCHAR")
        typed[name] = typed_value(column, quoted(name), context.kind(column), id_type, opened.timestamps)
        rules += _rules(column, context)
    cases = " ".join(f"WHEN {rule.broken} THEN {position}" for position, rule in enumerate(rules))
    broken = " OR ".join([fault, *(f"({rule.broken})" for rule in rules[2:])])
    return Judge(tuple(rules), typed, _relation(opened, typed, config), broken, f"CASE {cases} END")


def _worked(name: str) -> str:
    """Return the name of a worked-out column of a judge's relation."""
    return quoted(f"={name}")


def _relation(opened: Opened, typed: Mapping[str, str], config: ValidationConfig) -> str:
    """Return the rows with their typed values, times in microseconds, and the local clock of the event time."""
    times = [name for name in typed if opened.schema.column(name).type == "time"]
    values = [f"{f'epoch_us({value})' if name in times else value} AS {_worked(name)}" for name, value in typed.items()]
    rows = f"(SELECT *, {', '.join(values)} FROM {opened.sql})"
    time = opened.schema.time
    if time not in times:
        return rows
    local = _worked(time)
    if config.time_zone != "UTC":
        local = f"epoch_us(timezone({literal(config.time_zone)}, make_timestamptz({local})))"
    return f"(SELECT *, {local} AS {_LOCAL} FROM {rows})"


@dataclass(frozen=True, slots=True)
class _Context:
    opened: Opened
    id_types: Mapping[str, IdType]
    ranges: Mapping[str, tuple[float, float]]
    config: ValidationConfig
    now: datetime

    def kind(self, column: Column) -> str:
        return self.opened.columns[column.name]


def _check_storage(opened: Opened, column: Column, config: ValidationConfig) -> None:
    kind = opened.columns[column.name]
    numeric = kind.startswith((*_NUMBERS, *_REALS))
    if column.type == "time" and numeric and opened.timestamps == "iso":
        raise UserError(
            f"column {column.name!r} of {opened.file} holds numbers ({kind}), expected ISO 8601 text or timestamps: "
            "set validation.timestamps to epoch_seconds or epoch_milliseconds if that is what they are."
        )
    if column.type != "list" and kind.endswith("[]"):
        raise UserError(
            f"column {column.name!r} of {opened.file} holds lists ({kind}), expected one {column.type} a row: "
            "declare it as a list, or write one value a row."
        )


def _raw(column: Column) -> str:
    return quoted(column.name)


def typed_value(column: Column, raw: str, kind: str, id_type: IdType, timestamps: Timestamps) -> str:
    """Return SQL of a value in the type of its column; null where it is missing or of another type.

    Args:
        column: what is declared.
        raw: SQL of the value.
        kind: its DuckDB type.
        id_type: the stored type of the column where it is an id.
        timestamps: how times are written that are not of a time type.
    """
    if column.type == "id":
        return f"TRY_CAST({raw} AS BIGINT)" if id_type == "BIGINT" else f"CAST({raw} AS VARCHAR)"
    if column.type == "time":
        return _time(raw, kind, timestamps)
    if column.type == "float":
        return f"CASE WHEN isnan(TRY_CAST({raw} AS DOUBLE)) THEN NULL ELSE TRY_CAST({raw} AS DOUBLE) END"
    if column.type == "flag":
        return f"coalesce({_whole(raw, kind, 'TINYINT')}, {_truth(raw, kind)})"
    if column.type == "int":
        return _whole(raw, kind, "BIGINT")
    if column.type == "list":
        return _list(raw, kind, column.separator)
    return f"CAST({raw} AS VARCHAR)"


def _text(raw: str, kind: str) -> str:
    return raw if kind == "VARCHAR" else f"CAST({raw} AS VARCHAR)"


def _truth(raw: str, kind: str) -> str:
    if kind == "BOOLEAN":
        return f"CAST({raw} AS TINYINT)"
    return f"CASE lower(CAST({raw} AS VARCHAR)) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"


def _whole(raw: str, kind: str, target: str) -> str:
    """Return SQL of a whole number, else null; text such as 3.0 counts, 3.5 does not."""
    cast = f"TRY_CAST({raw} AS {target})"
    if kind.startswith(_NUMBERS):
        return cast
    real = f"TRY_CAST({raw} AS DOUBLE)"
    checked = f"CASE WHEN {real} = trunc({real}) THEN {cast} END"
    if kind != "VARCHAR":
        return checked
    # A cast of text rounds, so what may hold a fraction takes the slow way.
    return f"CASE WHEN contains({raw}, '.') OR contains(lower({raw}), 'e') THEN {checked} ELSE {cast} END"


def _time(raw: str, kind: str, timestamps: Timestamps) -> str:
    if kind.startswith(_TIMES):
        return f"TRY_CAST({raw} AS TIMESTAMPTZ)"
    if timestamps == "iso":
        # DuckDB would also take words such as 'epoch' or 'infinity'.
        raw = _text(raw, kind)
        return f"CASE WHEN {raw}[1] BETWEEN '0' AND '9' THEN TRY_CAST({raw} AS TIMESTAMPTZ) END"
    scale = "1e6" if timestamps == "epoch_seconds" else "1e3"
    micros = f"TRY_CAST(round(TRY_CAST({raw} AS DOUBLE) * {scale}) AS BIGINT)"
    return f"CASE WHEN abs({micros}) < 9e18 THEN make_timestamptz({micros}) END"


def _list(raw: str, kind: str, separator: str) -> str:
    if kind.endswith("[]"):
        return f"CAST({raw} AS VARCHAR[])"
    raw = _text(raw, kind)
    parts = (
        f"list_filter(list_transform(string_split({raw}, {literal(separator)}), lambda e: trim(e)), lambda e: e <> '')"
    )
    return f"CASE WHEN {raw}[1] = '[' THEN TRY(from_json({raw}, '[\"VARCHAR\"]')) ELSE {parts} END"


def _rules(column: Column, context: _Context) -> list[Rule]:
    """Return the rules of a column in the order in which they are judged."""
    name, value = column.name, _worked(column.name)
    present = _present(column, context)
    rules = []
    if context.opened.schema.requires(column):
        rules.append(Rule(name, "required", "a value in every row", f"NOT coalesce({present}, false)"))
    if context.opened.nested and _is_id(column, context):
        rules.append(Rule(name, "type", "a number or text", is_nested(name)))
    rules.append(_type_rule(column, context, present))
    if column.type == "time":
        rules += _time_rules(name, value, context)
    bound = _bounds(column)
    if bound:
        rules.append(Rule(name, "range", bound[0], f"{value} {bound[1]}"))
    if column.choices:
        allowed = ", ".join(literal(choice) for choice in column.choices)
        broken = f"NOT list_has_all([{allowed}], {value})" if column.type == "list" else f"{value} NOT IN ({allowed})"
        rules.append(Rule(name, "choices", f"one of {', '.join(column.choices)}", broken))
    if column.pattern:
        matches = f"regexp_full_match(CAST({_raw(column)} AS VARCHAR), {literal(column.pattern)})"
        rules.append(Rule(name, "pattern", f"text that matches {column.pattern}", f"NOT {matches}"))
    if column.agrees and context.opened.schema.time in context.opened.declared:
        rules.append(_agreement(column, value, context))
    if name in context.ranges and column.type in ("int", "float") and not bound:
        low, high = context.ranges[name]
        outside = f"{value} NOT BETWEEN {low!r} AND {high!r}"
        rules.append(Rule(name, "profile.range", f"{low:g} to {high:g}, as earlier data suggests", outside))
    return rules


def _present(column: Column, context: _Context) -> str:
    raw, kind = _raw(column), context.kind(column)
    if kind.startswith(("FLOAT", "DOUBLE")):
        return f"{raw} IS NOT NULL AND NOT isnan({raw})"
    if column.type == "float" and kind == "VARCHAR":
        return f"{raw} IS NOT NULL AND lower({raw}) <> 'nan'"
    return f"{raw} IS NOT NULL"


_ALLOWS = {
    "int": "a whole number",
    "float": "a finite number",
    "flag": "0 or 1",
    "time": "a time in ISO 8601, such as 2024-11-15T10:30:00Z",
    "list": "a list",
    "str": "text",
    "category": "text",
}


def _type_rule(column: Column, context: _Context, present: str) -> Rule:
    name, value = column.name, _worked(column.name)
    if _is_id(column, context):
        return _id_rule(column, context, present)
    broken = f"{present} AND {value} IS NULL"
    if column.type == "float":
        broken = f"{present} AND NOT coalesce(isfinite({value}), false)"
    if column.type == "flag":
        broken = f"{present} AND coalesce({value} NOT IN (0, 1), true)"
    allows = _ALLOWS[column.type]
    if column.type == "time" and context.opened.timestamps != "iso":
        allows = f"a number, in {context.opened.timestamps.replace('_', ' ')}"
    if context.opened.nested:
        nested = f"{is_nested(name)} AND {_raw(column)}[1] <> '['" if column.type == "list" else is_nested(name)
        broken = f"({nested}) OR ({broken})"
    return Rule(name, "type", allows, broken)


def _is_id(column: Column, context: _Context) -> bool:
    return column.type == "id" or (column.name == context.opened.schema.key and column.type in ("str", "category"))


def is_nested(name: str) -> str:
    """Return SQL that is true for a row of a source with `NESTED` whose column holds an object or a list."""
    return f"coalesce(list_contains({quoted(NESTED)}, {literal(name)}), false)"


def looks_whole(raw: str, kind: str) -> str:
    """Return SQL that is true for a value that is a whole number, of any sign and size.

    Text with leading zeros is none: as a number it would lose them.
    """
    if kind.startswith(_NUMBERS):
        return f"({raw} IS NOT NULL)"
    if kind.startswith(_REALS):
        return f"({raw} = trunc({raw}))"
    return f"regexp_full_match(CAST({raw} AS VARCHAR), '[+-]?(0|[1-9][0-9]*)')"


def whole_id(raw: str, kind: str) -> str:
    """Return SQL that is true for a value of a source column that is a whole number from 0 to 2^63 - 1."""
    if kind.startswith(_NUMBERS):
        return f"({raw} >= 0 AND TRY_CAST({raw} AS BIGINT) IS NOT NULL)"
    if kind.startswith(_REALS):
        return f"({raw} >= 0 AND {raw} = trunc({raw}) AND TRY_CAST({raw} AS BIGINT) IS NOT NULL)"
    text = f"CAST({raw} AS VARCHAR)"
    return f"(regexp_full_match({text}, '0|[1-9][0-9]{{0,18}}') AND TRY_CAST({text} AS BIGINT) IS NOT NULL)"


def _id_rule(column: Column, context: _Context, present: str) -> Rule:
    raw, kind = _raw(column), context.kind(column)
    if column.type == "id" and context.id_types[column.name] == "BIGINT":
        broken = f"{present} AND NOT coalesce({whole_id(raw, kind)}, false)"
        return Rule(column.name, "id", f"a whole number from 0 to {_LARGEST_ID}", broken)
    text = raw if kind == "VARCHAR" else f"CAST({raw} AS VARCHAR)"
    tidy = f"{text}[1] > ' ' AND {text}[-1] > ' ' AND strlen({text}) <= {_LONGEST_ID}"
    allows = f"1 to {_LONGEST_ID} bytes, without blanks around them"
    return Rule(column.name, "id", allows, f"{present} AND NOT coalesce({tidy}, false)")


def _time_rules(name: str, value: str, context: _Context) -> list[Rule]:
    ahead = timedelta(days=context.config.future_days)
    if context.opened.came:
        allows = f"a time at most {context.config.future_days:g} days after it came"
        broken = f"{value} > {context.opened.came} + {ahead // timedelta(microseconds=1)}"
    else:
        latest = context.now + ahead
        allows, broken = f"a time before {latest:%Y-%m-%dT%H:%M:%SZ}", f"{value} > {to_micros(latest)}"
    return [Rule(name, "past", "a time from 1970 on", f"{value} < 0"), Rule(name, "future", allows, broken)]


def _bounds(column: Column) -> tuple[str, str] | None:
    if column.type not in ("int", "float"):
        return None
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        return f"{low:g} to {high:g}", f"NOT BETWEEN {low!r} AND {high!r}"
    if low is not None:
        return f"{low:g} or more", f"< {low!r}"
    return (f"{high:g} or less", f"> {high!r}") if high is not None else None


def _agreement(column: Column, value: str, context: _Context) -> Rule:
    time = context.opened.schema.time
    assert time is not None
    zone = context.config.time_zone
    if column.agrees == "day_of_week":
        # 1970-01-01 was a Thursday: 3, counting from Monday.
        expected = f"({_LOCAL} // {_DAY} + 3) % 7"
    else:
        hour = f"({_LOCAL} // {_HOUR}) % 24"
        expected = (
            f"CASE WHEN {hour} < 5 THEN 'night' WHEN {hour} < 12 THEN 'morning' "
            f"WHEN {hour} < 17 THEN 'afternoon' WHEN {hour} < 21 THEN 'evening' ELSE 'night' END"
        )
    return Rule(column.name, "agrees", f"the {column.agrees} of {time} in {zone}", f"{value} <> {expected}")
