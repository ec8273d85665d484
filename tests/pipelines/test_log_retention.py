"""The event log lets go of what lake and online features hold, as the configuration says, and of nothing else."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.features.stream.counting_worker import SHOWN, counting_system
from tests.features.stream.test_stream_worker import START, append, assert_counted, made

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.opening import EventLogConfig, RetentionConfig
from orita.events.sink import sink
from orita.features.generations import publish
from orita.features.generations.filling import Filled, fill_store
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.intake import offset_name
from orita.pipelines import log_retention
from orita.pipelines.etl import publish_online
from orita.pipelines.feature_stream import stream_features
from orita.pipelines.log_retention import retain_events
from orita.pipelines.workspace import Workspace

HORIZON = 6


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A system whose log keeps a day of events, and the last six that are held elsewhere."""
    monkeypatch.setattr(log_retention, "HORIZON", HORIZON)
    events = EventLogConfig(retention=RetentionConfig(days=1))
    return Workspace(Home(tmp_path), counting_system(), events=events, clock=ManualClock(START + timedelta(days=1)))


@pytest.fixture
def log(workspace: Workspace) -> EmbeddedLog:
    """Its log, of which each append can be deleted apart."""
    return EmbeddedLog(workspace.home, workspace.clock, segment_bytes=1)


def pushed(workspace: Workspace, log: EmbeddedLog, first: int, end: int) -> None:
    """Push events one by one, and let two days pass."""
    for event in made(end)[first:]:
        append(log, [event], partitions=1)
    assert isinstance(workspace.clock, ManualClock)
    workspace.clock.advance(timedelta(days=2))


def test_nothing_goes_that_lake_or_online_features_lack(workspace: Workspace, log: EmbeddedLog) -> None:
    """Old events stay until both have them, and the last ones within the horizon of ids stay then."""
    pushed(workspace, log, 0, 20)
    assert retain_events(workspace, log) == {"interactions": {0: 0}}
    sink(workspace.home, log, "interactions", SHOWN.schema, clock=workspace.clock)
    assert retain_events(workspace, log) == {"interactions": {0: 0}}, "online features lack them"
    publish_online(workspace)
    pushed(workspace, log, 20, 30)
    assert retain_events(workspace, log) == {"interactions": {0: 20 - HORIZON}}
    sink(workspace.home, log, "interactions", SHOWN.schema, clock=workspace.clock)
    assert retain_events(workspace, log) == {"interactions": {0: 20 - HORIZON}}, "online features lack the last"


def test_what_is_young_stays(workspace: Workspace, log: EmbeddedLog) -> None:
    """Events of the last day stay, whoever holds them."""
    pushed(workspace, log, 0, 10)
    for event in made(30)[10:]:
        append(log, [event], partitions=1)
    stream_features(workspace, until=lambda _: False, log=log, once=True)
    assert log.start("interactions", 0) in (9, 10), "one event is a segment, which goes once the next is old, too"


def test_a_stream_lets_the_log_go(workspace: Workspace, log: EmbeddedLog) -> None:
    """What a stream has brought into lake and features goes by itself, and an event of before still counts once."""
    pushed(workspace, log, 0, 30)
    assert stream_features(workspace, until=lambda _: False, log=log, once=True).counted == 30
    assert log.start("interactions", 0) == 30 - HORIZON
    append(log, made(30)[5:], partitions=1)
    again = stream_features(workspace, until=lambda _: False, log=log, once=True)
    assert (again.counted, again.duplicates) == (0, 25)
    with closing(workspace.generations()) as generations:
        current = generations.current()
        assert current is not None
        with closing(generations.reading(current.name)) as store:
            assert_counted(store, made(30))


def test_a_running_stream_lets_the_log_go(
    workspace: Workspace, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so while it runs, not in the end alone."""
    monkeypatch.setattr("orita.pipelines.feature_stream._RETAIN_SECONDS", 0.0)
    pushed(workspace, log, 0, 30)
    steps = 0

    def ended(_: object) -> bool:
        nonlocal steps
        steps += 1
        assert steps < 300, "the log keeps everything"
        return log.start("interactions", 0) == 30 - HORIZON

    stream_features(workspace, until=ended, log=log)


def test_a_size_limits_a_stream(workspace: Workspace, log: EmbeddedLog) -> None:
    """Over its gigabytes the oldest events go first."""
    events = EventLogConfig(retention=RetentionConfig(gigabytes=1e-6))
    small = Workspace(workspace.home, workspace.system, events=events, clock=workspace.clock)
    pushed(small, log, 0, 30)
    stream_features(small, until=lambda _: False, log=log, once=True)
    assert log.start("interactions", 0) == 30 - HORIZON


def test_without_a_limit_nothing_goes(workspace: Workspace, log: EmbeddedLog) -> None:
    """The log keeps everything unless the configuration says otherwise, and who asks it to let go is told so."""
    unlimited = Workspace(workspace.home, workspace.system, clock=workspace.clock)
    pushed(unlimited, log, 0, 30)
    stream_features(unlimited, until=lambda _: False, log=log, once=True)
    assert log.start("interactions", 0) == 0
    with pytest.raises(UserError, match=r"events.retention .* days, gigabytes or both"):
        retain_events(unlimited, log)


def test_what_kafka_cannot_measure_is_refused() -> None:
    """A size is refused for Kafka when the configuration is read, not when the first event is to go."""
    with pytest.raises(ValidationError, match="give days"):
        EventLogConfig(log="kafka", servers="broker:9092", retention=RetentionConfig(gigabytes=1))
    EventLogConfig(log="kafka", servers="broker:9092", retention=RetentionConfig(days=1))


def test_what_a_publication_on_its_way_will_go_on_from_stays(
    workspace: Workspace, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that goes on meanwhile lets nothing go that the new generation has yet to count."""
    pushed(workspace, log, 0, 10)
    sink(workspace.home, log, "interactions", SHOWN.schema, clock=workspace.clock)
    before = publish_online(workspace).name
    pushed(workspace, log, 10, 20)
    sink(workspace.home, log, "interactions", SHOWN.schema, clock=workspace.clock)
    fill = fill_store

    def slow(*args: Any, **options: Any) -> Filled:
        monkeypatch.undo()
        monkeypatch.setattr(log_retention, "HORIZON", HORIZON)
        pushed(workspace, log, 20, 60)
        sink(workspace.home, log, "interactions", SHOWN.schema, clock=workspace.clock)
        assert retain_events(workspace, log, another, "another") == {}
        assert retain_events(workspace, log, another, before) == {"interactions": {0: 20 - HORIZON}}
        return fill(*args, **options)

    another = LmdbStore(workspace.home.root / "another")
    another.apply(offset_name(SHOWN, 0), 0, 60, [])
    monkeypatch.setattr(publish, "fill_store", slow)
    publish_online(workspace)
    done = stream_features(workspace, until=lambda _: False, log=log, once=True)
    assert (done.counted, done.waiting) == (40, 0)
