"""The consumer of a Kafka stream: a member of one of Kafka's own groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from orita.core.errors import UserError
from orita.events.log.kafka_client import KafkaClient
from orita.events.log.log import Batch, OffsetRetired, Position

__all__ = ["KafkaConsumer"]

_SESSION_MS = 6000


class KafkaConsumer:
    """See `orita.events.log.log.Consumer`; used by one thread."""

    def __init__(
        self,
        client: KafkaClient,
        stream: str,
        topic: str,
        group: str,
        position: Position | None,
        decode: Callable[[int, Sequence[Any]], Batch],
    ) -> None:
        self._client, self._stream, self._topic, self._decode = client, stream, topic, decode
        self._position = position
        self._next: dict[int, int] = {}
        self._held: frozenset[int] = frozenset()
        self._open = True
        settings = client.configured(
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="error",
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_SESSION_MS // 6,
            partition_assignment_strategy="range",
            fetch_wait_max_ms=50,
        )
        self._consumer = client.module.Consumer(settings)
        self._consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    @property
    def partitions(self) -> frozenset[int]:
        """What it holds since the last `poll`."""
        return self._held

    def poll(self, max_rows: int, wait_seconds: float = 0.0) -> list[Batch]:
        """Return the next rows, at most *max_rows* in all."""
        if not self._open:
            raise UserError(f"this consumer of stream {self._stream!r} is closed: open another.")
        if max_rows < 1:
            raise UserError(f"max_rows is {max_rows}: poll for at least 1 row.")
        found: dict[int, list[Any]] = {}
        with self._client.asking(f"read {self._topic}"):
            # One message is waited for, then what has come with it is taken.
            first = self._consumer.poll(wait_seconds)
            rest = self._consumer.consume(max_rows - 1, 0.0) if first is not None and max_rows > 1 else []
        for message in [first, *rest] if first is not None else []:
            self._refuse(message)
            found.setdefault(message.partition(), []).append(message)
        batches = [self._decode(partition, messages) for partition, messages in sorted(found.items())]
        self._next.update({batch.partition: batch.next for batch in batches})
        return batches

    def commit(self) -> None:
        """Commit what was polled from the partitions that are held."""
        places = [self._place(partition, offset) for partition, offset in self._next.items()]
        if places:
            with self._client.asking(f"commit offsets of {self._topic}"):
                self._consumer.commit(offsets=places, asynchronous=False)

    def close(self) -> None:
        """Leave the group, without committing."""
        if self._open:
            self._open = False
            self._consumer.close()
            self._next.clear()
            self._held = frozenset()

    def __enter__(self) -> KafkaConsumer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _place(self, partition: int, offset: int) -> Any:
        return self._client.module.TopicPartition(self._topic, partition, offset)

    def _assigned(self, consumer: Any, places: Sequence[Any]) -> None:
        module = self._client.module
        committed = {
            place.partition: place.offset for place in consumer.committed(places, self._client.timeout_seconds)
        }
        for place in places:
            begin = self._position(place.partition) if self._position else None
            if begin is None:
                begin = committed[place.partition]
            place.offset = begin if begin >= 0 else module.OFFSET_BEGINNING
        consumer.assign(places)
        self._held = frozenset(place.partition for place in places)

    def _revoked(self, consumer: Any, places: Sequence[Any]) -> None:
        gone = {place.partition for place in places}
        self._held -= gone
        for partition in gone:
            self._next.pop(partition, None)

    def _refuse(self, message: Any) -> None:
        error = message.error()
        if error is None:
            return
        if error.code() == self._client.module.KafkaError._AUTO_OFFSET_RESET:
            place = self._place(message.partition(), 0)
            low, _ = self._consumer.get_watermark_offsets(place, timeout=self._client.timeout_seconds)
            raise OffsetRetired(self._stream, message.partition(), message.offset(), int(low))
        raise self._client.failure(f"read {self._topic}", error)
