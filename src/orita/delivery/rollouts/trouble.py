"""What keeps a controller from judging a rollout, as it says beside its lease: what, since when, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from orita.core.errors import OritaError

__all__ = ["Trouble", "late_outcomes", "nobody_takes_part", "trouble_of", "unknown_metric"]

_AGAIN = "The controller tries again by itself, within half a minute."


class Trouble(Struct, frozen=True, kw_only=True):
    """Why evidence is not complete, or not there.

    Attributes:
        what: what was found, a sentence.
        remedy: what to do, in sentences.
        since: when the controller that acts met it first.
    """

    what: str
    remedy: str
    since: datetime

    def going_on(self, before: Trouble | None) -> Trouble:
        """Return it with the beginning of the trouble that there was *before*, if any."""
        return self if before is None else msgspec.structs.replace(self, since=before.since)


def trouble_of(error: Exception, since: datetime) -> Trouble:
    """Return what an *error* of a look means for whoever reads how the rollout stands."""
    told = str(error) or type(error).__name__
    if isinstance(error, OritaError):
        remedy = "Do what the sentence says."
    elif isinstance(error, OSError):
        remedy = "See that the controller can read the home: its prediction log, its events, its tables."
    else:
        told, remedy = f"{type(error).__name__}: {told}", "A file of the prediction log or of events may be damaged."
    return Trouble(what=told, remedy=f"{remedy} {_AGAIN}", since=since)


def unknown_metric(field: str, column: str, stream: str, near: str, since: datetime) -> Trouble:
    """Return that no event has the *column* that a *field* of the plan names; *near* says which columns there are."""
    return Trouble(
        what=f"No event of {stream} has the column {column!r} of {field}: its check counts nothing. {near}",
        remedy=f"Push events with that column; or abort, and begin again with {field} a column that they have.",
        since=since,
    )


def late_outcomes(column: str, late: int, all_: int, since: datetime) -> Trouble:
    """Return that *late* of *all_* outcomes became known after their time was over, and count as none."""
    return Trouble(
        what=f"{late:,} of {all_:,} outcomes of {column!r} became known after the window of their check was over: "
        "they count as none.",
        remedy="Push events when they happen, or abort, and begin again with a window (window_seconds of the check) "
        "that is longer than they take to arrive.",
        since=since,
    )


def nobody_takes_part(by: Sequence[str], requests: int, since: datetime) -> Trouble:
    """Return that all *requests* fall to the champion, as none names an attribute that the plan splits *by*."""
    names = " or ".join(map(repr, by))
    return Trouble(
        what=f"None of {requests:,} requests takes part, all fall to the champion: none of them names {names}, by "
        "which the rollout splits, or servers have not loaded the version yet.",
        remedy="Have callers send it in context.attributes; or abort, and begin again with --by user_id.",
        since=since,
    )
