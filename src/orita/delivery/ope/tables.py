"""Off-policy evaluation of a table: a prediction log that was joined with what happened, or any other.

Legend: N rows of the table (decisions, or positions of slates), S slates, K positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.errors import UserError, closest
from orita.delivery.ope.decisions import LoggedDecisions
from orita.delivery.ope.diagnostics import Limits
from orita.delivery.ope.evaluation import PolicyEvaluation, evaluate_decisions, evaluate_slates
from orita.delivery.ope.slates import LoggedSlates

__all__ = ["Column", "check_once", "decisions_of", "evaluate", "slates_of"]

Floats = npt.NDArray[np.float64]
Column = str | Callable[[pa.Table], npt.ArrayLike]
"""A column's name, or what makes N values of the table: a policy that gives its probabilities of the shown items."""


def evaluate(
    table: pa.Table,
    *,
    reward: Column = "reward",
    propensity: Column = "propensity",
    target: Column = "target",
    predicted: Column | None = None,
    expected: Column | None = None,
    unit: str | None = None,
    slate: str | None = None,
    position: str = "position",
    confidence: float = 0.95,
    limits: Limits | None = None,
) -> PolicyEvaluation:
    """Return every estimate of the target policy that a table allows, with diagnostics.

    Without *slate* each row is a decision by itself. With it (``slate="request_id"`` of a prediction log) the rows that
    share its value are one answer, and propensities are those of an item given the items above it.

    Args:
        table: a row each item shown.
        reward: what it earned, such as a click.
        propensity: probability with which it was drawn, above 0.
        target: probability with which the target policy would have drawn it.
        predicted: a model's reward of the shown item; of slates, that of this and all positions below.
        expected: mean of that over what the target policy draws.
        unit: rows that share its value depend on each other: a user; by default each decision or slate by itself.
        slate: rows that share its value are one slate.
        position: order within a slate, any numbers that rise from the top.
        confidence: of intervals.
        limits: what is enough.

    Raises:
        UserError: there are no rows; a column is not there, is there twice, holds nulls or is not numbers; a slate has
            two rows of one position, or is of two units; as `LoggedDecisions.of` and the estimators.
    """
    if slate is None:
        logged = decisions_of(table, reward, propensity, target, predicted=predicted, expected=expected, unit=unit)
        return evaluate_decisions(logged, confidence=confidence, limits=limits)
    slates = slates_of(
        table,
        reward,
        propensity,
        target,
        slate=slate,
        position=position,
        predicted=predicted,
        expected=expected,
        unit=unit,
    )
    return evaluate_slates(slates, confidence=confidence, limits=limits)


def decisions_of(
    table: pa.Table,
    reward: Column = "reward",
    propensity: Column = "propensity",
    target: Column = "target",
    *,
    predicted: Column | None = None,
    expected: Column | None = None,
    unit: str | None = None,
) -> LoggedDecisions:
    """Return the rows of a table as single decisions; arguments and errors as `evaluate`."""
    return LoggedDecisions.of(
        _numbers(table, reward),
        _numbers(table, propensity),
        _numbers(table, target),
        predicted_N=None if predicted is None else _numbers(table, predicted),
        expected_N=None if expected is None else _numbers(table, expected),
        unit_N=None if unit is None else _codes(table, unit),
    )


def slates_of(
    table: pa.Table,
    reward: Column = "reward",
    propensity: Column = "propensity",
    target: Column = "target",
    *,
    slate: str,
    position: str = "position",
    predicted: Column | None = None,
    expected: Column | None = None,
    unit: str | None = None,
) -> LoggedSlates:
    """Return the rows of a table as slates, shorter ones filled up; arguments and errors as `evaluate`."""
    slate_N, position_N = _codes(table, slate), _numbers(table, position)
    order_N = np.lexsort((position_N, slate_N))
    sorted_N = slate_N[order_N]
    first_N = np.r_[True, sorted_N[1:] != sorted_N[:-1]]
    if (twice := ~first_N & (np.diff(position_N[order_N], prepend=np.nan) == 0)).any():
        row = order_N[np.flatnonzero(twice)[0]]
        raise UserError(
            f"{slate} {table[slate][int(row)].as_py()!r} has {position} {position_N[row]:g} twice: "
            "give a row a position."
        )
    starts_S = np.flatnonzero(first_N)
    place_N = np.arange(len(order_N)) - starts_S[sorted_N]
    shape = (len(starts_S), int(place_N.max(initial=-1)) + 1)

    def laid(column: Column | None, filling: float) -> Floats | None:
        if column is None:
            return None
        values_SK = np.full(shape, filling)
        values_SK[sorted_N, place_N] = _numbers(table, column)[order_N]
        return values_SK

    units = None
    if unit is not None:
        unit_N = _codes(table, unit)[order_N]
        units = unit_N[starts_S]
        if (mixed := units[sorted_N] != unit_N).any():
            row = order_N[np.flatnonzero(mixed)[0]]
            raise UserError(
                f"{slate} {table[slate][int(row)].as_py()!r} has rows of two values of {unit}: a slate is of one unit."
            )
    reward_SK, propensity_SK, target_SK = laid(reward, 0.0), laid(propensity, 1.0), laid(target, 1.0)
    assert reward_SK is not None and propensity_SK is not None and target_SK is not None
    return LoggedSlates.of(
        reward_SK,
        propensity_SK,
        target_SK,
        predicted_NK=laid(predicted, 0.0),
        expected_NK=laid(expected, 0.0),
        unit_N=units,
    )


def _numbers(table: pa.Table, column: Column) -> Floats:
    if callable(column):
        made_N = np.asarray(column(table), np.float64)
        if made_N.shape != (len(table),):
            raise UserError(
                f"the policy gave values of shape {made_N.shape}, one of each of {len(table):,} rows is needed."
            )
        return made_N
    values = _whole(table, column)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_boolean(values.type)):
        raise UserError(f"column {column!r} is {values.type}, numbers are needed: cast it first.")
    numbers_N: Floats = values.cast(pa.float64()).to_numpy()
    return numbers_N


def _codes(table: pa.Table, column: str) -> npt.NDArray[np.int64]:
    codes: Any = _whole(table, column).combine_chunks().dictionary_encode()
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    codes_N: npt.NDArray[np.int64] = codes.indices.to_numpy().astype(np.int64)
    return codes_N


def check_once(column: str, names: Sequence[str]) -> None:
    """Refuse a column of which a table has several: which one is meant nobody can tell.

    Raises:
        UserError: *column* is in *names* more than once.
    """
    if (times := list(names).count(column)) > 1:
        raise UserError(f"column {column!r} is {times} times in the table: rename or leave out all but one.")


def _whole(table: pa.Table, column: str) -> pa.ChunkedArray:
    if column not in table.column_names:
        raise UserError(f"column {column!r} is not in the table. {closest(column, table.column_names)}")
    check_once(column, table.column_names)
    if not len(table):
        raise UserError("the table has no rows: give logged decisions, a row each.")
    values = table[column]
    if missing := values.null_count:
        raise UserError(
            f"column {column!r} has {missing:,} nulls in {len(table):,} rows: leave out the rows that were not shown, "
            "or whose outcome is not known yet, with table.filter(pc.is_valid(...))."
        )
    return values
