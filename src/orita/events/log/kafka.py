"""The log on Kafka: a stream is a topic, a row is a message, and the partitions are those of the embedded log.

Topics are ``<prefix>.<tenant>.<stream>``, each with a topic ``….schemas`` beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from orita.core.clock import Clock, SystemClock, to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.core.home import DEFAULT_TENANT
from orita.core.names import check_name
from orita.events.log.columns import plain_batch, united
from orita.events.log.kafka_client import Fetcher, KafkaClient
from orita.events.log.kafka_consumer import KafkaConsumer
from orita.events.log.kafka_producer import KafkaSender, Outgoing
from orita.events.log.kafka_rows import decode_messages, encode_messages
from orita.events.log.kafka_schemas import KafkaSchemas
from orita.events.log.kafka_topics import create_topic, delete_before
from orita.events.log.log import Appended, Batch, OffsetRetired, Position
from orita.events.log.partitioning import part_rows

__all__ = ["KafkaLog"]

_SCHEMAS = ".schemas"
_MOST_ROWS = 10_000


class KafkaLog:
    """See `orita.events.log.log.EventLog`."""

    gaps: Mapping[str, str] = {
        "atomic append": "each row is a message: a killed writer may leave the first rows of an append, and writers in "
        "two processes may mix theirs",
        "times of several writers": "each process stamps its own rows: between processes, times are as even as clocks",
        "takeover within a second": "brokers find a member dead after its session, which is 6 s at least by default",
        "retain by size": "Kafka tells no client how many bytes a partition takes",
    }

    def __init__(
        self,
        servers: str,
        clock: Clock | None = None,
        *,
        tenant: str = DEFAULT_TENANT,
        prefix: str = "orita",
        replication: int = 1,
        create_topics: bool = True,
        timeout_seconds: float = 10.0,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Open the log of *tenant* on the brokers *servers*.

        Args:
            servers: ``host:port`` of some brokers, with commas between them.
            clock: gives the ingestion times.
            tenant: whose.
            prefix: what the topics' names begin with.
            replication: copies of a topic that is made.
            create_topics: whether `create` makes topics; False where they are made by others, or by asking for them.
            timeout_seconds: how long an answer may take.
            settings: more of librdkafka's, such as those of TLS and SASL.

        Raises:
            MissingExtra: confluent-kafka is not installed.
        """
        self._client = KafkaClient(servers, timeout_seconds, dict(settings or {}))
        self._clock = clock or SystemClock()
        self._prefix, self._replication, self._create_topics = f"{prefix}.{tenant}.", replication, create_topics
        self._fetcher, self._sender = Fetcher(self._client), KafkaSender(self._client)
        self._mutex = threading.Lock()
        self._counts: dict[str, int] = {}
        self._schemas: dict[str, KafkaSchemas] = {}
        self._last_at: dict[tuple[str, int], int] = {}
        self._committers: dict[str, Any] = {}

    def create(self, stream: str, partitions: int) -> None:
        """Make *stream*."""
        check_name("stream", stream)
        if partitions < 1:
            raise UserError(f"a stream of {partitions} partitions cannot be: give at least 1.")
        topic = self._topic(stream)
        have_already = self._sender.topics()
        for name, wanted in ((topic, partitions), (topic + _SCHEMAS, 1)):
            if name not in have_already and self._create_topics:
                create_topic(self._client, name, wanted, self._replication)
            elif name not in have_already:
                self._sender.topics(name)
        if (have := self.partitions(stream)) != partitions:
            raise UserError(
                f"stream {stream!r} has {have} partitions, not {partitions}: the number is fixed when it is made."
            )

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams, sorted."""
        own = [name.removeprefix(self._prefix) for name in self._sender.topics() if name.startswith(self._prefix)]
        return tuple(sorted(name for name in own if not name.endswith(_SCHEMAS)))

    def partitions(self, stream: str) -> int:
        """Return how many partitions *stream* has."""
        if stream not in self._counts:
            topics = self._sender.topics()
            if self._topic(stream) not in topics:
                raise NotFound(f"there is no stream {stream!r}. {closest(stream, self.streams())}")
            self._counts[stream] = topics[self._topic(stream)]
        return self._counts[stream]

    def schema(self, stream: str) -> pa.Schema:
        """Return the columns that rows of *stream* ever had."""
        self.partitions(stream)
        return self._known_schemas(stream).union()

    def append(self, stream: str, rows: pa.RecordBatch | pa.Table, *, key: Sequence[str]) -> Appended:
        """Append *rows*, parted by *key*."""
        count = self.partitions(stream)
        batch = plain_batch(rows)
        parts = [(p, encode_messages(part, key)) for p, part in part_rows(batch, key, count)]
        number = self._schema_number(stream, batch.schema)
        # Stamped and sent in one order, so that times never decrease.
        with self._mutex:
            outgoing = [self._outgoing(stream, partition, messages, number) for partition, messages in parts]
            return self._sender.send(self._topic(stream), outgoing)

    def read(self, stream: str, partition: int, offset: int, max_rows: int) -> Batch:
        """Return up to *max_rows* rows from *offset* on."""
        if max_rows < 1:
            raise UserError(f"max_rows is {max_rows}: read at least 1 row.")
        topic = self._place(stream, partition)
        low, high = self._fetcher.bounds(topic, partition)
        if 0 <= offset < low:
            raise OffsetRetired(stream, partition, offset, low)
        self._refuse_beyond(stream, partition, offset, high)
        if offset == high:
            return Batch(partition, offset, offset, united([]), np.empty(0, np.int64))
        wanted = min(max_rows, high - offset, _MOST_ROWS)
        return self._decoded(stream, partition, self._fetcher.fetch(topic, partition, offset, wanted))

    def start(self, stream: str, partition: int) -> int:
        """Return the first offset that is kept."""
        return self._fetcher.bounds(self._place(stream, partition), partition)[0]

    def end(self, stream: str, partition: int) -> int:
        """Return the offset that the next row will have."""
        return self._fetcher.bounds(self._place(stream, partition), partition)[1]

    def commit(self, group: str, stream: str, partition: int, offset: int) -> None:
        """Make *offset* the one that *group* goes on from."""
        self._refuse_beyond(stream, partition, offset, self.end(stream, partition))
        place = self._client.module.TopicPartition(self._topic(stream), partition, offset)
        with self._client.asking(f"commit an offset of group {group!r}"), self._mutex:
            self._committer(group).commit(offsets=[place], asynchronous=False)

    def committed(self, group: str, stream: str, partition: int) -> int | None:
        """Return what *group* committed last."""
        place = self._client.module.TopicPartition(self._place(stream, partition), partition)
        with self._client.asking(f"say what group {group!r} committed"), self._mutex:
            (found,) = self._committer(group).committed([place], timeout=self._client.timeout_seconds)
        return int(found.offset) if found.offset >= 0 else None

    def consumer(self, stream: str, group: str, *, position: Position | None = None) -> KafkaConsumer:
        """Join *group*."""
        self.partitions(stream)

        def decode(partition: int, messages: Sequence[Any]) -> Batch:
            return self._decoded(stream, partition, messages)

        return KafkaConsumer(self._client, stream, self._topic(stream), group, position, decode)

    def retire(self, stream: str, partition: int, before: int) -> int:
        """Delete rows below *before*."""
        topic = self._place(stream, partition)
        self._refuse_beyond(stream, partition, before, self.end(stream, partition))
        delete_before(self._client, topic, partition, before)
        return self.start(stream, partition)

    def retain(
        self, stream: str, *, covered: Mapping[int, int], max_age: timedelta | None = None, max_bytes: int | None = None
    ) -> Mapping[int, int]:
        """Delete rows that are too old, never past what is covered."""
        if max_age is None or max_bytes is not None:
            raise UserError("Kafka tells no client how many bytes a partition takes: give max_age, and not max_bytes.")
        oldest_ms = to_micros(self._clock.now() - max_age) // 1000
        for partition, limit in covered.items():
            topic = self._place(stream, partition)
            low, high = self._fetcher.bounds(topic, partition)
            before = min(self._fetcher.at_time(topic, partition, oldest_ms, high), limit)
            if before > low:
                self.retire(stream, partition, before)
        return {partition: self.start(stream, partition) for partition in range(self.partitions(stream))}

    def close(self) -> None:
        """Let the connections go."""
        for consumer in (self._fetcher, *self._committers.values()):
            consumer.close()
        self._committers.clear()
        self._sender.close()

    def _topic(self, stream: str) -> str:
        return f"{self._prefix}{stream}"

    def _place(self, stream: str, partition: int) -> str:
        """Return the topic of *stream*, which has *partition*."""
        count = self.partitions(stream)
        if not 0 <= partition < count:
            raise NotFound(f"stream {stream!r} has no partition {partition}: it has 0 to {count - 1}.")
        return self._topic(stream)

    def _refuse_beyond(self, stream: str, partition: int, offset: int, end: int) -> None:
        if not 0 <= offset <= end:
            raise NotFound(
                f"offset {offset} lies beyond the end of partition {partition} of stream {stream!r}: "
                f"its next row will have offset {end}."
            )

    def _known_schemas(self, stream: str) -> KafkaSchemas:
        found = self._schemas.get(stream)
        if found is None:
            found = KafkaSchemas(stream, self._topic(stream) + _SCHEMAS, self._fetcher)
            self._schemas[stream] = found
        return found

    def _schema_number(self, stream: str, schema: pa.Schema) -> int:
        known = self._known_schemas(stream)
        number = known.find(schema)
        while number is None:
            message = (None, schema.serialize().to_pybytes())
            now = to_micros(self._clock.now())
            self._sender.send(self._topic(stream) + _SCHEMAS, [Outgoing(0, [message], (), now)])
            number = known.find(schema)
        return number

    def _outgoing(self, stream: str, partition: int, messages: list[tuple[bytes, bytes]], number: int) -> Outgoing:
        now = max(to_micros(self._clock.now()), self._last_at.get((stream, partition), 0))
        self._last_at[stream, partition] = now
        headers = (("schema", str(number).encode()), ("appended_at", str(now).encode()))
        return Outgoing(partition, messages, headers, now)

    def _decoded(self, stream: str, partition: int, messages: Sequence[Any]) -> Batch:
        headers = [dict(message.headers() or ()) for message in messages]
        schemas = self._known_schemas(stream)
        parts = []
        numbered = zip((int(each["schema"]) for each in headers), messages, strict=True)
        for number, run in groupby(numbered, key=lambda pair: pair[0]):
            parts.append(decode_messages([message.value() for _, message in run], schemas.schema(number)))
        times_N = np.array([int(each["appended_at"]) for each in headers], np.int64)
        first, last = messages[0].offset(), messages[-1].offset()
        return Batch(partition, first, last + 1, united(parts), times_N)

    def _committer(self, group: str) -> Any:
        if group not in self._committers:
            settings = self._client.configured(group_id=group, enable_auto_commit=False)
            self._committers[group] = self._client.module.Consumer(settings)
        return self._committers[group]
