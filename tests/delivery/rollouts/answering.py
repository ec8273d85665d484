"""A prediction log as servers would write it while a rollout is under way: whom its dice give which version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from orita.core.clock import ManualClock, from_micros, to_micros
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.routing import Router
from orita.events.log.embedded import EmbeddedLog
from orita.events.prediction_files import convert_segment, segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, encode_header

ITEMS = 5


@dataclass(frozen=True)
class Behaviour:
    """How a version answers and what users do then; *silent* of its answers never reach the log."""

    failing: float = 0.001
    latency_ms: float = 12.0
    click: float = 0.2
    score: float = 0.0
    silent: float = 0.0


def requests_of(
    rollout: Rollout, at: datetime, users: Sequence[int], behaviour: dict[str, Behaviour], random: np.random.Generator
) -> Iterator[ScoredRequest]:
    """Yield an answer to each user within the second from *at* on."""
    router = Router(rollout)
    for number, user in enumerate(users):
        route = router.route({"user_id": user})
        does = behaviour[route.version]
        if does.silent and random.random() < does.silent:
            continue
        failed = random.random() < does.failing
        scores = (random.normal(size=ITEMS) + does.score).astype(np.float32)
        ranks = (np.argsort(np.argsort(-scores)) + 1).astype(np.int32)
        moment = to_micros(at + timedelta(seconds=number / len(users)))
        yield ScoredRequest(
            at_micros=moment,
            as_of_micros=moment,
            request_id=f"r{moment}-{user}",
            salt=random.integers(1 << 62).item(),
            user_id=user,
            item_ids=list(range(ITEMS)),
            latency_ms=float(random.lognormal(np.log(does.latency_ms), 0.2)),
            scores=scores.tobytes(),
            ranks=ranks.tobytes(),
            features=b"",
            level=2 if failed else 1,
            rollout=route.rollout,
            variant=route.version,
            split_micros=route.split_micros,
        )


class LogOfServers:
    """Writes segments, and makes Parquet of them."""

    def __init__(self, home: Home, system: str = "feed", features: tuple[str, ...] = ()) -> None:
        self.home, self.system, self.features = home, system, features
        self._paths: dict[str, Path] = {}

    def write(self, requests: Sequence[ScoredRequest]) -> None:
        """Append answers to the segments of their versions, or to new ones."""
        for version in dict.fromkeys(each.variant or "a" for each in requests):
            ours = [each for each in requests if (each.variant or "a") == version]
            path = self._paths.get(version) or self._opened(version, from_micros(ours[0].at_micros))
            with path.open("ab") as file:
                file.write(b"".join(map(encode_frame, ours)))

    def rotate(self) -> None:
        """Make Parquet of the segments that are open."""
        for path in self._paths.values():
            convert_segment(self.home, path)
        self._paths.clear()

    def _opened(self, version: str, at: datetime) -> Path:
        day = at.date()
        header = SegmentHeader(f"{day.isoformat()}-{uuid7(ManualClock(at))}", day, self.system, version, self.features)
        path = self._paths[version] = segment_folder(self.home) / f"{header.name}.wal"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_header(header))
        return path


class World:
    """Users who are answered, second by second, and click; time is the clock's.

    Args:
        home: where logs are.
        clock: the time.
        behaviour: by version.
        per_second: users that come in a second.
        draw: which users come, given how many; by default each is new.
    """

    def __init__(
        self,
        home: Home,
        clock: ManualClock,
        behaviour: dict[str, Behaviour],
        *,
        per_second: int = 100,
        seed: int = 0,
        draw: Callable[[np.random.Generator, int], Sequence[int]] | None = None,
    ) -> None:
        self.clock, self.behaviour, self.per_second = clock, behaviour, per_second
        self.random = np.random.default_rng(seed)
        self.answers = LogOfServers(home)
        self.events = EmbeddedLog(home, clock)
        self.events.create("interactions", 2)
        self._draw, self._users = draw, 0

    def second(self, rollout: Rollout, behind: Rollout | None = None) -> None:
        """Let one second pass; half of the users ask a server that still routes as the rollout was *behind*, if any."""
        users: Sequence[int] = range(self._users, self._users + self.per_second)
        if self._draw is not None:
            users = self._draw(self.random, self.per_second)
        self._users += self.per_second
        at = self.clock.now()
        halves = [(rollout, users)] if behind is None else [(rollout, users[::2]), (behind, users[1::2])]
        requests = [each for now, whose in halves for each in requests_of(now, at, whose, self.behaviour, self.random)]
        self.clock.advance(timedelta(seconds=1))
        self.answers.write(requests)
        self._click(requests)

    def _click(self, requests: Sequence[ScoredRequest]) -> None:
        rows = [
            (str(request.user_id), str(item), request.request_id, request.at_micros + 1)
            for request in requests
            for item in request.item_ids
            if self.random.random() < self.behaviour[request.variant or ""].click
        ]
        if not rows:
            return
        users, items, ids, times = zip(*rows, strict=True)
        table = pa.table(
            {
                "interaction_id": [f"{i}/{item}" for i, item in zip(ids, items, strict=True)],
                "user_id": [int(user) for user in users],
                "item_id": [int(item) for item in items],
                "timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
                "click": pa.array([1] * len(rows), pa.int8()),
                "request_id": list(ids),
            }
        )
        self.events.append("interactions", table, key=["user_id"])
