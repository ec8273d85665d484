"""From a configuration to a predictor, and from a folder to what answers."""

from __future__ import annotations

from orita.core.errors import UserError
from orita.core.extras import require
from orita.models.tasks.config import TaskSection
from orita.models.tasks.predictor import Predictor, TableRows, TextRows

__all__ = ["build_table_predictor", "build_text_predictor"]


def build_table_predictor(section: TaskSection) -> Predictor[TableRows]:
    """Return a predictor of tables, not yet fitted.

    Raises:
        UserError: the section is of another task.
        MissingExtra: the library that trains it is not installed.
    """
    if section.task == "text":
        raise UserError("task.task has the value 'text', a table takes binary, multiclass or regression.")
    if section.type == "linear":
        from orita.models.tasks.table_linear import TableLinear

        return TableLinear(section.task, section.classes, section)
    require("lightgbm", extra="train")
    from orita.models.tasks.table_trees import TableTrees

    return TableTrees(section.task, section.classes, section)


def build_text_predictor(section: TaskSection) -> Predictor[TextRows]:
    """Return a predictor of texts, not yet fitted.

    Raises:
        UserError: the section is of another task.
        MissingExtra: the library that trains it is not installed.
    """
    if section.task != "text":
        raise UserError(f"task.task has the value {section.task!r}, texts take 'text'.")
    if section.text.encoder is not None:
        require("torch", extra="train")
        from orita.models.tasks.text_encoder import TextEncoder

        return TextEncoder(section.classes, section.text.encoder)
    require("sklearn", extra="train")
    from orita.models.tasks.text_linear import TextLinear

    return TextLinear(section.classes, section.text)
