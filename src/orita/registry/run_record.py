"""A run as plain JSON: what is kept of it in an archive, read back as strictly as everything else from elsewhere."""

from __future__ import annotations

import math
import posixpath
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orita.core.errors import UserError
from orita.models.package.files import shown
from orita.registry.catalogue import Catalogue, Run

__all__ = ["log_record", "read_record", "record_of", "refuse_control"]

_NAME = re.compile(r"[\w./: -]{1,230}")  # what MLflow allows, letters of any language, and room for 'orita.origin.'
_LONGEST, _LONGEST_NAME = {"params": 6000, "tags": 8000}, 250
_CONTROL = re.compile(r"[^\t\n\x20-\x7e\xa0-\U0010ffff]")
_TEXTS = ("run_id", "name", "status", "started_at", "ended_at")
_MOST_POINTS = 1_000_000


def record_of(run: Run, history: Mapping[str, list[tuple[int, float]]]) -> dict[str, Any]:
    """Return what is kept of a run: parameters, every point of its metrics, tags (MLflow's own left out), times.

    A metric that is no number has null for a value.
    """
    points = {
        name: [[step, value if math.isfinite(value) else None] for step, value in steps]
        for name, steps in history.items()
    }
    return {
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else "",
        "params": dict(run.params),
        "metrics": points,
        "tags": {name: value for name, value in run.tags.items() if not name.startswith("mlflow.")},
    }


def read_record(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the record that `record_of` made, once every name and value is one that MLflow takes.

    Raises:
        UserError: a key, a name or a value cannot be; the sentence says which.
    """
    expected = {*_TEXTS, "params", "metrics", "tags"}
    if set(content) != expected or not all(isinstance(content[name], str) for name in _TEXTS):
        raise UserError(f"{where} is not the record of a run: expected texts and tables as {sorted(expected)}.")
    refuse_control(content, where)
    _check_times(content, where)
    if len(content["name"]) > _LONGEST_NAME:
        raise UserError(f"{where}: name has {len(content['name']):,} characters, allowed are {_LONGEST_NAME}.")
    for kind, longest in _LONGEST.items():
        for name, value in _named(content[kind], kind, where):
            if not isinstance(value, str) or len(value) > longest:
                raise UserError(f"{where}: {kind}.{name} is not a text of at most {longest:,} characters.")
    for name, points in _named(content["metrics"], "metrics", where):
        if not isinstance(points, list) or len(points) > _MOST_POINTS or not all(map(_is_point, points)):
            raise UserError(f"{where}: metrics.{name} is not a list of pairs of a step (≥ 0) and a number.")
    return dict(content)


def refuse_control(content: object, where: str) -> None:
    """Refuse texts, however deep in *content*, that a terminal would obey instead of showing.

    Raises:
        UserError: a text has a control character other than a tabulator or the end of a line.
    """
    match content:
        case str() if (found := _CONTROL.search(content)) is not None:
            raise UserError(f"{where} has the character {found[0]!a} in a text, which no export writes.")
        case dict():
            for name, value in content.items():
                refuse_control(name, where)
                refuse_control(value, where)
        case list():
            for value in content:
                refuse_control(value, where)


def log_record(catalogue: Catalogue, system: str, record: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    """Log a run that is like the one of *record*, under *tags*, and return its id; FINISHED once all of it is there."""
    run_id = catalogue.runs.begin(system, record["name"], record["params"], tags)
    by_step: dict[int, dict[str, float]] = {}
    for name, points in record["metrics"].items():
        for step, value in points:
            by_step.setdefault(step, {})[name] = math.nan if value is None else value
    try:
        catalogue.runs.log_history(run_id, sorted(by_step.items()))
    except BaseException:
        catalogue.runs.end(run_id, "KILLED")
        raise
    catalogue.runs.end(run_id)
    return run_id


def _check_times(content: Mapping[str, Any], where: str) -> None:
    for name in ("started_at", "ended_at"):
        try:
            datetime.fromisoformat(content[name] or "1970-01-01")
        except ValueError:
            raise UserError(f"{where}: {name} is {content[name][:40]!a}, expected a time in ISO 8601.") from None


def _named(table: object, kind: str, where: str) -> list[tuple[str, Any]]:
    if not isinstance(table, dict):
        raise UserError(f"{where}: {kind} is not a table by name.")
    for name in table:
        path_like = posixpath.normpath(name) != name or name.startswith((".", "/"))
        if not _NAME.fullmatch(name) or path_like:
            raise UserError(
                f"{where}: {kind} has the name {shown(name[:80])!r}, allowed are up to 230 letters, digits, '_', '-', "
                "'.', ':', '/' and spaces."
            )
    return list(table.items())


def _is_point(point: object) -> bool:
    match point:
        case [int(step), None | int() | float() as value]:
            fits = value is None or (type(value) is not bool and abs(value) <= sys.float_info.max)
            return type(step) is int and 0 <= step < 2**63 and fits
        case _:
            return False
