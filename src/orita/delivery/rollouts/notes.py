"""What a controller says of a rollout beside its lease, between the decisions that are kept for good.

A verdict is an event, once, when it becomes another one. What it rests on grows with every look: that is told here,
every few seconds, and the latest is all there is of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from orita.delivery.rollouts.findings import Finding
from orita.delivery.rollouts.rollout import Rollout, Verdict
from orita.delivery.rollouts.trouble import Trouble

__all__ = ["Look", "Note"]


class Look(Struct, frozen=True, kw_only=True):
    """What the latest look found.

    Attributes:
        at: when it was made.
        since: when the shares began that it was made under.
        verdict, why, evidence: as of then.
        acknowledged: how many acknowledgements it knew of.
    """

    at: datetime
    since: datetime
    verdict: Verdict
    why: str
    evidence: dict[str, Any]
    acknowledged: int = 0

    @classmethod
    def of(cls, found: Finding, rollout: Rollout, at: datetime) -> Look:
        """Return what was *found* of *rollout*."""
        return cls(
            at=at,
            since=rollout.since,
            verdict=found.verdict,
            why=found.why,
            evidence=found.evidence,
            acknowledged=len(rollout.acknowledged),
        )

    def is_of(self, rollout: Rollout) -> bool:
        """Whether it was made of the rollout as it is: under its shares, and knowing all that was acknowledged."""
        return self.since == rollout.since and self.acknowledged == len(rollout.acknowledged)


class Note(Struct, frozen=True, kw_only=True):
    """What stands beside the lease.

    Attributes:
        rollout: the id of the rollout that it is about.
        look: the latest; None before the first.
        trouble: what keeps the controller from making another, or from counting all; None: nothing.
    """

    rollout: str
    look: Look | None = None
    trouble: Trouble | None = None

    def kept(self) -> str:
        """Return it as a lease keeps it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def of(cls, kept: str | None, rollout: str) -> Note:
        """Return what is *kept* of a rollout; where that is nothing, or of another, there is nothing to say."""
        note = None if kept is None else msgspec.json.decode(kept, type=cls)
        return note if note is not None and note.rollout == rollout else cls(rollout=rollout)
