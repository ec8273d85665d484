"""What a task knows of its own run: which attempt this is, and the token that all attempts of one task share.

A task is carried out at least once: the process may be killed after the effect and before the run's journal has it,
and then the task is begun again with the same token. So an effect is either idempotent, or bound to the token, as
`append_once` does it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orita.core.files import sync_directory

__all__ = ["Attempt", "append_once"]


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a task.

    Attributes:
        run_id: of the run.
        graph: of which graph.
        task: which task.
        number: 1 for the first attempt; it rises with every retry and with every resumption.
        cancelled: tells whether the run was cancelled; a long loop asks now and then, and returns or raises.
    """

    run_id: str
    graph: str
    task: str
    number: int
    cancelled: Callable[[], bool] = _never

    @property
    def token(self) -> str:
        """The same for every attempt of this task in this run, and of no other: a key of idempotence."""
        return f"{self.run_id}/{self.task}"


def append_once(path: Path, token: str, line: str) -> bool:
    """Append *line* to *path* durably, unless a line of that token is there; return whether it was appended.

    The line is written as ``token<TAB>line``. Writers exclude each other by a lock on the file, and what a kill left
    torn at its end is cut off. The file is read through, so it is for ledgers, not for data.

    Raises:
        ValueError: *token* or *line* holds a line break, or *token* a tabulator.
    """
    if "\n" in token + line or "\t" in token:
        raise ValueError(f"token {token!r} and line {line!r} must be one line, and a token holds no tabulator.")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a+b") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        ledger.seek(0)
        written = ledger.read()
        whole = written[: written.rfind(b"\n") + 1]
        if any(each.startswith(f"{token}\t".encode()) for each in whole.split(b"\n")):
            return False
        if len(whole) < len(written):
            ledger.truncate(len(whole))
        ledger.write(f"{token}\t{line}\n".encode())
        ledger.flush()
        os.fsync(ledger.fileno())
    if new:
        sync_directory(path.parent)
    return True
