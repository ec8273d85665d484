"""What can be set about staying up: the section ``serving.resilience``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from orita.core.config import Section
from orita.serving.resilience.admission import AdmissionConfig
from orita.serving.resilience.deadline import DeadlineConfig
from orita.serving.resilience.guard import GuardConfig
from orita.serving.resilience.last_good import LastGoodConfig
from orita.serving.resilience.priority import PriorityConfig

__all__ = ["ResilienceConfig", "StoreGuardConfig", "WaitedGuardConfig"]


class StoreGuardConfig(GuardConfig):
    """How the online store is guarded: a read that the loop waits for is a failure sooner than others.

    Attributes:
        slow_ms: as of every guard.
    """

    slow_ms: Annotated[float, Field(gt=0)] | None = 100.0


class WaitedGuardConfig(GuardConfig):
    """How what is asked in threads is guarded: the event log, the queue of jobs.

    Attributes:
        wait_ms: how long a caller waits for it at most, in milliseconds; past it the call counts as a failure.
    """

    wait_ms: Annotated[float, Field(gt=0, le=600_000)] = 5000.0


class ResilienceConfig(Section):
    """How a server stays up.

    Attributes:
        deadline: how long a request may take.
        priority: whose requests go first.
        admission: how many requests are let in.
        store, model, broker, jobs: when each of them is left alone; the broker is the event log, jobs is their queue.
        store_ms: how long a read of an online store on another machine may take at most, in milliseconds; half of what
            a request has left, where that is less.
        ping_seconds: between two attempts to reach a store that is left alone.
        last_good: what is remembered for level 2.
        popularity: the table of level 3 (see `write_popularity`); null: click rates of the online store, where the
            system declares them.
        popularity_seconds: between two looks at these click rates.
        static_items: the items of level 4, the best first.
    """

    deadline: DeadlineConfig = DeadlineConfig()
    priority: PriorityConfig = PriorityConfig()
    admission: AdmissionConfig = AdmissionConfig()
    store: StoreGuardConfig = StoreGuardConfig()
    model: GuardConfig = GuardConfig()
    broker: WaitedGuardConfig = WaitedGuardConfig()
    jobs: WaitedGuardConfig = WaitedGuardConfig()
    store_ms: Annotated[float, Field(gt=0, le=60_000)] = 100.0
    ping_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    last_good: LastGoodConfig = LastGoodConfig()
    popularity: Path | None = None
    popularity_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    static_items: tuple[int | str, ...] = ()
