"""Experiments as JSON and YAML: read strictly as flags are, each checked by itself, written back."""

from __future__ import annotations

from typing import Literal

import msgspec

from orita.core.errors import UserError
from orita.delivery.experiments.checking import check_plan
from orita.delivery.experiments.declarations import ExperimentFile
from orita.delivery.yaml12 import from_yaml

__all__ = ["read_experiments", "write_experiments"]


def read_experiments(text: bytes | str, form: Literal["json", "yaml"] = "yaml") -> ExperimentFile:
    """Return the experiments of a document ``{"experiments": [...]}``.

    Raises:
        UserError: it cannot be read, has a key that is not known or a value of another type, or an experiment
            contradicts itself; the place is told.
    """
    try:
        if form == "json":
            file = msgspec.json.decode(text, type=ExperimentFile)
        else:
            file = msgspec.convert(from_yaml(text), ExperimentFile)
    except RecursionError:
        raise UserError("the experiments are nested too deep: make their audiences simpler.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the experiments cannot be read as {form.upper()}: {error}.") from None
    keys = [plan.key for plan in file.experiments]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise UserError(f"two experiments have the key {twice!r}: rename one.")
    for plan in file.experiments:
        check_plan(plan)
    return file


def write_experiments(file: ExperimentFile, form: Literal["json", "yaml"] = "yaml") -> bytes:
    """Return the document of *file*, without what is as by default; `read_experiments` gives it back equal."""
    return msgspec.yaml.encode(file) if form == "yaml" else msgspec.json.encode(file)
