"""Real events replayed as live traffic: users who come back ask a server to rank what they are about to see.

Where there is no synthetic world, the last part of a data set is held out and played: the events of one user close
together in time are a visit; its items, among at least as many others drawn at random, are the candidates of one
request. Users react to the items that they really reacted to, and to no other, as those are the only reactions known;
an event that comes back keeps its id, and so is stored once, however it comes.

Legend: E events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.core.progress import SILENT, Progress
from orita.simulate.client import Answer, RankingClient

__all__ = ["ReplayReport", "replay_events"]

_VISIT_GAP = 1_800_000_000
_GIVE_UP_AFTER = 5


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found.

    Attributes:
        requests: how many were sent.
        failures: how many got no usable answer.
        latency_p50_ms, latency_p99_ms: of answered requests, as the client saw them; None where none was answered.
        events: held-out events that came back as feedback.
        click_rate_top: click rate of the known items in the better half of each answer; None without any.
        click_rate_bottom: the same in the worse half.
        feedback: JSON lines with what the users did, Interaction rows.
    """

    requests: int
    failures: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    events: int
    click_rate_top: float | None
    click_rate_bottom: float | None
    feedback: Path


def replay_events(
    events: pa.Table,
    pool: list[int | str],
    base_url: str,
    feedback: Path,
    *,
    start: int,
    requests: int = 1000,
    items: int = 100,
    most_items: int = 1000,
    seed: int = 0,
    progress: Progress = SILENT,
) -> ReplayReport:
    """Play *events* as requests to ``POST {base_url}/predict``, at most *requests* visits, in order of time.

    Args:
        events: interactions in order of time: ``user_id``, ``item_id``, ``timestamp``, ``click``, and what else
            feedback should carry.
        pool: item ids to draw the other candidates from, popular ones more often.
        base_url: the server, such as ``http://127.0.0.1:8080``.
        feedback: receives Interaction rows as JSON lines, whole or not at all.
        start: no request is earlier than this, microseconds since the Unix epoch.
        requests: at most so many are sent; the events of later visits are left out.
        items: candidates of each request; of a long visit twice its events.
        most_items: of a longer one so many; it is several requests then.
        seed: fixes the drawn candidates.
        progress: where to draw progress.

    Raises:
        UserError: no server answers.
    """
    rng = np.random.default_rng(seed)
    client, answers, rows = RankingClient(base_url), [], []
    halves: list[tuple[bool, int]] = []
    with progress.bar("Replay visits", requests) as bar:
        try:
            for visit in _visits(events, most_items // 2, requests):
                known = [row["item_id"] for row in visit]
                drawn = (pool[i] for i in rng.integers(0, len(pool), 4 * max(items, len(known))).tolist())
                candidates = list(dict.fromkeys([*known, *drawn]))[: max(items, 2 * len(known))]
                at = from_micros(max(start, _micros(visit[0]) - 1)).isoformat().replace("+00:00", "Z")
                answer = client.predict(visit[0]["user_id"], candidates, visit[0].get("device"), at)
                answers.append(answer)
                _refuse_silence(answers, base_url)
                if answer.outcome == "ok":
                    shown = _reactions(visit, answer)
                    rows += shown
                    halves += [(row["position"] <= len(candidates) // 2, row["click"]) for row in shown]
                bar.advance()
        finally:
            client.close()
    with atomic_file(feedback) as partial:
        partial.write_text("".join(json.dumps(row, default=_text) + "\n" for row in rows), encoding="utf-8")
    latencies = [answer.latency_ms for answer in answers if answer.outcome == "ok"]
    return ReplayReport(
        requests=len(answers),
        failures=len(answers) - len(latencies),
        latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
        latency_p99_ms=float(np.percentile(latencies, 99)) if latencies else None,
        events=len(rows),
        click_rate_top=_rate([click for top, click in halves if top]),
        click_rate_bottom=_rate([click for top, click in halves if not top]),
        feedback=feedback,
    )


def _visits(events: pa.Table, longest: int, most: int) -> Iterator[list[dict[str, Any]]]:
    """Yield visits of at most *longest* events in order of their start: one user's, less than half an hour apart."""
    under_way: dict[Any, list[dict[str, Any]]] = {}
    visits: list[list[dict[str, Any]]] = []
    for row in events.to_pylist():
        open_visit = under_way.get(row["user_id"])
        if open_visit is None or len(open_visit) == longest or _micros(row) - _micros(open_visit[-1]) > _VISIT_GAP:
            open_visit = under_way[row["user_id"]] = []
            visits.append(open_visit)
        open_visit.append(row)
    return iter(visits[:most])


def _micros(row: dict[str, Any]) -> int:
    at: datetime = row["timestamp"]
    return int(at.timestamp() * 1_000_000)


def _reactions(visit: list[dict[str, Any]], answer: Answer) -> list[dict[str, Any]]:
    position = {item: rank for rank, item in enumerate(answer.items, 1)}
    return [
        {
            **{name: value for name, value in row.items() if value is not None},
            "request_id": answer.request_id,
            "position": position[row["item_id"]],
        }
        for row in visit
        if row["item_id"] in position
    ]


def _refuse_silence(answers: list[Answer], base_url: str) -> None:
    latest = answers[-_GIVE_UP_AFTER:]
    if all(a.outcome == "unreachable" for a in latest) and len(latest) == min(len(answers), _GIVE_UP_AFTER):
        raise UserError(f"no server answers at {base_url}: start one with 'orita serve', or give its address.")


def _rate(clicks: list[int]) -> float | None:
    return sum(clicks) / len(clicks) if clicks else None


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
