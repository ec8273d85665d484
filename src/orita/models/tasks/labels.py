"""Are labels and rows what the task says? Checked in sentences, before they are used.

Legend: N rows, F features, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.tasks.config import Task

__all__ = ["check_classes", "check_labels", "check_targets", "check_values", "check_width"]


def check_classes(task: Task, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return *classes*, if *task* can have them.

    Raises:
        UserError: a name is given twice, or their number is not that of the task.
    """
    allowed = {"regression": (0, 0), "binary": (2, 2)}.get(task, (2, 1_000))
    if not allowed[0] <= len(classes) <= allowed[1]:
        raise UserError(
            f"classes has {len(classes)} names, the task {task} takes {allowed[0]} … {allowed[1]}; "
            "name each class once."
        )
    if len(set(classes)) < len(classes):
        raise UserError(f"classes has a name twice in {list(classes)}; name each class once.")
    return classes


def check_labels(y_N: npt.NDArray[Any], classes: tuple[str, ...], part: str, *, every: bool) -> None:
    """Check that *y_N* are positions in *classes*.

    Args:
        y_N: labels.
        classes: names.
        part: what the rows are called in the sentence, such as ``training``.
        every: whether each class must occur.

    Raises:
        UserError: they are not.
    """
    if y_N.dtype.kind not in "iu" or y_N.ndim != 1:
        raise UserError(
            f"the {part} labels are {y_N.dtype} with {y_N.ndim} dimensions, allowed are whole numbers in one: "
            f"positions in {list(classes)}."
        )
    wrong_N = (y_N < 0) | (y_N >= len(classes))
    if wrong_N.any():
        raise UserError(
            f"the {part} labels have the value {int(y_N[wrong_N][0])}, allowed are 0 … {len(classes) - 1}: "
            f"positions in {list(classes)}."
        )
    missing = [name for name, rows in zip(classes, np.bincount(y_N, minlength=len(classes)), strict=True) if rows == 0]
    if every and missing:
        raise UserError(f"the {part} rows have none of {missing}; give rows of every class, or leave the class out.")


def check_values(y_N: npt.NDArray[Any], part: str) -> None:
    """Check that *y_N* are finite numbers.

    Raises:
        UserError: they are not.
    """
    if y_N.dtype.kind not in "iuf" or y_N.ndim != 1 or not np.isfinite(y_N).all():
        raise UserError(
            f"the {part} values are {y_N.dtype} with {y_N.ndim} dimensions or not all finite, allowed are finite "
            "numbers in one dimension; drop the rows without a value."
        )


def check_targets(y_N: npt.NDArray[Any], classes: tuple[str, ...], part: str, *, every: bool) -> None:
    """Check that *y_N* are what a table of these classes is asked for: `check_labels`, or without any `check_values`.

    Raises:
        UserError: they are not.
    """
    if classes:
        check_labels(y_N, classes, part, every=every)
    else:
        check_values(y_N, part)


def check_width(x_NF: npt.NDArray[Any], schema: FeatureSchema) -> None:
    """Check that *x_NF* has the columns of *schema*.

    Raises:
        UserError: it has not.
    """
    if x_NF.ndim != 2 or x_NF.shape[1] != len(schema):
        raise UserError(f"x_NF has the shape {x_NF.shape}, expected {len(schema)} columns: {', '.join(schema.names)}.")
