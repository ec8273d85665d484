"""Expressions as plain JSON values and back: how a feature registry keeps declarations that the code no longer has.

    {"is": "Decay", "last": {"is": "Aggregate", …}, "half_life": 259200000000}

Reading makes only the classes that are named here, and runs none of a user's code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from orita.core.errors import OritaError, UserError
from orita.events.schema import Column, TableSchema
from orita.features.declarations import (
    Aggregate,
    Attribute,
    AttributeAge,
    ContextColumn,
    Decay,
    Derived,
    Elapsed,
    Entity,
    EventColumn,
    Expression,
    HourOfDay,
    OneHot,
    Prior,
    Residual,
    Source,
    WeekDay,
    Window,
)
from orita.features.declaring.conditions import AllOf, AnyOf, Compare, Not, OneOf
from orita.features.transforms.every import TRANSFORMS

__all__ = ["read_expression", "written_expression"]

_DECLARED: tuple[type, ...] = (
    Aggregate, AllOf, AnyOf, Attribute, AttributeAge, Column, Compare, ContextColumn, Decay, Derived, Elapsed, Entity,
    EventColumn, HourOfDay, Not, OneHot, OneOf, Prior, Residual, Source, TableSchema, WeekDay, Window,
)  # fmt: skip
_KIND = "is"


def written_expression(expression: Expression) -> dict[str, Any]:
    """Return *expression* as JSON values.

    Raises:
        UserError: it holds a Python function, which is not data.
    """
    written = _written(expression)
    assert isinstance(written, dict)
    return written


def read_expression(content: Mapping[str, Any]) -> Expression:
    """Return the expression that `written_expression` wrote.

    Raises:
        OritaError: it names a class that this version does not have.
    """
    read: Expression = _read(content)
    return read


def _classes() -> dict[str, type]:
    return {kind.__name__: kind for kind in (*_DECLARED, *TRANSFORMS)}


def _written(value: object) -> object:
    if is_dataclass(value) and type(value) in _classes().values():
        content = {field.name: _written(getattr(value, field.name)) for field in fields(value)}
        return {_KIND: type(value).__name__, **content}
    if isinstance(value, Mapping):
        return {_KIND: "mapping", "items": {str(key): _written(item) for key, item in value.items()}}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_written(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise UserError(
        f"a declaration holds {type(value).__name__} {value!r}, which cannot be written down: a feature of a Python "
        "function has no earlier versions to serve. Give a changed one another name."
    )


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    if value.get(_KIND) == "mapping":
        return {key: _read(item) for key, item in value["items"].items()}
    kind = _classes().get(value.get(_KIND, ""))
    if kind is None:
        raise OritaError(f"a declaration is of kind {value.get(_KIND)!r}, which this version of Orita does not know.")
    return kind(**{name: _read(item) for name, item in value.items() if name != _KIND})
