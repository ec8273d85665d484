"""What people say of a feature beside its meaning: what it is, whose it is, how fresh it must be, what it may cost."""

from __future__ import annotations

from dataclasses import dataclass

from orita.core.errors import UserError
from orita.core.sizes import size_bytes
from orita.features.declarations import Expression, Several
from orita.features.declaring.windows import duration_micros

__all__ = ["Feature", "Notes", "feature"]


@dataclass(frozen=True, slots=True)
class Notes:
    """What is said of a feature; none of it changes its values.

    Attributes:
        description: one sentence.
        owner: a person or team.
        fresh: microseconds after which an event must be seen online; 0: whenever it is published.
        most_bytes: of state a key; 0: any number.
    """

    description: str = ""
    owner: str = ""
    fresh: int = 0
    most_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Feature:
    """An expression and what is said of it."""

    expression: Expression | Several
    notes: Notes


def feature(
    expression: Expression | Several,
    description: str = "",
    *,
    owner: str = "",
    fresh: str | None = None,
    cost: str | None = None,
) -> Feature:
    """Return *expression* with notes.

    Args:
        expression: what the feature is.
        description: one sentence for people.
        owner: a person or team.
        fresh: how soon an event must be seen online, such as ``1s``; what is not needed fresh is left to publishing.
        cost: the most bytes of state a key may take, such as ``4KB``.
    """
    if isinstance(expression, Feature):
        raise UserError("feature() takes an expression, not a feature that was made with feature() already.")
    soon = 0 if fresh is None else duration_micros(fresh, "fresh")
    return Feature(expression, Notes(description, owner, soon, 0 if cost is None else size_bytes(cost, "cost")))
