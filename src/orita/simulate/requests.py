"""Users of the synthetic world ask a server for rankings, look at the first page, and react.

Legend: P page views, N rows, C candidates.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.core.progress import SILENT, Progress
from orita.events.world import DEVICES, Impressions, Reactions, World
from orita.events.world.arrays import Integers, Stream, random_stream
from orita.events.world.history import INTERACTION_COLUMNS, interaction_rows
from orita.events.world.tablefiles import open_table
from orita.simulate.client import Answer, RankingClient
from orita.simulate.page import ExpectedClicks, PageView, expected_clicks, look
from orita.simulate.report import SimulationReport

__all__ = ["simulate_requests", "strictly_rising"]

_HOUR = 3_600_000_000
_MILLISECOND = 1_000
_GIVE_UP_AFTER = 5  # requests in a row without a connection


@dataclass(frozen=True, eq=False, slots=True)
class _Seen:
    """What a simulation remembers of its requests."""

    answers: list[Answer]
    views: list[PageView]
    expected: list[ExpectedClicks]


def simulate_requests(
    world: World,
    base_url: str,
    feedback: Path,
    *,
    start: int,
    requests: int = 1000,
    items: int = 100,
    page_length: int = 10,
    seed: int = 0,
    progress: Progress = SILENT,
) -> SimulationReport:
    """Send *requests* to ``POST {base_url}/predict``, one after the other, and write what users did to *feedback*.

    Users come by their activity, at the rate and in the rhythm of the generated history, at strictly rising times. Of
    *items* candidates, chosen as the world's own recommender would, they see the first *page_length* of the answer.

    Args:
        world: whose users they are.
        base_url: the server, such as ``http://127.0.0.1:8080``.
        feedback: receives Interaction rows as JSON lines, whole or not at all; ``request_id`` is the answer's
            ``X-Request-Id``.
        start: time of the first requests, microseconds since the Unix epoch; usually the end of the history.
        requests, items, page_length: sizes, at least 1.
        seed: fixes who comes, the candidates and, for the same answers, the reactions.
        progress: where to draw progress.

    Raises:
        UserError: a size is below 1, *start* lies before the world's range, or no server answers.
    """
    _check(world, start=start, requests=requests, items=items, page_length=page_length)
    rng = random_stream(seed, Stream.SIMULATION, start)
    visits = _visits(world, rng, requests, -(-start // _MILLISECOND) * _MILLISECOND)
    seen = _Seen([], [], [])
    client, silent = RankingClient(base_url), 0
    with progress.bar("Simulate requests", requests) as bar:
        try:
            for visit in visits:
                # Each request has its own stream: a failed one does not change what later users do.
                own = random_stream(seed, Stream.SIMULATION, start, len(seen.answers))
                answer = _ask(world, own, client, visit, items, page_length, seen)
                silent = silent + 1 if answer.outcome == "unreachable" else 0
                if silent and (len(seen.answers) == 1 or silent >= _GIVE_UP_AFTER):
                    raise UserError(
                        f"no server answers at {base_url} (after {len(seen.answers) - silent} requests): "
                        "start one with 'orita serve', or give its address."
                    )
                bar.advance()
        finally:
            client.close()
    _write(seen.views, rng, feedback)
    return _report(seen, [visit[2] for visit in visits], feedback)


def _check(world: World, *, start: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name} is {size}: it must be at least 1.")
    if start < world.rhythm.start:
        raise UserError(
            f"start is {from_micros(start).isoformat()}, before the world begins: "
            f"choose a time from {from_micros(world.rhythm.start).isoformat()} on."
        )


def _visits(world: World, rng: np.random.Generator, requests: int, start: int) -> list[tuple[int, int, int]]:
    """Return (user, device, time) of each visit, in order of time."""
    history = world.rhythm.end - world.rhythm.start
    pages = max(1, world.config.num_interactions // world.page_length)
    span = max(_HOUR, requests * history // pages) // _MILLISECOND * _MILLISECOND
    time_P = strictly_rising(world.rhythm.times(rng, requests, start, start + span))
    users_P, devices_P = world.people.draw(rng, time_P), world.rhythm.devices(rng, time_P)
    return list(zip(users_P.tolist(), devices_P.tolist(), time_P.tolist(), strict=True))


def strictly_rising(time_P: Integers) -> Integers:
    """Return ascending times moved so little later that each is at least a millisecond after the one before."""
    steps_P = np.arange(len(time_P)) * _MILLISECOND
    rising_P: Integers = np.maximum.accumulate(time_P - steps_P) + steps_P
    return rising_P


def _ask(
    world: World,
    rng: np.random.Generator,
    client: RankingClient,
    visit: tuple[int, int, int],
    items: int,
    page_length: int,
    seen: _Seen,
) -> Answer:
    user, device, at_micros = visit
    candidates_C = world.candidates(rng, user, at_micros, items)
    timestamp = from_micros(at_micros).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    answer = client.predict(user, candidates_C.tolist(), DEVICES[device], timestamp)
    seen.answers.append(answer)
    if answer.outcome == "ok":
        ranked_N = np.array(answer.items[:page_length], np.int64)
        seen.views.append(look(world, rng, visit, ranked_N, answer.request_id))
        seen.expected.append(expected_clicks(world, visit, candidates_C, ranked_N))
    return answer


def _write(views: list[PageView], rng: np.random.Generator, feedback: Path) -> None:
    with atomic_file(feedback) as partial, open_table(partial, INTERACTION_COLUMNS, "jsonl") as rows:
        if not views:
            return
        shown = Impressions(
            *(
                np.concatenate([getattr(view.shown, name) for view in views])
                for name in ("users_N", "items_N", "time_N", "devices_N", "positions_N")
            )
        )
        reactions = Reactions(
            *(
                np.concatenate([getattr(view.reactions, name) for view in views])
                for name in ("click", "like", "share", "dwell")
            )
        )
        requests = pa.array([view.request_id for view in views for _ in range(len(view.shown))], pa.string())
        rows.write_table(interaction_rows(rng, shown, reactions, requests))


def _report(seen: _Seen, times: list[int], feedback: Path) -> SimulationReport:
    outcomes = Counter(answer.outcome for answer in seen.answers)
    latencies = [answer.latency_ms for answer in seen.answers if answer.outcome == "ok"]
    shown = sum(len(view.shown) for view in seen.views)
    clicks = sum(int(view.reactions.click.sum()) for view in seen.views)

    def rate(expected: float) -> float | None:
        return expected / shown if shown else None

    return SimulationReport(
        requests=len(seen.answers),
        failures=len(seen.answers) - outcomes["ok"],
        outcomes=dict(outcomes),
        latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
        latency_p99_ms=float(np.percentile(latencies, 99)) if latencies else None,
        shown=shown,
        clicks=clicks,
        click_rate=rate(clicks),
        expected_click_rate=rate(sum(clicks.ranked for clicks in seen.expected)),
        random_click_rate=rate(sum(clicks.random for clicks in seen.expected)),
        best_click_rate=rate(sum(clicks.best for clicks in seen.expected)),
        first_micros=times[0],
        last_micros=times[-1],
        feedback=feedback,
    )
