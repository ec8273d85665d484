"""Equations between columns, such as ``total = price * quantity + fee``, over whole columns at once.

Legend: N rows; NaN means missing.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["Equation"]

_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
}
_LEAST = 0.005


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides that are equal in each row; of columns, numbers, ``+ - * /`` and brackets."""

    text: str
    left: ast.expr
    right: ast.expr

    @classmethod
    def parsed(cls, text: str) -> Equation:
        """Return the equation that *text* tells.

        Raises:
            UserError: it is none.
        """
        left, equals, right = text.partition("=")
        if not equals:
            raise UserError(f"the total {text!r} has no '=': write it as total = price * quantity.")
        return cls(text, _expression(left, text), _expression(right, text))

    @property
    def names(self) -> frozenset[str]:
        """The columns that it is about."""
        nodes = (*ast.walk(self.left), *ast.walk(self.right))
        return frozenset(node.id for node in nodes if isinstance(node, ast.Name))

    def broken(self, columns: Mapping[str, npt.NDArray[np.float64]], tolerance: float) -> npt.NDArray[np.bool_]:
        """Return which rows have all values and sides that differ by more than *tolerance* of the larger one."""
        with np.errstate(all="ignore"):
            left_N, right_N = (np.asarray(_value(side, columns), dtype=np.float64) for side in (self.left, self.right))
            size_N = np.maximum(np.abs(left_N), np.abs(right_N))
            allowed_N = np.maximum(tolerance * np.where(np.isinf(size_N), 0, size_N), _LEAST)
            return np.asarray(np.abs(left_N - right_N) > allowed_N)


def _expression(side: str, text: str) -> ast.expr:
    try:
        parsed = ast.parse(side.strip(), mode="eval").body
    except SyntaxError:
        raise UserError(f"the total {text!r} cannot be read: use columns, numbers, + - * / and brackets.") from None
    for node in ast.walk(parsed):
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            continue
        if not isinstance(node, (ast.Name, ast.BinOp, ast.UnaryOp, ast.USub, ast.Load, *_OPERATIONS)):
            raise UserError(f"the total {text!r} has more than columns, numbers, + - * / and brackets.")
    return parsed


def _value(node: ast.expr, columns: Mapping[str, npt.NDArray[np.float64]]) -> Any:
    match node:
        case ast.Name():
            return columns[node.id]
        case ast.Constant():
            return node.value
        case ast.UnaryOp():
            return -_value(node.operand, columns)
        case ast.BinOp():
            return _OPERATIONS[type(node.op)](_value(node.left, columns), _value(node.right, columns))
    raise AssertionError(ast.dump(node))
