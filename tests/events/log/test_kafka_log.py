"""The Kafka log over the real protocol, against the mock cluster of its client library."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orita.core.clock import Clock
from orita.core.errors import MissingExtra, OritaError, UserError
from orita.events.log import kafka_client
from orita.events.log.kafka import KafkaLog
from orita.events.log.log import AppendFailed, EventLog
from orita.testing.event_logs import EVENT_LOG_PROMISES, check_event_log

_MOCK_GAPS = {
    "retire": "librdkafka's mock cluster does not know DeleteRecords",
    "retain by age": "librdkafka's mock cluster knows neither DeleteRecords nor offsets by time",
}


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """The address of a mock cluster; its topics have 4 partitions and appear when they are asked for."""
    library = importlib.import_module("confluent_kafka")
    cluster = library.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    yield ",".join(f"{each.host}:{each.port}" for each in cluster.list_topics(timeout=10).brokers.values())
    cluster.flush(1)


@pytest.fixture
def open_log(brokers: str, tmp_path: Path) -> Iterator[Callable[[], KafkaLog]]:
    """Opens logs on topics that no other test has, and closes them."""
    logs = []

    def make() -> KafkaLog:
        logs.append(KafkaLog(brokers, prefix=tmp_path.name, create_topics=False))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


@pytest.fixture(scope="module")
def kept(brokers: str) -> dict[str, Future[None]]:
    """What came of each promise of the contract; at once, since most wait for groups, which take 3 seconds to form."""

    def check(number: int, promise: str) -> None:
        def make(clock: Clock) -> EventLog:
            return KafkaLog(brokers, clock, prefix=f"promise-{number}", create_topics=False)

        check_event_log(make, gaps=_MOCK_GAPS, promises=[promise])

    with ThreadPoolExecutor(len(EVENT_LOG_PROMISES)) as pool:  # left when all are done
        return {promise: pool.submit(check, number, promise) for number, promise in enumerate(EVENT_LOG_PROMISES)}


@pytest.mark.parametrize("promise", EVENT_LOG_PROMISES)
def test_the_kafka_log_keeps_the_contract(promise: str, kept: dict[str, Future[None]]) -> None:
    """Every promise is kept but the declared gaps, and those are gaps."""
    kept[promise].result()


def test_any_consumer_can_read_the_messages(open_log: Callable[[], KafkaLog], brokers: str, tmp_path: Path) -> None:
    """A message is a JSON object, its key a JSON array, in the partition that the embedded log would choose."""
    log = open_log()
    log.create("s", 4)
    rows = pa.table({"a": [1], "b": ["11"], "at": pa.array([1_700_000_000_000_000], pa.timestamp("us", "UTC"))})
    ((partition, span),) = log.append("s", rows, key=["a", "b"]).items()
    library = importlib.import_module("confluent_kafka")
    consumer = library.Consumer({"bootstrap.servers": brokers, "group.id": "other"})
    consumer.assign([library.TopicPartition(f"{tmp_path.name}.default.s", partition, span.first)])
    message = consumer.poll(10)
    consumer.close()
    assert json.loads(message.value()) == {"a": 1, "b": "11", "at": 1_700_000_000_000_000}
    assert json.loads(message.key()) == [1, "11"]


def test_of_two_processes_that_contradict_each_other_the_second_is_refused(open_log: Callable[[], KafkaLog]) -> None:
    """Types are agreed on through the brokers: a log that was opened before the first append knows them too."""
    one, two = open_log(), open_log()
    one.create("s", 4)
    two.create("s", 4)
    one.append("s", pa.table({"a": [1], "b": [1]}), key=["a"])
    with pytest.raises(UserError, match="column 'b' of stream 's' is int64"):
        two.append("s", pa.table({"a": [1], "b": ["x"]}), key=["a"])
    two.append("s", pa.table({"a": [1], "c": ["x"]}), key=["a"])
    with pytest.raises(UserError, match="column 'c' of stream 's' is string"):
        one.append("s", pa.table({"a": [1], "c": [1]}), key=["a"])


def test_a_contradiction_that_raced_is_void(open_log: Callable[[], KafkaLog], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two processes store contradicting schemas at once, the first counts and the second is told so."""
    one, two = open_log(), open_log()
    one.create("s", 4)
    schemas = two._known_schemas("s")
    find, found = schemas.find, []

    def late(schema: pa.Schema) -> int | None:
        found.append(find(schema))
        if len(found) == 1:
            one.append("s", pa.table({"a": [1], "b": [1]}), key=["a"])
        return found[-1]

    monkeypatch.setattr(schemas, "find", late)
    with pytest.raises(UserError, match="column 'b' of stream 's' is int64"):
        two.append("s", pa.table({"a": [1], "b": ["x"]}), key=["a"])
    three = open_log()
    three.append("s", pa.table({"a": [1], "b": [2]}), key=["a"])
    rows = [row for p in range(4) for row in three.read("s", p, 0, 10).rows.to_pylist()]
    assert sorted(row["b"] for row in rows) == [1, 2]


def test_brokers_that_do_not_answer_are_named() -> None:
    """Without a broker every call ends after its timeout, with a sentence that names the address."""
    log = KafkaLog("127.0.0.1:1", timeout_seconds=0.3)
    try:
        with pytest.raises(OritaError, match=r"Kafka at 127\.0\.0\.1:1 could not list topics"):
            log.streams()
        log._counts["s"], log._known_schemas("s")._valid[0] = 1, pa.schema([("a", pa.int64())])
        with pytest.raises(AppendFailed, match=r"Kafka at 127\.0\.0\.1:1 could not take all rows") as caught:
            log.append("s", pa.table({"a": [1]}), key=["a"])
        assert caught.value.appended == {}
    finally:
        log.close()


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without confluent-kafka, opening a log prints the install line."""

    def missing(name: str, *, extra: str) -> Any:
        raise MissingExtra(f"{name} is not installed: pip install 'orita[{extra}]'")

    monkeypatch.setattr(kafka_client, "require", missing)
    with pytest.raises(MissingExtra, match=r"pip install 'orita\[kafka\]'"):
        KafkaLog("127.0.0.1:1")
