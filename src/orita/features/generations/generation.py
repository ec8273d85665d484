"""What one generation of online state holds: what readers, and whoever watches them, must know of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from orita.core.errors import UserError

__all__ = ["Generation", "NotPublished"]


class NotPublished(UserError):
    """Nothing was published for the declarations as they are: what has to be run is in the sentence."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What one generation of online state holds.

    Attributes:
        name: under which its store is found.
        plan: version of the layout it was written for.
        watermark: time of its latest event, microseconds since the Unix epoch, or None without events.
        events: number of events in it.
        records: number of records by kind.
        string_ids: which ids are texts, by the names that `keys.id_kind` gives them.
        unknown_ids: which ids have no type yet, as none was seen, likewise.
        tables: lake version of every table it was computed from.
        due: when the first of the events that were not known at its moment counts, microseconds since the Unix epoch;
            None without any.
    """

    name: str
    plan: str
    watermark: int | None
    events: int
    records: dict[str, int]
    string_ids: tuple[str, ...]
    tables: dict[str, int]
    unknown_ids: tuple[str, ...] = ()
    due: int | None = None

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Generation:
        """Return what `to_json` wrote."""
        content = json.loads(text)
        ids = {name: tuple(content.get(name, ())) for name in ("string_ids", "unknown_ids")}
        return cls(**{**content, **ids})
