"""A home with answers in its log, and a shadow of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tests.delivery.shadow.behaving import FEATURES, HashedReader

from orita.control.deployments import Deployments
from orita.core.clock import Clock, SystemClock, to_micros
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts
from orita.events.prediction_files import segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader
from orita.serving.log.segment_file import SegmentFile

CHAMPION = "v1.0.0"


def answer(number: int, at: datetime, items: int = 12, *, level: int = 1, seed: int = 0) -> ScoredRequest:
    """Return an answer of the champion, whose scores are the means of its features; users come five times."""
    ids: list[int | str] = list(np.random.default_rng([seed, number]).choice(10_000, items, replace=False).tolist())
    user = number // 5
    x_NF = HashedReader(FEATURES).matrix(user, ids, {}, to_micros(at))
    scores_N = x_NF.mean(axis=1).astype(np.float32)
    ranks_N = np.argsort(np.argsort(-scores_N, kind="stable")).astype(np.int32) + 1
    return ScoredRequest(
        at_micros=to_micros(at),
        as_of_micros=to_micros(at),
        request_id=f"request-{seed}-{number}",
        salt=seed * 1_000_000 + number,
        user_id=user,
        item_ids=ids,
        latency_ms=3.0,
        scores=scores_N.tobytes(),
        ranks=ranks_N.tobytes(),
        features=x_NF.tobytes() if level == 1 else b"",
        level=level,
    )


def open_segment(home: Home, at: datetime, *, version: str = CHAMPION, system: str = "feed") -> SegmentFile:
    """Return a new segment of the prediction log."""
    name = f"{at.date().isoformat()}-{uuid7()}"
    return SegmentFile(segment_folder(home), SegmentHeader(name, at.date(), system, version, FEATURES))


def begun(home: Home, *versions: str, clock: Clock | None = None, **plan: Any) -> Rollout:
    """Return a shadow of *versions* that has begun."""
    clock = clock or SystemClock()
    Deployments(home.control, home.tenant, clock).deploy("feed", CHAMPION, actor="test", reason="test")
    told = RolloutPlan(strategy="shadow", versions=versions, **{"cpu_percent": 100.0, **plan})
    return Rollouts(home.control, home.tenant, clock).start("feed", told, actor="test", reason="test")


def times(rollout: Rollout, count: int) -> list[datetime]:
    """Return moments after a rollout began, some milliseconds apart, of one day."""
    first = rollout.started_at + timedelta(microseconds=1)
    return [first + timedelta(microseconds=number) for number in range(count)]


def home_in(folder: Path) -> Home:
    """Return an empty home."""
    return Home(folder / "home")
