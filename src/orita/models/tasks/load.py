"""From the folder of a package to what answers, without the libraries that trained it."""

from __future__ import annotations

from pathlib import Path

from orita.core.errors import UserError
from orita.models.tasks.table_model import TABLE_FILE, TableModel
from orita.models.tasks.text_model import TEXT_FILE, TextModel

__all__ = ["load_predictor"]


def load_predictor(folder: Path) -> TableModel | TextModel:
    """Return the model that a predictor exported to *folder*; no code is run from it.

    Raises:
        UserError: there is none, or a file is not what its name promises; the sentence names it.
    """
    declared = [name for name in (TABLE_FILE, TEXT_FILE) if (folder / name).is_file()]
    if len(declared) != 1:
        found = " and ".join(declared) or "neither"
        raise UserError(f"{folder} holds {found}, a predictor's package holds one of {TABLE_FILE} and {TEXT_FILE}.")
    return TableModel.read(folder) if declared == [TABLE_FILE] else TextModel.read(folder)
