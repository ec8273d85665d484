"""The history of a world as rows of the Interaction schema, in blocks that keep memory bounded.

Legend: N rows, P page views, L items of a page, W bytes of a text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orita.core.progress import SILENT, Progress
from orita.events.world.arrays import Floats, Integers, Stream, random_stream
from orita.events.world.response import Impressions, Reactions, chance
from orita.events.world.rhythm import DEVICES, TIMES_OF_DAY, hour_of, time_of_day, weekday_of
from orita.events.world.timestrings import fixed_strings, iso_strings, uuid7_bytes
from orita.events.world.world import World

__all__ = ["INTERACTION_COLUMNS", "Block", "blocks", "interaction_rows", "interactions"]

INTERACTION_COLUMNS = pa.schema(
    [
        ("interaction_id", pa.string()),
        ("user_id", pa.int64()),
        ("item_id", pa.int64()),
        ("timestamp", pa.string()),
        ("click", pa.int8()),
        ("like", pa.int8()),
        ("share", pa.int8()),
        ("dwell_time", pa.float64()),
        ("device", pa.string()),
        ("time_of_day", pa.string()),
        ("day_of_week", pa.int8()),
        ("request_id", pa.string()),
        ("position", pa.int16()),
    ]
)
_BLOCK_ROWS = 131_072
_WORKERS = 2
_AHEAD = 4  # blocks made before they are asked for; bounds memory


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Some rows of history and what is hidden from models: ``p_N``, their true click probabilities."""

    table: pa.Table
    p_N: Floats


@dataclass(frozen=True, eq=False, slots=True)
class _Visits:
    time_P: Integers
    users_P: Integers
    devices_P: Integers


def blocks(world: World, progress: Progress = SILENT) -> Iterator[Block]:
    """Yield the history in order of time, ``config.num_interactions`` rows in all.

    Each block has its own random stream, so that the rows do not depend on how many threads make them.
    """
    length = world.page_length
    rows_left = world.config.num_interactions
    visits = _plan(world, -(-rows_left // length))
    step = max(1, _BLOCK_ROWS // length)
    starts = range(0, len(visits.time_P), step)
    waiting: deque[Future[Block]] = deque()
    with (
        progress.bar("Generate interactions", rows_left) as bar,
        ThreadPoolExecutor(_WORKERS, thread_name_prefix="world") as pool,
    ):
        for number, start in enumerate(starts):
            pages = slice(start, start + step)
            rows = min(rows_left, (min(pages.stop, len(visits.time_P)) - start) * length)
            waiting.append(pool.submit(_make, world, visits, pages, number, rows))
            rows_left -= rows
            if len(waiting) >= _AHEAD:
                block = waiting.popleft().result()
                bar.advance(len(block.p_N))
                yield block
        while waiting:
            block = waiting.popleft().result()
            bar.advance(len(block.p_N))
            yield block


def interactions(world: World, progress: Progress = SILENT) -> pa.Table:
    """Return the whole history of *world* in memory (`INTERACTION_COLUMNS`, in order of time)."""
    return pa.concat_tables([block.table for block in blocks(world, progress)])


def _plan(world: World, pages: int) -> _Visits:
    rng = random_stream(world.config.seed, Stream.VISITS)
    time_P = world.rhythm.times(rng, pages, world.rhythm.start, world.rhythm.end)
    return _Visits(time_P, world.people.draw(rng, time_P), world.rhythm.devices(rng, time_P))


def _make(world: World, visits: _Visits, pages: slice, number: int, rows: int) -> Block:
    rng = random_stream(world.config.seed, Stream.ROWS, number)
    length = world.page_length
    time_P, users_P, devices_P = visits.time_P[pages], visits.users_P[pages], visits.devices_P[pages]
    items_PL = world.exposure.pages(rng, users_P, time_P, length)
    shown = Impressions(
        np.repeat(users_P, length)[:rows],
        items_PL.ravel()[:rows],
        np.repeat(time_P, length)[:rows],
        np.repeat(devices_P, length)[:rows],
        np.tile(np.arange(1, length + 1), len(time_P))[:rows],
    )
    odds = world.response.odds(shown, world.base)
    reactions = world.response.react(rng, odds)
    request_PW = uuid7_bytes(rng, time_P)
    requests = fixed_strings(np.repeat(request_PW, length, axis=0)[:rows])
    return Block(interaction_rows(rng, shown, reactions, requests), chance(odds.click_N))


def interaction_rows(
    rng: np.random.Generator, shown: Impressions, reactions: Reactions, request_ids: pa.StringArray
) -> pa.Table:
    """Return rows of the Interaction schema (`INTERACTION_COLUMNS`) with new ids from *rng*."""
    hour_N = hour_of(shown.time_N)
    columns = [
        fixed_strings(uuid7_bytes(rng, shown.time_N)),
        shown.users_N,
        shown.items_N,
        iso_strings(shown.time_N),
        reactions.click.view(np.int8),
        reactions.like.view(np.int8),
        reactions.share.view(np.int8),
        reactions.dwell,
        _named(shown.devices_N, DEVICES),
        _named(time_of_day(hour_N), TIMES_OF_DAY),
        weekday_of(shown.time_N).astype(np.int8),
        request_ids,
        shown.positions_N.astype(np.int16),
    ]
    return pa.table([pa.array(column) for column in columns], schema=INTERACTION_COLUMNS)


def _named(codes_N: Integers, names: tuple[str, ...]) -> pa.StringArray:
    return pa.DictionaryArray.from_arrays(codes_N.astype(np.int8), pa.array(names)).dictionary_decode()
