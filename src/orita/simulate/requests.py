"""Users of the synthetic world ask a server for rankings, look at the first page, and react.

They come now, and what they do is stamped with the clock on the wall, as that of real users is; or, where a start is
given, at times of the world. How users behave follows from the world's own time in either case: now is taken as the
same weekday and hour of the first week after its history.

Legend: P page views, N rows, C candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from orita.core.clock import Clock, SystemClock, from_micros, to_micros
from orita.core.errors import UserError
from orita.core.progress import SILENT, Progress
from orita.events.world import DEVICES, Impressions, Reactions, World
from orita.events.world.arrays import Integers, Stream, random_stream
from orita.events.world.history import INTERACTION_COLUMNS, interaction_rows
from orita.events.world.timestrings import iso_strings
from orita.simulate.client import Answer, RankingClient
from orita.simulate.page import ExpectedClicks, PageView, expected_clicks, look
from orita.simulate.report import SimulationReport

__all__ = ["FEEDBACK_COLUMNS", "TakeFeedback", "simulate_requests", "strictly_rising", "weeks_since"]

TakeFeedback: TypeAlias = Callable[[pa.Table], None]
"""Takes rows of what users did (`FEEDBACK_COLUMNS`), in order of time."""

FEEDBACK_COLUMNS = INTERACTION_COLUMNS.append(pa.field("ingested_at", pa.string()))
"""Interactions with the time at which each became known, ISO 8601."""

_HOUR = 3_600_000_000
_WEEK = 168 * _HOUR
_MILLISECOND = 1_000
_GIVE_UP_AFTER = 5  # requests in a row without a connection
_HAND_OVER_SECONDS = 5.0  # what users did is given away so often: soon enough for a window of some seconds

Visit: TypeAlias = tuple[int, int, int]  # user, device, time of the world in microseconds


@dataclass(slots=True)
class _Seen:
    """What a simulation remembers of its requests; *pending* views were not given away yet."""

    answers: list[Answer]
    pending: list[PageView]
    expected: list[ExpectedClicks]
    times: list[int]
    shown: int = 0
    clicks: int = 0


@dataclass(frozen=True, slots=True)
class _Time:
    """When users come.

    Attributes:
        begin: the first moment, microseconds of the world's time.
        ahead: how much later than the world's time the time of events is, microseconds.
        clock: on the wall, where users come now; None: at times of the world.
    """

    begin: int
    ahead: int
    clock: Clock | None

    def moment(self, world_time: int) -> int:
        """Return the time of the world that it is: by the clock, in whole milliseconds and never early."""
        if self.clock is None:
            return world_time
        return -(-to_micros(self.clock.now()) // _MILLISECOND) * _MILLISECOND - self.ahead


def simulate_requests(
    world: World,
    base_url: str,
    take: TakeFeedback,
    *,
    start: int | None = None,
    requests: int = 1000,
    items: int = 100,
    page_length: int = 10,
    seed: int = 0,
    feed: bool = False,
    clock: Clock | None = None,
    progress: Progress = SILENT,
) -> SimulationReport:
    """Send *requests* to ``POST {base_url}/predict``, one after the other, and give what users did to *take*.

    Users come by their activity. Of *items* candidates, chosen as the world's own recommender would, they see the first
    *page_length* of the answer; of a feed, what the server chose. Without *start* they come now: a request names no
    time, what they do has the time just after the answer, and is given away every five seconds. With it they come at
    the rate and in the rhythm of the generated history, at strictly rising times, and what they did is given away in
    the end.

    Args:
        world: whose users they are.
        base_url: the server, such as ``http://127.0.0.1:8080``.
        take: receives rows; ``request_id`` is the answer's ``X-Request-Id``, ``ingested_at`` the time at which it
            is called, with *start* that of the event.
        start: time of the first requests, microseconds since the Unix epoch; such as the end of the history.
        requests, items, page_length: sizes, at least 1.
        feed: ask ``POST {base_url}/api/v1/feed`` for a page instead; the candidates then only serve to compare with.
        seed: with the time of the first request it fixes who comes, the candidates and, for the same answers, the
            reactions.
        clock: on the wall; by default the machine's.
        progress: where to draw progress.

    Raises:
        UserError: a size is below 1, users would come before the world's range or, with *start*, later than now, or no
            server answers.
    """
    clock = clock or SystemClock()
    time = _time(world, start, clock)
    _check(world, start=time.begin, requests=requests, items=items, page_length=page_length)
    rng = random_stream(seed, Stream.SIMULATION, time.begin)
    visits = _visits_now(world, rng, requests, time) if time.clock else _visits(world, rng, requests, time.begin, clock)
    seen, last = _Seen([], [], [], []), clock.monotonic()
    client, silent = RankingClient(base_url), 0
    asking = _Asking(world, client, time, items, page_length, feed)
    with progress.bar("Simulate requests", requests) as bar:
        try:
            for visit in visits:
                # Each request has its own stream: a failed one does not change what later users do.
                own = random_stream(seed, Stream.SIMULATION, time.begin, len(seen.answers))
                answer = asking.ask(own, visit, seen)
                silent = silent + 1 if answer.outcome == "unreachable" else 0
                if silent and (len(seen.answers) == 1 or silent >= _GIVE_UP_AFTER):
                    raise UserError(
                        f"no server answers at {base_url} (after {len(seen.answers) - silent} requests): "
                        "start one with 'orita serve', or give its address."
                    )
                if time.clock and clock.monotonic() - last >= _HAND_OVER_SECONDS:
                    _give(seen, rng, take, time)
                    last = clock.monotonic()
                bar.advance()
        finally:
            client.close()
            _give(seen, rng, take, time)
    return _report(seen)


def weeks_since(world: World, now: int) -> int:
    """Return how many whole weeks *now* lies behind the first week after the history of *world*, 0 if before its end.

    Args:
        world: whose history.
        now: microseconds since the Unix epoch.
    """
    return max(0, (now - world.rhythm.end) // _WEEK)


def _time(world: World, start: int | None, clock: Clock) -> _Time:
    if start is not None:
        return _Time(-(-start // _MILLISECOND) * _MILLISECOND, 0, None)
    now = -(-to_micros(clock.now()) // _MILLISECOND) * _MILLISECOND
    ahead = weeks_since(world, now) * _WEEK
    return _Time(now - ahead, ahead, clock)


def _check(world: World, *, start: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name} is {size}: it must be at least 1.")
    if start < world.rhythm.start:
        raise UserError(
            f"start is {from_micros(start).isoformat()}, before the world begins: "
            f"choose a time from {from_micros(world.rhythm.start).isoformat()} on."
        )


def _visits(world: World, rng: np.random.Generator, requests: int, start: int, clock: Clock) -> Iterator[Visit]:
    """Return the visits from *start* on, in order of time.

    Raises:
        UserError: the last would be later than now.
    """
    history = world.rhythm.end - world.rhythm.start
    pages = max(1, world.config.num_interactions // world.page_length)
    span = max(_HOUR, requests * history // pages) // _MILLISECOND * _MILLISECOND
    time_P = strictly_rising(world.rhythm.times(rng, requests, start, start + span))
    if time_P[-1] > to_micros(clock.now()):
        raise UserError(
            f"the users would come from {from_micros(start):%Y-%m-%d %H:%M} to "
            f"{from_micros(int(time_P[-1])):%Y-%m-%d %H:%M} UTC of the world's time, later than now: let them come now "
            "(--clock wall), or ask for fewer requests."
        )
    users_P, devices_P = world.people.draw(rng, time_P), world.rhythm.devices(rng, time_P)
    return zip(users_P.tolist(), devices_P.tolist(), time_P.tolist(), strict=True)


def _visits_now(world: World, rng: np.random.Generator, requests: int, time: _Time) -> Iterator[Visit]:
    """Yield the visits, each when it is asked for."""
    for _ in range(requests):
        at_micros = time.moment(time.begin)
        user, device = world.visit(rng, at_micros)
        yield user, device, at_micros


def strictly_rising(time_P: Integers) -> Integers:
    """Return ascending times moved so little later that each is at least a millisecond after the one before."""
    steps_P = np.arange(len(time_P)) * _MILLISECOND
    rising_P: Integers = np.maximum.accumulate(time_P - steps_P) + steps_P
    return rising_P


@dataclass(frozen=True, slots=True)
class _Asking:
    """Who asks for what: *page_length* of *items* candidates, or of the server's own where it is a *feed*."""

    world: World
    client: RankingClient
    time: _Time
    items: int
    page_length: int
    feed: bool

    def ask(self, rng: np.random.Generator, visit: Visit, seen: _Seen) -> Answer:
        """Let the user of a visit ask, look and react; *seen* has it all."""
        world, time, (user, device, at_micros) = self.world, self.time, visit
        candidates_C = world.candidates(rng, user, at_micros, self.items)
        timestamp = None if time.clock else iso_strings(np.array([at_micros]))[0].as_py()
        if self.feed:
            answer = self.client.feed(user, self.page_length, DEVICES[device], timestamp)
        else:
            answer = self.client.predict(user, candidates_C.tolist(), DEVICES[device], timestamp)
        seen.answers.append(answer)
        seen.times.append(at_micros + time.ahead)
        if answer.outcome == "ok":
            visit = (user, device, time.moment(at_micros))
            ranked_N = np.array(answer.items[: self.page_length], np.int64)
            view = look(world, rng, visit, ranked_N, answer.request_id)
            seen.pending.append(view)
            seen.shown += len(view.shown)
            seen.clicks += int(view.reactions.click.sum())
            seen.expected.append(expected_clicks(world, visit, candidates_C, ranked_N))
        return answer


def _give(seen: _Seen, rng: np.random.Generator, take: TakeFeedback, time: _Time) -> None:
    """Give away what users did since the last time, in order."""
    views, seen.pending = seen.pending, []
    if not views:
        return
    shown = Impressions(
        *(
            np.concatenate([getattr(view.shown, name) for view in views])
            for name in ("users_N", "items_N", "time_N", "devices_N", "positions_N")
        )
    )
    shown = replace(shown, time_N=shown.time_N + time.ahead)
    reactions = Reactions(
        *(
            np.concatenate([getattr(view.reactions, name) for view in views])
            for name in ("click", "like", "share", "dwell")
        )
    )
    requests = pa.array([view.request_id for view in views for _ in range(len(view.shown))], pa.string())
    rows = interaction_rows(rng, shown, reactions, requests)
    known_N = np.full(len(shown), to_micros(time.clock.now())) if time.clock else shown.time_N
    known_N = np.maximum(known_N, shown.time_N)  # times of events are rounded up
    take(rows.append_column(FEEDBACK_COLUMNS.field("ingested_at"), iso_strings(known_N)))


def _report(seen: _Seen) -> SimulationReport:
    outcomes = Counter(answer.outcome for answer in seen.answers)
    latencies = [answer.latency_ms for answer in seen.answers if answer.outcome == "ok"]

    def rate(expected: float) -> float | None:
        return expected / seen.shown if seen.shown else None

    return SimulationReport(
        requests=len(seen.answers),
        failures=len(seen.answers) - outcomes["ok"],
        outcomes=dict(outcomes),
        latency_p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
        latency_p99_ms=float(np.percentile(latencies, 99)) if latencies else None,
        shown=seen.shown,
        clicks=seen.clicks,
        click_rate=rate(seen.clicks),
        expected_click_rate=rate(sum(clicks.ranked for clicks in seen.expected)),
        random_click_rate=rate(sum(clicks.random for clicks in seen.expected)),
        best_click_rate=rate(sum(clicks.best for clicks in seen.expected)),
        first_micros=seen.times[0],
        last_micros=seen.times[-1],
    )
