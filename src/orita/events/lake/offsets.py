"""Up to where a table holds the event log: each commit says it for all partitions, so any version answers at once.

A commit is refused unless its rows follow on those that the table has; and of two that are made at once, one is
refused. So a row of the log is in its table once, however many processes try, and however they end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orita.core.errors import OritaError, UserError
from orita.events.lake.commits import read_commit
from orita.events.log.log import Span

__all__ = ["OFFSETS", "Fenced", "LogSpans", "Stored", "stored_offsets"]

OFFSETS = "orita.offsets"
"""Property of every commit."""


class Fenced(OritaError):
    """A commit was refused, as another process wrote the table meanwhile; nothing was stored.

    What the table holds now is for `Lake.offsets` to say; go on from there.
    """


@dataclass(frozen=True, slots=True)
class LogSpans:
    """The rows of the log that a commit brings, those included that were left out for a reason.

    Attributes:
        stream: of which stream; a table takes the rows of one.
        spans: by partition, from which offset to which.
    """

    stream: str
    spans: Mapping[int, Span]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a table holds of the log.

    Attributes:
        stream: of which stream; empty before the first row of a log.
        next: by partition, the offset after the last row.
    """

    stream: str = ""
    next: Mapping[int, int] = field(default_factory=dict)

    def property(self) -> str:
        """Return it as a commit keeps it."""
        return json.dumps({"stream": self.stream, "next": {str(p): n for p, n in sorted(self.next.items())}})

    def followed_by(self, table: str, brought: LogSpans) -> Stored:
        """Return what the table holds once *brought* is in it.

        Raises:
            UserError: the rows are of another stream.
            Fenced: the rows do not follow on those that the table holds.
        """
        if self.stream not in ("", brought.stream):
            raise UserError(
                f"table {table!r} holds the rows of stream {self.stream!r}, and these are of {brought.stream!r}: "
                "store each stream in a table of its own."
            )
        for partition, span in brought.spans.items():
            held = self.next.get(partition, span.first)
            if held != span.first:
                raise Fenced(
                    f"table {table!r} holds partition {partition} of stream {brought.stream!r} up to offset {held}, "
                    f"and these rows begin at {span.first}: another process stored rows meanwhile; read on from {held}."
                )
        return Stored(brought.stream, {**self.next, **{p: span.next for p, span in brought.spans.items()}})


def stored_offsets(folder: Path, version: int, oldest: int) -> Stored:
    """Return what *version* holds of the log; a commit that does not say it changed nothing of it."""
    for number in range(version, oldest - 1, -1):
        kept = read_commit(folder, number).properties.get(OFFSETS)
        if kept is not None:
            content = json.loads(kept)
            return Stored(content["stream"], {int(p): int(n) for p, n in content["next"].items()})
    return Stored()
