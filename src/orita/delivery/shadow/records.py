"""What is kept of each mirrored request: how the candidate's ranking differs, or why there is none.

Legend: R requests, N items of one request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.delivery.shadow.candidate import Failed, Scored
from orita.delivery.shadow.comparison import MEASURES, compared
from orita.events.prediction_segment import ScoredRequest

__all__ = ["SAMPLED", "SHADOW_SCHEMA", "Mirrored", "shadow_rows"]

SAMPLED = 8
"""Items of a request of which both scores are kept, drawn at random: the distributions of scores come from them."""

_MICROS = pa.timestamp("us", tz="UTC")
_SCORES = pa.list_(pa.float32())

SHADOW_SCHEMA = pa.schema(
    [
        ("timestamp", _MICROS),
        ("request_id", pa.string()),
        ("answer", pa.int64()),
        ("user_id", pa.string()),
        ("champion", pa.string()),
        ("candidate", pa.string()),
        ("items", pa.int32()),
        *((name, pa.float32()) for name in MEASURES),
        ("furthest_item", pa.string()),
        ("furthest_champion_score", pa.float32()),
        ("furthest_candidate_score", pa.float32()),
        ("furthest_champion_rank", pa.int32()),
        ("furthest_candidate_rank", pa.int32()),
        ("champion_scores", _SCORES),
        ("candidate_scores", _SCORES),
        ("champion_ms", pa.float32()),
        ("candidate_ms", pa.float32()),
        ("candidate_cpu_ms", pa.float32()),
        ("features_from", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
    ]
)
"""One row a mirrored request and candidate: measures as `comparison` has them, null where they say nothing, as where
there is an ``error``; the item whose score is furthest from the champion's; ``champion_ms`` is the whole answer,
``candidate_ms`` scoring alone. ``answer`` tells answers of one request id apart."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A request that was answered, by which version, and what the candidate says of it."""

    request: ScoredRequest
    champion: str
    told: Scored | Failed


def shadow_rows(mirrored: Sequence[Mirrored], candidate: str) -> pa.Table:
    """Return the rows of *mirrored*, in their order."""
    requests = [each.request for each in mirrored]
    scored_R = [r for r, each in enumerate(mirrored) if isinstance(each.told, Scored)]
    champion = [np.frombuffer(requests[r].scores, np.float32) for r in scored_R]
    other = [each.told.scores_N for each in mirrored if isinstance(each.told, Scored)]
    columns: dict[str, object] = {
        "timestamp": pa.array([each.at_micros for each in requests], pa.int64()).cast(_MICROS),
        "request_id": [each.request_id for each in requests],
        "answer": [each.salt for each in requests],
        "user_id": [str(each.user_id) for each in requests],
        "champion": [each.champion for each in mirrored],
        "candidate": [candidate] * len(mirrored),
        "items": [len(each.item_ids) for each in requests],
        "champion_ms": [each.latency_ms for each in requests],
        "candidate_ms": _of_scored(mirrored, "milliseconds"),
        "candidate_cpu_ms": _of_scored(mirrored, "cpu_milliseconds"),
        "features_from": _of_scored(mirrored, "features_from"),
        "error": [each.told.kind if isinstance(each.told, Failed) else None for each in mirrored],
        "message": [each.told.message if isinstance(each.told, Failed) else None for each in mirrored],
    }
    for name, values in compared(champion, other).items():
        columns[name] = _spread([None if np.isnan(v) else v for v in values.tolist()], scored_R, len(mirrored))
    furthest = [_furthest(requests[r], a, b) for r, a, b in zip(scored_R, champion, other, strict=True)]
    for at, name in enumerate(_FURTHEST):
        columns[name] = _spread([each[at] for each in furthest], scored_R, len(mirrored))
    drawn = [_drawn(requests[r], a, b) for r, a, b in zip(scored_R, champion, other, strict=True)]
    for at, name in enumerate(("champion_scores", "candidate_scores")):
        columns[name] = _spread([each[at] for each in drawn], scored_R, len(mirrored))
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in SHADOW_SCHEMA}, SHADOW_SCHEMA)


_FURTHEST = (
    "furthest_item",
    "furthest_champion_score",
    "furthest_candidate_score",
    "furthest_champion_rank",
    "furthest_candidate_rank",
)


def _furthest(request: ScoredRequest, champion_N: Floats, candidate_N: Floats) -> tuple[object, ...]:
    """Return the item whose scores are furthest apart, both scores, and both ranks from 1."""
    n = int(np.argmax(np.abs(candidate_N - champion_N)))
    ranks = _rank(champion_N, n), _rank(candidate_N, n)
    return str(request.item_ids[n]), float(champion_N[n]), float(candidate_N[n]), *ranks


def _rank(scores_N: Floats, n: int) -> int:
    """Return the rank of item *n* from 1: after what has a higher score, and what has the same and stands before it."""
    return int(np.count_nonzero(scores_N > scores_N[n]) + np.count_nonzero(scores_N[:n] == scores_N[n])) + 1


def _drawn(request: ScoredRequest, champion_N: Floats, candidate_N: Floats) -> tuple[list[float], list[float]]:
    """Return both scores of some items, the same in every run."""
    if len(champion_N) > SAMPLED:
        at = np.random.default_rng(request.salt).choice(len(champion_N), SAMPLED, replace=False)
        champion_N, candidate_N = champion_N[at], candidate_N[at]
    return champion_N.tolist(), candidate_N.tolist()


def _of_scored(mirrored: Sequence[Mirrored], name: str) -> list[object]:
    return [getattr(each.told, name) if isinstance(each.told, Scored) else None for each in mirrored]


def _spread(values: Sequence[object], at: Sequence[int], rows: int) -> list[object]:
    """Return *values* at their rows, None in the others."""
    spread: list[object] = [None] * rows
    for row, value in zip(at, values, strict=True):
        spread[row] = value
    return spread
