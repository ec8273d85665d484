"""Values of a row, and the methods that make more of them, here where spent and visits are aggregates:

    spent.log()
    (spent / visits).clip(0, 100)
    user["country"].cross(item["topic"], buckets=1000)
    item["topic"].one_hot("news", "sport")      # a flag each: feature_news, feature_sport

What cannot be made of a value is refused where it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, cast

from orita.core.errors import UserError

if TYPE_CHECKING:
    from orita.features.declarations import Expression
    from orita.features.declaring.kinds import Taken
    from orita.features.transforms.arithmetic import Operator
    from orita.features.transforms.contract import Transform

__all__ = ["Derivable", "Derived", "OneHot", "derived"]


class Derivable:
    """A value of a row, of which more can be made; what is missing stays missing unless a method says otherwise.

    Each transform is imported where it is made, so that ``import orita`` does not pay for those that nobody declares.
    """

    __slots__ = ()

    def __add__(self, other: Derivable | float) -> Derived:
        return _arithmetic("+", self, other)

    def __radd__(self, other: float) -> Derived:
        return _arithmetic("+", other, self)

    def __sub__(self, other: Derivable | float) -> Derived:
        return _arithmetic("-", self, other)

    def __rsub__(self, other: float) -> Derived:
        return _arithmetic("-", other, self)

    def __mul__(self, other: Derivable | float) -> Derived:
        return _arithmetic("*", self, other)

    def __rmul__(self, other: float) -> Derived:
        return _arithmetic("*", other, self)

    def __truediv__(self, other: Derivable | float) -> Derived:
        return _arithmetic("/", self, other)

    def __rtruediv__(self, other: float) -> Derived:
        return _arithmetic("/", other, self)

    def log(self, floor: float | None = None) -> Derived:
        """Return ln(1 + x), missing where x ≤ −1; with a *floor* above 0, ln(max(x, floor))."""
        from orita.features.transforms.logarithm import Log

        return derived(Log(_bound(floor, "log()")), self, what="log()")

    def bucket(self, *edges: float) -> Derived:
        """Return how many of the rising *edges* the value has reached, a category: 0 below the first."""
        from orita.features.transforms.bucket import Bucket

        return derived(Bucket(tuple(_number(edge, "bucket()") for edge in edges)), self, what="bucket()")

    def clip(self, low: float | None = None, high: float | None = None) -> Derived:
        """Return the value, held between *low* and *high*; None: no such bound."""
        from orita.features.transforms.clip import Clip

        return derived(Clip(_bound(low, "clip()"), _bound(high, "clip()")), self, what="clip()")

    def min_max(self, low: float, high: float) -> Derived:
        """Return (x − low) ÷ (high − low): 0 … 1 for values between them; `clip` first to hold others there too."""
        from orita.features.transforms.scale import min_max

        return derived(min_max(_number(low, "min_max()"), _number(high, "min_max()")), self, what="min_max()")

    def standardise(self, *, mean: float, std: float) -> Derived:
        """Return (x − mean) ÷ std, by numbers that are declared; those of training rows are a model's to learn."""
        from orita.features.transforms.scale import standardise

        what = "standardise()"
        return derived(standardise(_number(mean, what), _number(std, what)), self, what=what)

    def impute(self, constant: float) -> Derived:
        """Return the value, and *constant* where it is missing; `is_missing` tells the two apart."""
        from orita.features.transforms.impute import Impute

        return derived(Impute(_number(constant, "impute()")), self, what="impute()")

    def is_missing(self) -> Derived:
        """Return 1 where the value is missing, else 0."""
        from orita.features.transforms.impute import Missing

        return derived(Missing(), self, takes="any", what="is_missing()")

    def equals(self, value: str | int) -> Derived:
        """Return 1 where a category (or whole number) is *value*, else 0, also where it is missing."""
        from orita.features.declaring.kinds import code_of
        from orita.features.transforms.equals import Equals

        return derived(Equals(code_of(self, value, "equals()")), self, takes="whole", what="equals()")

    def one_hot(self, *values: str | int) -> OneHot:
        """Return a flag for each of *values*, named after it; all are 0 for any other value, and where it is missing.

        Raises:
            UserError: no values, one that is repeated, or one that it cannot have.
        """
        from orita.features.declaring.kinds import code_of

        if not values or len(set(values)) != len(values):
            raise UserError(f"one_hot({', '.join(map(repr, values))}) needs one value or more, each once.")
        for value in values:
            code_of(self, value, "one_hot()", text=True)
        return OneHot(cast("Expression", self), values)

    def cross(self, *others: Derivable, buckets: int) -> Derived:
        """Return the combination of categories, flags or whole numbers as one category, hashed into *buckets*."""
        if not others:
            raise UserError("cross() combines a value with others: name one at least.")
        from orita.features.transforms.cross import Cross

        return derived(Cross(buckets), self, *others, takes="whole", what="cross()")

    def hour(self) -> Derived:
        """Return the hour of a time in UTC, 0 … 23, a category."""
        from orita.features.transforms.calendar import Calendar

        return derived(Calendar("hour"), self, takes="time", what="hour()")

    def weekday(self) -> Derived:
        """Return the weekday of a time in UTC, Monday = 0, a category."""
        from orita.features.transforms.calendar import Calendar

        return derived(Calendar("weekday"), self, takes="time", what="weekday()")


@dataclass(frozen=True, slots=True)
class Derived(Derivable):
    """What a transform makes of other values."""

    transform: Transform
    inputs: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class OneHot:
    """A flag for each of some values of a category, or of a text that a request brings."""

    of: Expression
    values: tuple[str | int, ...]

    @property
    def flags(self) -> dict[str, Derived]:
        """The flags by value, where *of* is a category with declared values or a whole number."""
        assert isinstance(self.of, Derivable)
        return {str(value): self.of.equals(value) for value in self.values}


def derived(transform: Transform, *inputs: Derivable, takes: Taken = "number", what: str) -> Derived:
    """Return what *transform* makes of *inputs*.

    Args:
        transform: the function.
        inputs: its arguments, in order.
        takes: what each of them has to be.
        what: how the transform was written, for the sentence of an error.

    Raises:
        UserError: an input is something else.
    """
    from orita.features.declaring.kinds import require_kind

    expressions = tuple(require_kind(each, takes, what) for each in inputs)
    return Derived(transform, expressions)


def _arithmetic(operator: Operator, left: Derivable | float, right: Derivable | float) -> Derived:
    from orita.features.transforms.arithmetic import Arithmetic

    values = [side for side in (left, right) if isinstance(side, Derivable)]
    made = Arithmetic(operator, _constant(left, operator), _constant(right, operator))
    return derived(made, *values, what=operator)


def _constant(side: Derivable | float, operator: Operator) -> float | None:
    if isinstance(side, Derivable):
        return None
    if not isfinite(constant := _number(side, operator)):
        raise UserError(f"{operator} takes values of a row and finite numbers, not {side!r}.")
    return constant


def _bound(value: float | None, what: str) -> float | None:
    return None if value is None else _number(value, what)


def _number(value: float, what: str) -> float:
    """Return a constant as a float, so that 1 and 1.0 mean the same."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(f"{what} takes values of a row and numbers, not {type(value).__name__} {value!r}.")
    return float(value)
