"""What a folder of scores says of itself: of what, with what and how it was made, and which rows are done.

``_manifest.json`` is written anew, whole or not at all, after each step; a kill leaves the step done or not done. Names
that begin with ``_`` are passed over by readers of folders of Parquet files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.core.files import atomic_file

__all__ = ["MANIFEST", "Manifest", "Part", "Step", "read_manifest"]

MANIFEST = "_manifest.json"
_FORMAT = "orita-scores/1"


@dataclass(frozen=True, slots=True)
class Part:
    """A file: its path below the folder, its rows, its size and the SHA-256 of its bytes."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Step:
    """A range of the input that is done.

    Attributes:
        first: the number of its first row, from 0.
        rows: how many rows of the input.
        parts: their scores; where only the best are kept, of each user's best of these rows.
        quarantine: those that could not be scored, at most one file.
        rules: of those, how many broke which rule, as ``column: rule``.
        cold: by what was not known of them, how many rows.
    """

    first: int
    rows: int
    parts: tuple[Part, ...]
    quarantine: tuple[Part, ...]
    rules: Mapping[str, int]
    cold: Mapping[str, int]


@dataclass(slots=True)
class Manifest:
    """The state of a folder of scores.

    Attributes:
        making: all that decides the rows; with another of it the folder is not gone on with.
        told: what was settled when it was begun: input, tables and their versions, the time of rows without one.
        total: rows of the input.
        steps: what is done, in order.
        best: where only the best of each user are kept: their parts, once all is scored.
        begun_at, finished_at: ISO 8601; the latter empty while it is at work.
        seconds: of work, those of runs that were cut short up to their last step.
    """

    making: Mapping[str, Any]
    told: Mapping[str, Any]
    total: int
    begun_at: str
    finished_at: str = ""
    seconds: float = 0.0
    steps: list[Step] = field(default_factory=list)
    best: list[Part] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many rows of the input are done."""
        return self.steps[-1].first + self.steps[-1].rows if self.steps else 0

    @property
    def parts(self) -> list[Part]:
        """The files of the output, so far."""
        return self.best if self.making["top"] is not None else [part for step in self.steps for part in step.parts]

    def summary(self) -> dict[str, Any]:
        """Return the counts of rows and what they are of."""
        quarantined = sum(part.rows for step in self.steps for part in step.quarantine)
        rules: Counter[str] = Counter()
        cold: Counter[str] = Counter()
        for step in self.steps:
            rules.update(step.rules)
            cold.update(step.cold)
        return {
            "rows": {
                "read": self.done,
                "scored": self.done - quarantined,
                "written": sum(part.rows for part in self.parts),
                "quarantined": quarantined,
            },
            "quarantine": dict(sorted(rules.items())),
            "cold_start": dict(cold),
        }

    def write(self, folder: Path) -> None:
        """Make it that of *folder*."""
        content = {
            "format": _FORMAT,
            "state": "complete" if self.finished_at else "running",
            "begun_at": self.begun_at,
            "finished_at": self.finished_at,
            "seconds": round(self.seconds, 3),
            **self.summary(),
            "making": self.making,
            "told": self.told,
            "total": self.total,
            "parts": [asdict(part) for part in self.parts],
            "steps": [asdict(step) for step in self.steps],
        }
        with atomic_file(folder / MANIFEST) as partial:
            partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """Return what *folder* says of itself, None where it says nothing.

    Raises:
        UserError: the file is none that Orita wrote.
    """
    file = folder / MANIFEST
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {_FORMAT!r}")
        return Manifest(
            making=content["making"],
            told=content["told"],
            total=content["total"],
            begun_at=content["begun_at"],
            finished_at=content["finished_at"],
            seconds=content["seconds"],
            steps=[_step(each) for each in content["steps"]],
            best=_parts(content["parts"]) if content["making"]["top"] is not None else [],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is no manifest of scores ({error}): choose another folder, or delete it.") from None


def _step(content: Mapping[str, Any]) -> Step:
    made = {**content, "parts": _parts(content["parts"]), "quarantine": _parts(content["quarantine"])}
    return Step(**{**made, "parts": tuple(made["parts"]), "quarantine": tuple(made["quarantine"])})


def _parts(content: Any) -> list[Part]:
    return [Part(**each) for each in content]
