"""Cases as files: events in, rows asked, values written by hand. A file a promise, in tests/features/cases.

A case declares features in Python on `user`, `item` and `shown`, events with ``id``, ``user_id``, ``item_id``, ``at``,
``seen_at``, ``click``, ``amount`` and ``units``, and on the entities, roles, columns and sources that it adds. Where an
event or row says nothing of them, ``user_id`` is 1, ``item_id`` 9 and ``click`` 0.

Where asking once a file takes too long, `load_united` makes one case of the files that `case_groups` puts together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from tests.features.oracle_values import Value
from tests.features.scenarios import Scenario

from orita.core.clock import to_micros
from orita.events.schema import Column, TableSchema
from orita.features.declarations import Entity, Source
from orita.features.plan import Plan, plan_of
from orita.features.system import System, system

__all__ = ["Case", "case_groups", "case_names", "expect", "load_case", "load_refusal", "load_united", "refusals"]

_FOLDER = Path(__file__).parent / "cases"
_COLUMNS = {
    "id": "str", "user_id": "id", "item_id": "id", "at": "time", "seen_at": "time", "click": "flag",
    "amount": "float", "units": "int",
}  # fmt: skip
_DEFAULTS = {"user_id": 1, "item_id": 9, "click": 0}
_OWN = ("promise", "features", "events", "rows", "batches", "gaps", "columns", "entities")
_IDS_A_CASE = 1000


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        name: the file's.
        promise: what it shows.
        plan: its features.
        scenario: its events and rows.
        expected: by row, the value of each feature, None where it is missing.
        as_of: what its rows see.
        batches: positions of the system's events, as a stream brings them; empty: one by one, as they became known.
        tolerance: by how much values may differ, relative to them.
        gaps: by engine, why it does not do this.
    """

    name: str
    promise: str
    plan: Plan
    scenario: Scenario
    expected: Sequence[Mapping[str, float | None]]
    as_of: Literal["known", "event"]
    batches: Sequence[Sequence[int]]
    tolerance: float
    gaps: Mapping[str, str]


def case_names() -> list[str]:
    """Return the names of the cases that have rows."""
    return [path.stem for path in sorted(_FOLDER.glob("*.json")) if "rows" in _read(path.stem)]


def refusals() -> list[str]:
    """Return the names of the cases that are refused where they are declared."""
    return [path.stem for path in sorted(_FOLDER.glob("*.json")) if "refused" in _read(path.stem)]


def case_groups() -> list[tuple[str, ...]]:
    """Return the names of the cases that have rows, those in one tuple that one system over one table can hold.

    These declare the same, but for features, columns and entities, have ids that are numbers, and ask by a key always.
    """
    groups: dict[str, list[str]] = {}
    for name in case_names():
        content, case = _read(name), load_case(name)
        alone = case.scenario.text_ids or not all(aggregate.entities for aggregate in case.plan.aggregates)
        shared = {key: value for key, value in content.items() if key not in _OWN}
        groups.setdefault(name if alone else json.dumps(shared, sort_keys=True), []).append(name)
    return [tuple(names) for names in groups.values()]


def declare(content: Mapping[str, Any], features: Mapping[str, str]) -> System:
    """Return the system of a file with *features*."""
    names = _sources(content) | _entities(content)
    declared = system("case", label=names["shown"].click, rank=names[content.get("rank", "item")],
                      for_=names[content.get("for", "user")])  # fmt: skip
    declared.features(**{name: eval(text, {"__builtins__": {}}, names) for name, text in features.items()})
    return declared


def load_case(name: str) -> Case:
    """Return the case of a file."""
    return _case(name, _read(name))


def load_united(names: Sequence[str]) -> Case:
    """Return one case of those of a group: its features are called ``case__feature``, and each case has its own ids."""
    if len(names) == 1:
        return load_case(names[0])
    parts = [_apart(name, position) for position, name in enumerate(names)]
    united = {**parts[0], **{key: {} for key in ("columns", "entities", "features")}, "events": [], "rows": []}
    for part in parts:
        for key in ("columns", "entities", "features"):
            united[key] = united[key] | part.get(key, {})
        for key in ("events", "rows"):
            united[key] = united[key] + part[key]
    return _case("united", {key: value for key, value in united.items() if key not in ("batches", "gaps")})


def _case(name: str, content: Mapping[str, Any]) -> Case:
    plan = plan_of(declare(content, content["features"]))
    schema = _schema("shown", _shown(content))
    events = {"shown": [_typed({**_DEFAULTS, **event}, schema) for event in content["events"]]}
    for source, rows in content.get("more", {}).items():
        events[source] = [_typed(row, _schema(source, content["sources"][source])) for row in rows]
    rows = [_typed({**_DEFAULTS, **row}, schema) for row in content["rows"]]
    ids = [event["user_id"] for event in events["shown"]]
    scenario = Scenario(
        events,
        {table: {next(iter(row.values())): row for row in given} for table, given in content.get("tables", {}).items()},
        [({k: v for k, v in row.items() if k not in ("at", "expect")}, row["at"]) for row in rows],
        text_ids=any(isinstance(value, str) for value in ids),
        absent=tuple(content.get("absent", ())),
        keys={table: next(iter(given[0])) for table, given in content.get("tables", {}).items()},
    )
    return Case(
        name, content["promise"], plan, scenario, [row["expect"] for row in rows], content.get("as_of", "known"),
        content.get("batches", ()), content.get("tolerance", 1e-12), content.get("gaps", {}),
    )  # fmt: skip


def _apart(name: str, position: int) -> dict[str, Any]:
    """Return the content of a file with names of features and with ids that no other case has."""
    content = _read(name)
    ids = [column for column, kind in (_COLUMNS | content.get("columns", {})).items() if kind == "id"]

    def apart(row: Mapping[str, Any]) -> dict[str, Any]:
        given = {**_DEFAULTS, **row}
        own = {key: given[key] + _IDS_A_CASE * (position + 1) for key in ids if given.get(key) is not None}
        return {**given, **own}

    events = [apart({**event, "id": f"{position:02}{event['id']}"}) for event in content["events"]]
    rows = [apart({**row, "expect": {f"{name}__{k}": v for k, v in row["expect"].items()}}) for row in content["rows"]]
    features = {f"{name}__{feature}": text for feature, text in content["features"].items()}
    return {**content, "features": features, "events": events, "rows": rows}


def load_refusal(name: str) -> tuple[Callable[[], System], str]:
    """Return what declares the features that a case says are refused, and a part of the sentence that says so."""
    content = _read(name)
    return lambda: declare(content, content["refused"]), content["says"]


def _read(name: str) -> dict[str, Any]:
    return dict(json.loads((_FOLDER / f"{name}.json").read_text()))


def _shown(content: Mapping[str, Any]) -> dict[str, Any]:
    columns = _COLUMNS | content.get("columns", {})
    return {"key": "id", "time": "at", "ingested": "seen_at", "columns": columns, "delay": content.get("delay", "0s")}


def _schema(name: str, told: Mapping[str, Any]) -> TableSchema:
    columns = tuple(_column(column, kind) for column, kind in told["columns"].items())
    return TableSchema(name, told["key"], told["time"], columns, ingested=told.get("ingested"))


def _column(name: str, kind: str) -> Column:
    base, _, choices = kind.partition(":")
    return Column(name, base, choices=tuple(choices.split(",")) if choices else ())  # type: ignore[arg-type]


def _sources(content: Mapping[str, Any]) -> dict[str, Any]:
    told = {"shown": _shown(content), **content.get("sources", {})}
    return {
        name: Source(name, _schema(name, each), each.get("delay", "0s"), each.get("renamed", {}))
        for name, each in told.items()
    }


def _entities(content: Mapping[str, Any]) -> dict[str, Any]:
    entities = {"user": Entity("user", "user_id"), "item": Entity("item", "item_id")}
    for name, told in content.get("entities", {}).items():
        key = told["key"] if isinstance(told["key"], str) else tuple(told["key"])
        attributes = [_column(column, kind) for column, kind in told.get("attributes", {}).items()]
        entities[name] = Entity(name, key, told.get("table"), attributes)
    for name, (base, key) in content.get("roles", {}).items():
        entities[name] = entities[base].role(name, key)
    return entities


def _typed(row: Mapping[str, Any], schema: TableSchema) -> dict[str, Any]:
    times = {column.name for column in schema.columns if column.type == "time"}
    return {
        name: to_micros(datetime.fromisoformat(value)) if name in times and value is not None else value
        for name, value in row.items()
    }


def expect(case: Case, position: int, found: Mapping[str, float], engine: str) -> None:
    """Assert that *found* are the values which the case's file has for a row."""
    for name, value in case.expected[position].items():
        wanted = Value(float("nan") if value is None else value, abs(value or 0) * case.tolerance)
        said = f"{engine}: {case.name}, row {position}: {name} is {found[name]}, not {value}"
        assert wanted.agrees(found[name]), said
