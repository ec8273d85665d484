"""What the training rows of a model led to expect of every column: kept for each version, and taken along by exports.

Later rows are held against it (`orita.pipelines.components.anomalies`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.core.home import Home
from orita.models.package.files import shown
from orita.models.package.strict_json import read_object

__all__ = [
    "Expectation",
    "check_expectations",
    "expectations_file",
    "keep_expectations",
    "read_expectations",
    "write_expectations",
]

_KINDS = ("", "number", "count", "flag", "category")
_LONGEST, _MOST_VALUES = 250, 1000


@dataclass(frozen=True, slots=True)
class Expectation:
    """One column.

    Attributes:
        type: DuckDB's name of its type.
        kind: ``number``, ``count``, ``flag`` or ``category`` of a feature; empty for ids, label and outcomes.
        meaning: digest of the feature's declaration; empty where there is none.
        missing: share of rows without a value.
        low, high: range of numbers; None for texts, ids and categories, and where there is no value.
        domain: every value of a flag or category that was seen; None where values are not enumerated.
    """

    type: str
    kind: str = ""
    meaning: str = ""
    missing: float = 0.0
    low: float | None = None
    high: float | None = None
    domain: tuple[str, ...] | None = None


def write_expectations(file: Path, found: Mapping[str, Expectation]) -> None:
    """Write expectations as JSON."""
    content = {"columns": {name: asdict(each) for name, each in found.items()}}
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_expectations(file: Path) -> dict[str, Expectation]:
    """Return the expectations in *file*, which was written in this home, or checked when it came."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: Expectation(**{**each, "domain": None if each["domain"] is None else tuple(each["domain"])})
        for name, each in content["columns"].items()
    }


def expectations_file(home: Home, system: str, version: str) -> Path:
    """Return where those of a version are kept, where they are known."""
    return home.reports / "references" / system / f"{version}.schema.json"


def keep_expectations(home: Home, system: str, version: str, source: Path) -> None:
    """Keep what *source* holds as the expectations of a version, in the place of what was kept."""
    with atomic_file(expectations_file(home, system, version)) as partial:
        partial.write_bytes(source.read_bytes())


def check_expectations(content: bytes, where: str) -> dict[str, Any]:
    """Return the columns of a file of expectations that came from elsewhere, once everything in it can be.

    Args:
        content: of the file.
        where: what errors call it.

    Raises:
        UserError: it is no JSON, or a name or value cannot be; the sentence says which.
    """
    told = read_object(content, where)
    columns = told.get("columns")
    if set(told) != {"columns"} or not isinstance(columns, dict):
        raise UserError(f"{where} is not what is expected of columns: export the model again.")
    names = {field.name for field in fields(Expectation)}
    for name, each in columns.items():
        if not _is_text(name) or not isinstance(each, dict) or set(each) != names or not _is_expectation(each):
            raise UserError(f"{where} says of the column {shown(name[:80])!r} what cannot be: export the model again.")
    return columns


def _is_expectation(each: Mapping[str, Any]) -> bool:
    domain = each["domain"]
    return (
        all(map(_is_text, (each["type"], each["kind"], each["meaning"])))
        and each["kind"] in _KINDS
        and _is_number(each["missing"])
        and 0 <= each["missing"] <= 1
        and all(each[end] is None or _is_number(each[end]) for end in ("low", "high"))
        and (each["low"] is None) == (each["high"] is None)
        and (domain is None or _is_domain(domain))
    )


def _is_domain(domain: object) -> bool:
    return isinstance(domain, list) and len(domain) <= _MOST_VALUES and all(map(_is_text, domain))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST and value.isprintable()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
