"""What else a model may learn of an event beside its label: flags, and numbers of 0 or more."""

from __future__ import annotations

from orita.core.errors import UserError
from orita.features.declaring.names import check_declared
from orita.features.declaring.sources import EventColumn

__all__ = ["check_outcome"]


def check_outcome(name: str, told: object, label: EventColumn) -> None:
    """Refuse the outcome *name*, declared as *told*, beside *label*.

    Raises:
        UserError: the name is none or the label's, or it is no flag and no number of 0 or more of the label's source.
    """
    check_declared("outcome", name)
    if not isinstance(told, EventColumn) or told.source != label.source:
        given = f"a column of {told.source.name!r}" if isinstance(told, EventColumn) else ascii(told)[:80]
        raise UserError(f"outcome {name!r} is {given}: give a column of {label.source.name!r}, as the label is one.")
    if name == label.column.name or told.column == label.column:
        raise UserError(
            f"outcome {name!r} is the label, or is called as it: the label is learned anyway; leave it out."
        )
    column = told.column
    counts = column.type in ("int", "float") and column.minimum is not None and column.minimum >= 0
    if column.type != "flag" and not counts:
        raise UserError(
            f"outcome {name!r} is of type {column.type!r} with the minimum {column.minimum}: give a flag (0 or 1), or "
            "a number whose column is declared with a minimum of 0 or more."
        )
