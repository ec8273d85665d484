"""The loader that ``MLmodel`` names: MLflow's ``pyfunc.load_model`` scores as serving does.

Legend: N rows, F features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orita.core.errors import UserError
from orita.core.extras import require
from orita.models.package import Package, load_package
from orita.registry.mlmodel import SCORE, columns_of_ids

__all__ = ["PackageModel"]


class PackageModel:
    """A package behind MLflow's contract of models: a table in, a table of scores out."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._ids = columns_of_ids(package.folder)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Return a table with the column ``score``, in [0, 1], a row for each row of *model_input*.

        Args:
            model_input: a pandas table with the features by name, absent ones are missing values, and the columns
                ``user`` and ``item`` where the model knows ids.
            params: MLflow's; there are none.

        Raises:
            UserError: a column of ids is not there.
        """
        pandas, count = require("pandas", extra="train"), len(model_input)
        absent = [name for name in self._ids if name not in model_input]
        if absent:
            raise UserError(f"the table has no column {absent[0]!r}, which this model needs: {', '.join(self._ids)}.")
        x_NF = np.full((count, len(self._package.schema)), np.nan, np.float32)
        for column, name in enumerate(self._package.schema.names):
            if name in model_input:
                x_NF[:, column] = model_input[name].to_numpy(dtype=np.float32, na_value=np.nan)
        users_N, items_N = (
            model_input[name].to_numpy() if name in self._ids else np.zeros(count, np.int64)
            for name in ("user", "item")
        )
        return pandas.DataFrame({SCORE: self._package.score(users_N, items_N, x_NF)}, index=model_input.index)


def _load_pyfunc(path: str) -> PackageModel:
    """Open the package at *path*; MLflow calls a loader module by this name."""
    return PackageModel(load_package(Path(path)))
