"""Which state readers use: a generation of the online store, named by ``CURRENT`` beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from orita.core.errors import UserError

__all__ = ["META", "POINTER", "Generation", "NotPublished", "current_generation"]

POINTER = "CURRENT"
META = "generation.json"


class NotPublished(UserError):
    """Nothing was published for the declarations as they are: what has to be run is in the sentence."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What one generation of online state holds.

    Attributes:
        name: its folder.
        plan: version of the layout it was written for.
        watermark: time of its latest event, microseconds since the Unix epoch, or None without events.
        events: number of events in it.
        records: number of records by kind.
        string_ids: which ids are texts, by the names that `keys.id_kind` gives them.
        tables: lake version of every table it was computed from.
    """

    name: str
    plan: str
    watermark: int | None
    events: int
    records: dict[str, int]
    string_ids: tuple[str, ...]
    tables: dict[str, int]


def current_generation(folder: Path) -> Generation | None:
    """Return the generation that readers use, or None before the first."""
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    content = json.loads((folder / pointer.read_text().strip() / META).read_text())
    return Generation(**{**content, "string_ids": tuple(content["string_ids"])})
