"""A query in the words of MLflow's own search: for a server of it, where there is no SQL."""

from __future__ import annotations

from orita.registry.query import Condition, Order, Query

__all__ = ["mlflow_filter", "mlflow_order"]

_PLACES = {"metric": "metrics", "param": "params", "tag": "tags", "attribute": "attributes"}


def mlflow_filter(query: Query) -> str:
    """Return *query* as MLflow's ``filter_string``.

    Its grammar has no escapes. None are needed: a text of `Query` has no backslash and one kind of quotes at most.
    """
    return " and ".join(map(_condition, query.conditions))


def mlflow_order(order: Order) -> list[str]:
    """Return *order* as MLflow's ``order_by``."""
    return [f"{_place(order)} {'DESC' if order.descending else 'ASC'}"]


def _condition(condition: Condition) -> str:
    comparison = condition.comparison.upper()
    match condition.value:
        case None:
            return f"{_place(condition)} {comparison}"
        case str() as text:
            quote = '"' if "'" in text else "'"
            return f"{_place(condition)} {comparison} {quote}{text}{quote}"
        case number if condition.kind == "attribute":
            return f"{_place(condition)} {comparison} {int(number)}"
        case number:
            return f"{_place(condition)} {comparison} {repr(number).replace('e+', 'e')}"  # MLflow reads no plus


def _place(named: Condition | Order) -> str:
    return f"{_PLACES[named.kind]}.`{named.name}`"
