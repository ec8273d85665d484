"""Keeping online features, and the lake, up with the event log until somebody says stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace

import pyarrow as pa

from orita.core.errors import UserError
from orita.events.lake import Lake
from orita.events.log.log import EventLog
from orita.events.schema import TableSchema
from orita.events.sink import sink
from orita.features.api.feature_store import FeatureStore
from orita.features.generations.generation import Generation
from orita.features.generations.generations import Generations
from orita.features.generations.steps import most_events
from orita.features.plan import Plan
from orita.features.state.id_kinds import id_columns
from orita.features.stores.store import OnlineStore, StoreAway
from orita.features.stream.intake import offset_name
from orita.features.stream.worker import Progressed, StreamWorker
from orita.pipelines.etl import publish_online, record_features
from orita.pipelines.log_retention import retain_events
from orita.pipelines.outages import Outages
from orita.pipelines.workspace import Workspace

__all__ = ["Streamed", "stream_features"]

_WAIT_SECONDS = 0.2
_MOST_ROWS = 20_000
_RETAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a stream has done so far.

    Attributes:
        counted, duplicates, unsound: events, as in `orita.features.stream.worker.Progressed`.
        held: events that wait until they are known.
        waiting: rows of the log that were not taken yet, and events that wait no longer and were not counted yet.
        seconds: since it began.
        generation: the published state that it keeps up.
        away: why it waits for the online store; empty where it does not.
    """

    counted: int = 0
    duplicates: int = 0
    unsound: int = 0
    held: int = 0
    waiting: int = 0
    seconds: float = 0.0
    generation: str = ""
    away: str = ""

    def after(self, step: Progressed) -> Streamed:
        """Return what is done after one more *step*."""
        return replace(
            self,
            counted=self.counted + step.counted,
            duplicates=self.duplicates + step.duplicates,
            unsound=self.unsound + step.unsound,
            held=step.held,
        )


def stream_features(
    workspace: Workspace,
    *,
    until: Callable[[Streamed], bool],
    log: EventLog | None = None,
    once: bool = False,
    into_lake: bool = True,
) -> Streamed:
    """Take events from the log into the online features, and into the lake, until *until* says so.

    Where nothing was published yet, the stream publishes what the lake has. A newer generation of the online state is
    taken up when it is published. Where the server of the online store goes away after the stream began, the stream
    waits until it is back, and counts on from what the store has then. Every minute, and in the end, the log lets go
    what ``events.retention`` allows.

    Args:
        workspace: whose features.
        until: asked after each step and while it waits, with what was done so far; it may also tell it.
        log: where events arrive, by default the log that the project names.
        once: end also when everything in the log has been taken, by the lake too; nothing is waited for.
        into_lake: whether the events are stored in the lake too, by a thread of their own.

    Raises:
        UserError: what is published is of other declarations, or a feature cannot be streamed.
        StoreAway: the online store cannot be reached when the stream begins, or, with *once*, at all.
    """
    store = _feature_store(workspace, log or workspace.event_log())
    store.open_streams()
    sinks = _sinks(workspace, store.log, drain=once) if into_lake else nullcontext(_nothing_failed)
    try:
        with sinks as failed:
            done = _streamed(workspace, store.log, until, once=once, failed=failed)
        if workspace.events.retention.limited and not done.away:
            retain_events(workspace, store.log)
        return done
    finally:
        if log is None:
            store.close()


def _feature_store(workspace: Workspace, log: EventLog) -> FeatureStore:
    return FeatureStore(
        workspace.home,
        workspace.system,
        log=log,
        partitions=workspace.events.partitions,
        generations=workspace.generations(),
        validation=workspace.data.validation,
        clock=workspace.clock,
    )


def _streamed(
    workspace: Workspace, log: EventLog, until: Callable[[Streamed], bool], *, once: bool, failed: Callable[[], None]
) -> Streamed:
    """Step until the end, through generation after generation; *failed* raises what ended something beside."""
    begun, outages = workspace.clock.monotonic(), Outages(workspace.system.name)
    done, ended, retaining = Streamed(), False, _Retaining(workspace)

    def told() -> bool:
        nonlocal done
        done = replace(done, seconds=workspace.clock.monotonic() - begun)
        failed()
        return until(done)

    with closing(workspace.generations()) as generations:
        while not ended:
            try:
                with _worker(workspace, generations, log) as (generation, worker, state):
                    done = replace(done, generation=generation.name)
                    while not ended and not _newer(generations, generation):
                        step = worker.step(_WAIT_SECONDS)
                        waiting = _waiting(workspace, log, state) + step.due
                        done = replace(done.after(step), waiting=waiting, away="")
                        outages.over()
                        if retaining.due() and not _newer(generations, generation):
                            retain_events(workspace, log, state, of=generation.name)
                        ended = told() or (once and not done.waiting)
            except StoreAway as error:
                if once or not done.generation:  # nobody waits for what may have another address
                    raise
                done = replace(done, away=str(error))
                ended = _paused(outages.met(error), told)
    return done


class _Retaining:
    """Tells when the log is to let go of what is held elsewhere: every minute, where the configuration limits it."""

    def __init__(self, workspace: Workspace) -> None:
        self._limited, self._next = workspace.events.retention.limited, time.monotonic() + _RETAIN_SECONDS

    def due(self) -> bool:
        """Tell whether it is time, and begin the next minute."""
        if not self._limited or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _RETAIN_SECONDS
        return True


def _paused(seconds: float, ended: Callable[[], bool]) -> bool:
    """Wait, as long as *ended* does not say so; return whether it did."""
    until = time.monotonic() + seconds
    while not (end := ended()) and time.monotonic() < until:
        time.sleep(min(_WAIT_SECONDS, seconds))
    return end


@contextmanager
def _worker(
    workspace: Workspace, generations: Generations, log: EventLog
) -> Iterator[tuple[Generation, StreamWorker, OnlineStore]]:
    """Open the newest generation for writing, with a worker that keeps it up."""
    system, plan = workspace.system.name, workspace.plan
    generation = generations.current() or _first(workspace)
    if generation.plan != plan.version:
        raise UserError(
            f"the online features of {system!r} were published for other declarations ({generation.plan}, now "
            f"{plan.version}): run 'orita features backfill' to publish them anew."
        )
    with closing(generations.writing(generation.name)) as store:
        worker = StreamWorker(
            plan,
            log,
            store,
            f"online-{generation.name}",
            clock=workspace.clock,
            most_rows=min(_MOST_ROWS, most_events(plan, generations.most_changes)),
            id_types=_id_types(plan, generation),
            validation=workspace.data.validation,
        )
        with closing(worker):
            yield generation, worker, store


def _first(workspace: Workspace) -> Generation:
    """Publish what the lake has, which may be nothing yet: a stream needs no publication before it."""
    with workspace.alone("etl_and_feature_engineering"):
        generation = publish_online(workspace)
        record_features(workspace)
    return generation


def _id_types(plan: Plan, generation: Generation) -> dict[str, pa.DataType]:
    """Return the types that ids have in the state, by the columns of events; what was not seen yet has none."""
    return {
        column: pa.string() if set(kinds) & set(generation.string_ids) else pa.int64()
        for column, kinds in id_columns(plan).items()
        if set(kinds) - set(generation.unknown_ids)
    }


def _newer(generations: Generations, generation: Generation) -> bool:
    newest = generations.current()
    return newest is not None and newest.name != generation.name


def _waiting(workspace: Workspace, log: EventLog, store: OnlineStore) -> int:
    """Return the rows of the log that the state does not hold."""
    rows = 0
    for source in {record.source.name: record.source for record in workspace.plan.records}.values():
        for partition in range(log.partitions(source.name)):
            taken = store.offset(offset_name(source, partition)) or 0
            rows += max(0, log.end(source.name, partition) - max(taken, log.start(source.name, partition)))
    return rows


@contextmanager
def _sinks(workspace: Workspace, log: EventLog, *, drain: bool) -> Iterator[Callable[[], None]]:
    """Store what arrives in the lake meanwhile, a thread a stream; yield what raises the error that ended one.

    With *drain*, all that is in the log is in the lake when the block ends.
    """
    stopping = threading.Event()
    errors: list[Exception] = []
    schemas = {record.source.name: record.source.schema for record in workspace.plan.records}

    def guarded(stream: str, schema: TableSchema) -> None:
        try:
            _store(workspace, log, stream, schema, stopping.is_set)
        except Exception as error:  # it ends the stream too, which raises it
            errors.append(error)

    threads = [
        threading.Thread(target=guarded, args=(name, schema), name=f"sink-{name}") for name, schema in schemas.items()
    ]
    for thread in threads:
        thread.start()

    def failed() -> None:
        if errors:
            raise errors[0]

    try:
        yield failed
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    failed()
    for name, schema in schemas.items() if drain else ():
        _store(workspace, log, name, schema, None)


def _store(
    workspace: Workspace, log: EventLog, stream: str, schema: TableSchema, until: Callable[[], bool] | None
) -> None:
    """Bring a stream into its table, until somebody says so, or (None) up to its end."""
    lake = Lake(workspace.home)
    origin = lake.origin(schema.name) if lake.exists(schema.name) else {"system": workspace.system.name}
    config, clock = workspace.data.validation, workspace.clock
    sink(workspace.home, log, stream, schema, config, origin=origin, clock=clock, until=until)


def _nothing_failed() -> None:
    """Say that nothing beside went wrong, where there is nothing beside."""
