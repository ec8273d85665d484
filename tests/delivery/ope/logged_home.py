"""A home whose prediction log and events are those of `made_pages`, with answers beside that are none of them."""

from __future__ import annotations

import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.delivery.ope.made_pages import World
from tests.features.small_system import NOW, declared_system, ingested

from orita.core.clock import to_micros
from orita.core.home import Home
from orita.events.prediction_segment import ScoredRequest
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.serving.log.prediction_log import PredictionLog
from orita.serving.protocols import LogStream

__all__ = ["LOGGED", "OnePackage", "logged_home"]

LOGGED = "v1.0.0"
FIRST = NOW - timedelta(hours=30)
_STREAM = LogStream("small", LOGGED, ("now", "next"))


class OnePackage:
    """A model that says what one of its features says."""

    def __init__(self, version: str, *features: str) -> None:
        self.version = version
        self.schema = FeatureSchema(tuple(FeatureColumn(name, "pair") for name in features))

    def score(
        self, users_N: npt.NDArray[Any], items_N: npt.NDArray[Any], x_NF: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the last feature; ids are numbers as they were asked."""
        assert users_N.dtype == items_N.dtype == np.int64 and (items_N >= 100).all()
        return x_NF[:, -1]


def logged_home(folder: Path, world: World) -> Home:
    """Return a home whose log has the pages of *world*: feature ``now`` is the logged score, ``next`` the candidate's.

    Beside them it has an answer of each kind that is left out, and events that do not count: too late, of an item that
    was not shown, of an answer that the log does not have, and a second of the same item.
    """
    home, pages = Home(folder / "home"), world.pages
    log = PredictionLog(home)
    log.start()
    events: list[dict[str, Any]] = []
    for row in range(len(pages)):
        at = FIRST + timedelta(minutes=row % 1500)
        request = _request(world, row, f"r{row}", at)
        log.append(_STREAM, request)
        clicked = pages.reward_NK[row] > 0
        told = timedelta(seconds=30)
        for item, click in zip(request.item_ids, clicked.tolist(), strict=True):
            if click:
                events.append(_event(events, f"r{row}", request.user_id, item, at + told, 1))
                events.append(_event(events, f"r{row}", request.user_id, item, at + 2 * told, 0))
            elif row % 7 == 0:
                events.append(_event(events, f"r{row}", request.user_id, item, at + timedelta(minutes=31), 1))
        events.append(_event(events, f"r{row}", request.user_id, 99_999_999, at + told, 1))
    events.append(_event(events, "of another log", 1, 100, FIRST, 1))
    for request in _left_out(world):
        log.append(_STREAM, request)
    log.append(LogStream("small", "v0.9.0", ("now", "next")), _request(world, 0, "older", FIRST))
    log.append(LogStream("other", LOGGED, ("now", "next")), _request(world, 0, "elsewhere", FIRST))
    log.close()
    events.append(_event(events, "the latest", 1, 100, NOW - timedelta(hours=1), 0))
    ingested(home, folder, events, declared_system())
    return home


def _left_out(world: World) -> list[ScoredRequest]:
    """Return one answer of each kind that cannot be weighed; two share a request id."""
    late = NOW - timedelta(hours=1, minutes=10)
    return [
        _request(world, 0, "fallback", FIRST, level=3),
        _request(world, 0, "overridden", FIRST, variant="champion"),
        _request(world, 0, "weighed", FIRST, objective={"click": 2.0}),
        _request(world, 0, "late", late),
        _request(world, 0, "certain", FIRST, propensities=b"", placements=b""),
        _request(world, 0, "twice", FIRST),
        _request(world, 1, "twice", FIRST),
    ]


def _request(world: World, row: int, request_id: str, at: Any, **changed: Any) -> ScoredRequest:
    pages = world.pages
    width = int(pages.length_N[row])
    features = np.column_stack([pages.score_NK[row], pages.candidate_NK[row]])
    values: dict[str, Any] = {
        "at_micros": to_micros(at),
        "as_of_micros": to_micros(at),
        "request_id": request_id,
        "salt": zlib.crc32(f"{request_id} {row}".encode()) << 20,
        "user_id": int(pages.unit_N[row]),
        "item_ids": [100 + width * row + place for place in range(width)],
        "latency_ms": 1.0,
        "scores": pages.score_NK[row].tobytes(),
        "ranks": np.arange(1, width + 1, dtype=np.int32).tobytes(),
        "features": np.ascontiguousarray(features, np.float32).tobytes(),
        "propensities": pages.propensity_NK[row].tobytes(),
        "placements": pages.placement_NK[row].tobytes(),
        "rollout": "a rollout",
        **({"variant": "champion"} if row % 2 else {}),
    }
    if "variant" in changed:
        values["rollout"] = None
    return ScoredRequest(**{**values, **changed})


def _event(events: list[dict[str, Any]], request_id: str, user: Any, item: Any, at: Any, click: int) -> dict[str, Any]:
    return {
        "interaction_id": f"e{len(events)}",
        "user_id": user,
        "item_id": item,
        "timestamp": at.isoformat(),
        "click": click,
        "dwell_time": 1.5,
        "device": "mobile",
        "request_id": request_id,
    }
