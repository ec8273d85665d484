"""The batch engine: features of every event as of its own time, and the state after the last, in DuckDB.

The boundary is written once, in `_FRAME`: a row sees the events with time < its own, in its own keys. Events of one
instant (a page of a feed) do not see each other.
"""

from __future__ import annotations

from collections.abc import Mapping

from orita.events.engine import literal, quoted
from orita.features.declarations import (
    MICROS_PER_DAY,
    Aggregate,
    Attribute,
    AttributeAge,
    Decay,
    Entity,
    Expression,
    HourOfDay,
    OneHot,
    Residual,
    WeekDay,
)
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema

__all__ = ["Relations", "attribute_sql", "features_sql", "staged_sql", "value_sql"]

Relations = Mapping[str, str]
"""For each table name, SQL that can stand behind FROM; an absent entity table has no attributes yet."""

_FRAME = "ORDER BY t RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE GROUP"
_IDS = ("event_id", "user_id", "item_id", "t", "target")


def features_sql(plan: Plan, relations: Relations, schema: FeatureSchema) -> str:
    """Return a query for one row an event: event_id, user_id, item_id, timestamp, target, then *schema*'s columns."""
    stages = _stages(plan, relations)
    columns = _feature_columns(plan)
    select = ",\n  ".join(f'CAST({columns[c.name]} AS {_SQL_TYPES[c.arrow]}) AS "{c.name}"' for c in schema.columns)
    return (
        f"WITH {stages}\nSELECT event_id, user_id, item_id, make_timestamp(t) AS timestamp, "
        f"CAST(target AS TINYINT) AS target,\n  {select}\nFROM staged"
    )


def staged_sql(plan: Plan, relations: Relations) -> str:
    """Return a query for every event with its attributes and residuals, from which final state is grouped."""
    return f"WITH {_stages(plan, relations, with_features=False)}\nSELECT * FROM staged"


_SQL_TYPES = {"int64": "BIGINT", "int16": "SMALLINT", "int8": "TINYINT", "float32": "FLOAT"}


def _stages(plan: Plan, relations: Relations, *, with_features: bool = True) -> str:
    """Return the CTEs that end in ``staged``: events → residuals' means → residuals → the other aggregates."""
    expected = {residual.expected for residual in plan.residuals}
    first = [a for a in plan.aggregates if a in expected]
    rest = [a for a in plan.aggregates if a not in expected] if with_features else []
    chain = [("events", _events(plan, relations))]
    chain.append(("means", _window_stage("events", first, plan)))
    residuals = ", ".join(_residual(residual, plan) for residual in plan.residuals)
    chain.append(("residuals", f"SELECT *{', ' + residuals if residuals else ''} FROM means"))
    single = [a for a in rest if not (a.attribute and a.attribute.many)]
    chain.append(("days", _days_stage("residuals", single, plan)))
    chain.append(("singles", _window_stage("days", single, plan)))
    latest = "singles"
    for aggregate in (a for a in rest if a.attribute and a.attribute.many):
        name = plan.name(aggregate)
        chain.append((f"many_{name}", _many_stage("residuals", aggregate, plan)))
        fill = f"coalesce(m.{name}, 0)" if aggregate.function in ("count", "sum") else f"m.{name}"
        if aggregate.prior:
            fill = f"coalesce(m.{name}, {aggregate.prior.mean!r})"
        chain.append(
            (
                f"with_{name}",
                f"SELECT l.*, {fill} AS {name} FROM {latest} l LEFT JOIN many_{name} m USING (event_id)",
            )
        )
        latest = f"with_{name}"
    chain.append(("staged", f"SELECT * FROM {latest}"))
    return ",\n".join(f"{name} AS ({body})" for name, body in chain)


def _events(plan: Plan, relations: Relations) -> str:
    """Return events with the attributes of their entities, categories as codes."""
    system = plan.system
    schema = system.source.schema
    values = sorted(_value_columns(plan) | _context_columns(plan))
    parts = [
        f"e.{quoted(schema.key)} AS event_id",
        f"e.{quoted(system.user.key)} AS user_id",
        f"e.{quoted(system.item.key)} AS item_id",
        f"epoch_us(e.{quoted(schema.time or '')}) AS t",
        f"e.{quoted(system.label.column.name)} AS target",
        *(f"e.{quoted(column)} AS {quoted(f'v_{column}')}" for column in values),
    ]
    joins = []
    for alias, entity in (("u", system.user), ("i", system.item)):
        attributes = [a for a in plan.attributes if a.entity == entity]
        if not attributes:
            continue
        parts += [f"{alias}.{quoted(a.name)}" for a in attributes]
        table = relations.get(entity.table or "")
        codes = ", ".join(f"{attribute_sql(a) if table else _absent(a)} AS {quoted(a.name)}" for a in attributes)
        inner = (
            f"SELECT {quoted(entity.key)} AS id, {codes} FROM {table}"
            if table
            else f"SELECT NULL AS id, {codes} WHERE false"
        )
        joins.append(f"LEFT JOIN ({inner}) {alias} ON {alias}.id = e.{quoted(entity.key)}")
    return f"SELECT {', '.join(parts)} FROM {relations[system.source.name]} e {' '.join(joins)}"


def _value_columns(plan: Plan) -> set[str]:
    names = set()
    for aggregate in plan.aggregates:
        if isinstance(aggregate.value, Residual):
            names.add(aggregate.value.column.column.name)
        elif aggregate.value:
            names.add(aggregate.value.column.name)
    return names


def _context_columns(plan: Plan) -> set[str]:
    return {e.column.column.name for e in plan.system.declared.values() if isinstance(e, OneHot)}


def attribute_sql(attribute: Attribute) -> str:
    """Return the value of an attribute as features use it: number, microseconds, code, or list of codes."""
    column = quoted(attribute.column.name)
    if attribute.column.type == "time":
        return f"epoch_us({column})"
    if not attribute.categorical:
        return f"CAST({column} AS DOUBLE)"
    choices = "[" + ", ".join(literal(value) for value in attribute.values) + "]"
    if attribute.many:
        position = f"list_position({choices}, CAST(x AS VARCHAR))"
        return f"list_sort(list_distinct([{position} - 1 FOR x IN {column} IF {position} > 0]))"
    return f"nullif(coalesce(list_position({choices}, CAST({column} AS VARCHAR)), 0), 0) - 1"


def _absent(attribute: Attribute) -> str:
    kind = "INTEGER[]" if attribute.many else "BIGINT" if attribute.column.type == "time" else "DOUBLE"
    return f"CAST(NULL AS {'INTEGER' if attribute.categorical and not attribute.many else kind})"


def _partition(aggregate: Aggregate, plan: Plan) -> list[str]:
    columns = {plan.system.user: "user_id", plan.system.item: "item_id"}
    return [columns[key] if isinstance(key, Entity) else quoted(key.name) for key in aggregate.keys]


def _window(aggregate: Aggregate, plan: Plan) -> str:
    keys = ", ".join(_partition(aggregate, plan))
    return f"({'PARTITION BY ' + keys + ' ' if keys else ''}{_FRAME})"


def value_sql(aggregate: Aggregate, plan: Plan) -> str:
    """Return the column of a staged event that an aggregate reads."""
    if isinstance(aggregate.value, Residual):
        return plan.residual(aggregate.value)
    assert aggregate.value is not None
    return quoted(f"v_{aggregate.value.column.name}")


def _over(aggregate: Aggregate, plan: Plan, window: str) -> str:
    """Return the aggregate over *window*, before what an unknown attribute does to it."""
    match aggregate.function:
        case "count":
            return f"count(*) OVER {window}"
        case "last_time":
            return f"max(t) OVER {window}"
        case "first_time":
            return f"min(t) OVER {window}"
        case "distinct_days":
            return f"coalesce(sum(first_of_day_{plan.name(aggregate)}) OVER {window}, 0)"
        case "sum":
            return f"coalesce(sum(CAST({value_sql(aggregate, plan)} AS DOUBLE)) OVER {window}, 0)"
        case "mean":
            value = f"CAST({value_sql(aggregate, plan)} AS DOUBLE)"
            return _mean(f"sum({value}) OVER {window}", f"count({value}) OVER {window}", aggregate)


def _mean(total: str, count: str, aggregate: Aggregate) -> str:
    if aggregate.prior is None:
        return f"({total}) / nullif({count}, 0)"
    prior = aggregate.prior
    return f"(coalesce({total}, 0) + {prior.mean * prior.weight!r}) / ({count} + {prior.weight!r})"


def _window_stage(below: str, aggregates: list[Aggregate], plan: Plan) -> str:
    windows: dict[str, str] = {}
    columns = []
    for aggregate in aggregates:
        name = windows.setdefault(_window(aggregate, plan), f"w{len(windows)}")
        column = _over(aggregate, plan, name)
        if aggregate.attribute:
            unknown = {"count": "0", "sum": "0", "distinct_days": "0"}.get(aggregate.function, "NULL")
            if aggregate.prior:
                unknown = repr(aggregate.prior.mean)
            column = f"CASE WHEN {quoted(aggregate.attribute.name)} IS NULL THEN {unknown} ELSE {column} END"
        columns.append(f"{column} AS {plan.name(aggregate)}")
    named = ", ".join(f"{name} AS {window}" for window, name in windows.items())
    return f"SELECT *{''.join(', ' + c for c in columns)} FROM {below}{' WINDOW ' + named if named else ''}"


def _days_stage(below: str, aggregates: list[Aggregate], plan: Plan) -> str:
    flags = []
    for aggregate in aggregates:
        if aggregate.function == "distinct_days":
            keys = ", ".join([*_partition(aggregate, plan), f"t // {MICROS_PER_DAY}"])
            first = f"row_number() OVER (PARTITION BY {keys} ORDER BY t) = 1"
            flags.append(f"CAST({first} AS TINYINT) AS first_of_day_{plan.name(aggregate)}")
    return f"SELECT *{''.join(', ' + flag for flag in flags)} FROM {below}"


def _many_stage(below: str, aggregate: Aggregate, plan: Plan) -> str:
    """Return one value an event over all of its attribute's values: an earlier event counts once for each it shares."""
    attribute = aggregate.attribute
    assert attribute is not None
    keys = [key if key != quoted(attribute.name) else "g" for key in _partition(aggregate, plan)]
    value = "1" if aggregate.function == "count" else f"CAST({value_sql(aggregate, plan)} AS DOUBLE)"
    others = "".join(f", {key}" for key in keys if key != "g")
    inner = f"SELECT event_id, t{others}, {value} AS v, unnest({quoted(attribute.name)}) AS g FROM {below}"
    window = f"(PARTITION BY {', '.join(keys)} {_FRAME})"
    sums = f"SELECT event_id, count(v) OVER w AS n, sum(v) OVER w AS s FROM ({inner}) WINDOW w AS {window}"
    total = "sum(s)" if aggregate.function == "sum" else "CAST(sum(n) AS BIGINT)"
    if aggregate.function == "mean":
        total = _mean("sum(s)", "sum(n)", aggregate)
    return f"SELECT event_id, {total} AS {plan.name(aggregate)} FROM ({sums}) GROUP BY event_id"


def _residual(residual: Residual, plan: Plan) -> str:
    column = quoted(f"v_{residual.column.column.name}")
    return f"{column} - {plan.name(residual.expected)} AS {plan.residual(residual)}"


def _feature_columns(plan: Plan) -> dict[str, str]:
    """Return the SQL of every feature column by name."""
    return {
        name: sql
        for feature, expression in plan.system.declared.items()
        for name, sql in _expression(feature, expression, plan).items()
    }


def _expression(feature: str, expression: Expression, plan: Plan) -> dict[str, str]:
    match expression:
        case Aggregate():
            return {feature: plan.name(expression)}
        case Decay():
            last = plan.name(expression.last)
            return {feature: f"coalesce(pow(0.5, (t - {last}) / {float(expression.half_life)!r}), 0)"}
        case AttributeAge():
            since = quoted(expression.attribute.name)
            if expression.otherwise:
                since = f"coalesce({since}, {plan.name(expression.otherwise)})"
            # Not greatest(): DuckDB's ignores nulls, and an unknown age is not 0.
            return {feature: f"(CASE WHEN {since} > t THEN 0 ELSE t - {since} END) / {float(MICROS_PER_DAY)!r}"}
        case HourOfDay():
            return {feature: "(t // 3600000000) % 24"}
        case WeekDay():
            return {feature: f"(t // {MICROS_PER_DAY} + 3) % 7"}
        case OneHot():
            column = quoted(f"v_{expression.column.column.name}")
            return {
                f"{feature}_{v}": f"coalesce(CAST({column} AS VARCHAR) = {literal(v)}, false)"
                for v in expression.values
            }
        case Attribute() if expression.many:
            codes = f"coalesce({quoted(expression.name)}, [])"
            return {f"{feature}_{v}": f"list_contains({codes}, {i})" for i, v in enumerate(expression.values)}
        case Attribute():
            return {feature: quoted(expression.name)}
