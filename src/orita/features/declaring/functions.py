"""Features that a Python function makes of others: tracked, so that a changed function is another feature.

    @track_lineage
    def pace(recent, before):
        return recent / np.maximum(before, 1)

    shop.features(pace=pace(spent_1d, spent_7d))

Every engine that runs Python calls the function; one that only runs SQL refuses it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast, get_args, overload

from orita.core.errors import UserError
from orita.features.declaring.fingerprints import Wrapper, fingerprint
from orita.features.schema import Kind
from orita.features.transforms import Derivable, Derived, derived

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["Call", "Tracked", "track_lineage"]


@dataclass(frozen=True, slots=True)
class Call:
    """A transform that calls a function; told apart by the function's version, not by its name.

    Attributes:
        version: `fingerprint` of the function, when the feature was declared.
        options: its keyword arguments.
    """

    name: str = field(compare=False, repr=False)
    function: FunctionType = field(compare=False, repr=False)
    version: str
    kind: Kind = "number"
    cardinality: int = 0
    options: tuple[tuple[str, float | str | None], ...] = ()

    def apply(self, *values: Floats) -> Floats:
        """Return what the function returns, [N] or [1]; it sees arrays of one length that it cannot write to.

        Raises:
            UserError: that is no array of numbers, one a row.
        """
        import numpy as np

        rows = np.broadcast_shapes(*(value.shape for value in values))
        result = np.asarray(self.function(*(np.broadcast_to(v, rows) for v in values), **dict(self.options)))
        if result.shape not in (rows, (), (1,)) or result.dtype.kind not in "bifu":
            raise UserError(
                f"function {self.name!r} returned {result.dtype} of shape {list(result.shape)} for {list(rows)} rows: "
                "it has to return a number a row, NaN where it is missing."
            )
        return np.atleast_1d(result.astype(np.float64))

    def sql(self, *values: str) -> str:
        """Refuse: a Python function has no SQL.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"function {self.name!r} is Python, which an engine of SQL alone cannot run: write the feature with "
            "transforms, or compute it with an engine that runs Python."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Tracked(Wrapper):
    """A function of arrays that makes a feature when it is called with expressions."""

    name: str
    function: FunctionType
    kind: Kind
    cardinality: int

    @overload
    def __call__(self, *inputs: Derivable, **options: float | str | None) -> Derived: ...
    @overload
    def __call__(self, *inputs: Floats, **options: float | str | None) -> Floats: ...
    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Return the feature, or for arrays what the function returns.

        Args:
            inputs: expressions, or arrays [N].
            options: numbers and texts, for keyword arguments.

        Raises:
            UserError: the function does not take so many or such inputs.
        """
        if not any(isinstance(each, Derivable) for each in inputs):
            return self.function(*inputs, **options)
        self._check(inputs, options)
        call = Call(
            self.name,
            self.function,
            fingerprint(self.function),
            self.kind,
            self.cardinality,
            tuple(sorted(options.items())),
        )
        return derived(call, *inputs, takes="any", what=f"{self.name}()")

    def _check(self, inputs: tuple[object, ...], options: dict[str, object]) -> None:
        signature = inspect.signature(self.function)
        try:
            signature.bind(*inputs, **options)
        except TypeError as error:
            bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
            shown = signature.replace(parameters=bare, return_annotation=signature.empty)
            raise UserError(f"{self.name}{shown} cannot be called so: {error}.") from None
        for name, value in options.items():
            if isinstance(value, Derivable):
                raise UserError(f"{self.name}({name}=…) is an expression: give expressions by position, not by name.")
            if not isinstance(value, (int, float, str, type(None))) or (
                isinstance(value, float) and not isfinite(value)
            ):
                raise UserError(f"{self.name}({name}={value!r}): allowed are finite numbers and texts.")


@overload
def track_lineage(function: Callable[..., Any], /) -> Tracked: ...
@overload
def track_lineage(*, kind: Kind = "number", cardinality: int = 0) -> Callable[[Callable[..., Any]], Tracked]: ...
def track_lineage(
    function: Callable[..., Any] | None = None, /, *, kind: Kind = "number", cardinality: int = 0
) -> Tracked | Callable[[Callable[..., Any]], Tracked]:
    """Make a function of arrays one that makes a feature of expressions, whose version follows from its source.

    Args:
        function: takes float64 arrays [N], NaN where a value is missing, a category as its number, a time as
            microseconds; returns a number a row. Each row on its own: rows may come one by one or together.
        kind: what comes out, see `orita.features.schema.FeatureColumn`.
        cardinality: number of values of a category, else 0.

    Raises:
        UserError: it is not a plain function with a name, or the cardinality does not fit the kind.

    >>> @track_lineage
    ... def double(x):
    ...     return 2 * x
    >>> double(3.5)
    7.0
    """
    if function is None:
        return lambda given: _tracked(given, kind, cardinality)
    return _tracked(function, kind, cardinality)


def _tracked(function: Callable[..., Any], kind: Kind, cardinality: int) -> Tracked:
    plain = isinstance(function, FunctionType) and function.__name__ != "<lambda>"
    if not plain or inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise UserError(f"track_lineage takes a function that was written with def, not {function!r}.")
    if kind not in get_args(Kind) or (kind == "category") != (cardinality > 1):
        raise UserError(
            f"track_lineage(kind={kind!r}, cardinality={cardinality}): a kind is one of {', '.join(get_args(Kind))}; "
            "a category has a cardinality of 2 or more, and nothing else has one."
        )
    kept = cast("FunctionType", function)
    tracked = Tracked(kept.__name__, kept, kind, cardinality)
    # Under its name there is `tracked` from now on: who looks the function up, such as pickle, finds it there.
    kept.__qualname__ += ".function"
    return tracked
