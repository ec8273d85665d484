"""What may be asked of the catalogue, as values: `orita.registry.parsing` reads them from text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["NEWEST", "Comparison", "Condition", "Kind", "Order", "Query", "Word"]

Kind = Literal["metric", "param", "tag", "attribute"]
Comparison = Literal["=", "!=", ">", ">=", "<", "<=", "like", "ilike", "is null", "is not null"]


@dataclass(frozen=True, slots=True)
class Word:
    """What a bare name of a query stands for.

    Attributes:
        kind: where its value is.
        name: its name there.
        type: what it is compared with.
        allowed: its only values, where they are known.
        nullable: whether ``is null`` may be asked of it.
    """

    kind: Kind
    name: str
    type: Literal["text", "number", "moment"] = "text"
    allowed: tuple[str, ...] = ()
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; *value* is a number, a text (also where it is a moment: milliseconds as a number), or None."""

    kind: Kind
    name: str
    comparison: Comparison
    value: float | str | None


@dataclass(frozen=True, slots=True)
class Order:
    """What the results are ordered by; those that have no such value come last."""

    kind: Kind
    name: str
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """All of its conditions hold; none hold always."""

    conditions: tuple[Condition, ...] = ()


NEWEST = Order("attribute", "start_time")
