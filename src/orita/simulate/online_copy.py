"""A copy of a home's online features that simulated users may change: what they do comes back as events.

Events go into a log of its own and from there, by the stream engine, into the copied state, as in a running platform.
The home stays as it is, so that a simulation can be run again and finds the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from orita.core.clock import from_micros
from orita.core.errors import OritaError
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.events.config import ValidationConfig
from orita.events.log.embedded import EmbeddedLog
from orita.features.api.feature_store import FeatureStore
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.generation import Generation, NotPublished
from orita.features.generations.generations import Generations
from orita.features.online.following import OnlineFeatures
from orita.features.plan import plan_of
from orita.features.state.id_kinds import id_columns
from orita.features.state.layout import RESERVED
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.worker import StreamWorker
from orita.features.system import System

__all__ = ["OnlineCopy", "SimulatedClock"]

_MOST_ROWS = 20_000

Record = tuple[bytes, bytes]


class SimulatedClock:
    """Tells the simulated time; its seconds for durations are those of the machine."""

    def __init__(self, at: int) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the simulated time."""
        return from_micros(self._at)

    def monotonic(self) -> float:
        """Return the machine's seconds."""
        return time.monotonic()

    def move(self, to: int) -> None:
        """Let it be *to*, microseconds since the Unix epoch."""
        self._at = to


class _OneState(FolderGenerations):
    """The one generation of a copy, whose store is open already."""

    def __init__(self, folder: Path, generation: Generation, store: LmdbStore) -> None:
        super().__init__(folder)
        self._generation, self._store = generation, store

    def current(self) -> Generation:
        """Return it."""
        return self._generation

    def reading(self, name: str) -> LmdbStore:
        """Return its store: a process opens one once."""
        return self._store


class OnlineCopy:
    """Online features that follow simulated events.

    Args:
        system: the declarations.
        generations: where the published state is that is copied; it is closed.
        folder: receives the copy and its log.
        clock: the simulated time.
        validation: how strictly events are judged.
        progress: where to draw progress.

    Attributes:
        features: what readers read from.
        watermark: time of the latest event of the state that was copied; None without events.
        events: how many were taken since.

    Raises:
        NotPublished: there is no state, or one of other declarations.
    """

    def __init__(
        self,
        system: System,
        generations: Generations,
        folder: Path,
        clock: SimulatedClock,
        *,
        validation: ValidationConfig | None = None,
        progress: Progress = SILENT,
    ) -> None:
        plan = plan_of(system)
        with closing(generations):
            generation = generations.current()
            if generation is None or generation.plan != plan.version:
                what = "no online features" if generation is None else "online features of other declarations"
                raise NotPublished(f"system {system.name!r} has {what}: run 'orita run etl' to publish them.")
            store = LmdbStore(folder / "state")
            with (
                closing(generations.reading(generation.name)) as published,
                progress.bar("Copy online features", sum(generation.records.values())) as bar,
            ):
                records = (record for record in published.scan() if not record[0].startswith(RESERVED))
                store.put_many(_counted(records, bar.advance))
        self._clock, self.watermark, self.events = clock, generation.watermark, 0
        self.features = OnlineFeatures(plan, _OneState(folder, generation, store), ahead=True)
        home = Home(folder)
        self._log = EmbeddedLog(home, clock)
        self._store = FeatureStore(
            home, system, log=self._log, online=self.features, validation=validation, clock=clock
        )
        self._store.open_streams()
        text = {
            column: pa.string() if set(kinds) & set(generation.string_ids) else pa.int64()
            for column, kinds in id_columns(plan).items()
        }
        self._worker = StreamWorker(
            plan, self._log, store, "simulation", clock=clock, most_rows=_MOST_ROWS, id_types=text,
            validation=validation,
        )  # fmt: skip

    def take(self, rows: pa.Table, until: int, /) -> None:
        """Push *rows*, all of which happened before *until*, and count them in the features.

        Raises:
            OritaError: an event did not count.
        """
        self._clock.move(until)
        if not len(rows):
            return
        self._store.push_features(rows)
        counted = 0
        while counted < len(rows):
            step = self._worker.step()
            if step.unsound or step.duplicates or not (step.counted or step.due):
                raise OritaError(
                    f"of {len(rows):,} simulated events {step.unsound} were unsound and {step.duplicates} known "
                    f"already, {step.held} are held back: the source's delay must be 0 in a simulation."
                )
            counted += step.counted
        self.events += counted

    def close(self) -> None:
        """Let log and state go."""
        self._worker.close()
        self._store.close()
        self.features.close()


def _counted(records: Iterable[Record], advance: Callable[[float], None]) -> Iterator[Record]:
    for record in records:
        advance(1)
        yield record
