"""Where a condition holds, on arrays: the NumPy meaning of what `conditions` declares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from orita.features.declaring.conditions import AllOf, Compare, Condition, Not, OneOf

__all__ = ["condition_mask"]

Booleans = npt.NDArray[np.bool_]

_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


def condition_mask(condition: Condition, columns: Mapping[str, npt.NDArray[np.generic]]) -> Booleans:
    """Return where *condition* holds, [N].

    Args:
        condition: what must hold.
        columns: by name, [N]: numbers with NaN where missing, or objects with None.
    """
    match condition:
        case Compare():
            values_N = columns[condition.column].astype(np.float64)
            return np.asarray(_COMPARE[condition.operator](values_N, condition.value), np.bool_)
        case OneOf():
            return np.isin(columns[condition.column], np.array(condition.values, columns[condition.column].dtype))
        case Not():
            return ~condition_mask(condition.part, columns)
        case _:
            masks = [condition_mask(part, columns) for part in condition.parts]
            return np.asarray((np.logical_and if isinstance(condition, AllOf) else np.logical_or).reduce(masks))
