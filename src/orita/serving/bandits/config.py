"""What can be set about bandits: the ``serving.bandits`` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from orita.core.config import Section

__all__ = ["BanditsConfig"]


class BanditsConfig(Section):
    """How declared bandits are served.

    Attributes:
        enabled: whether ``/api/v1/bandits`` answers.
        learn_seconds: between two looks at what was declared, chosen and rewarded, by any worker.
        snapshot_rows: choices and rewards after which what was learnt is written to disk; a start reads those of after.
        retention_days: for so long choices and rewards are kept in the event log; null keeps all.
        most_waiting: choices and rewards that may wait for the disk; the next is answered with 503.
    """

    enabled: bool = True
    learn_seconds: Annotated[float, Field(gt=0, le=10)] = 0.5
    snapshot_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 5_000
    retention_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    most_waiting: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
