"""How messages reach Kafka: sent in order, and counted as delivered once every replica in sync has them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orita.events.log.kafka_client import KafkaClient
from orita.events.log.log import AppendFailed, Span

__all__ = ["KafkaSender", "Outgoing"]

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The messages of one append for one partition.

    Attributes:
        partition: which.
        messages: key and value of each.
        headers: the same for all.
        at_micros: their time.
    """

    partition: int
    messages: Sequence[tuple[bytes | None, bytes]]
    headers: Sequence[tuple[str, bytes]]
    at_micros: int


@dataclass(slots=True)
class _Delivery:
    """What became of the messages of one append."""

    sent: int = 0
    reported: int = 0
    offsets: dict[int, list[int]] = field(default_factory=dict)
    error: Any = None
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def report(self, error: Any, message: Any) -> None:
        with self.mutex:
            self.reported += 1
            if error is not None:
                self.error = error
            else:
                self.offsets.setdefault(message.partition(), []).append(message.offset())


class KafkaSender:
    """An idempotent producer, shared by the threads of a process."""

    def __init__(self, client: KafkaClient) -> None:
        self._client = client
        timeout_ms = round(client.timeout_seconds * 1000)
        settings = client.configured(
            acks="all",
            enable_idempotence=True,
            linger_ms=1,
            message_timeout_ms=timeout_ms,
            allow_auto_create_topics=True,
        )
        self._producer = client.module.Producer(settings)
        self._mutex = threading.Lock()

    def send(self, topic: str, parts: Sequence[Outgoing]) -> dict[int, Span]:
        """Return where the messages lie, once all are delivered.

        Raises:
            AppendFailed: the brokers did not take all of them.
        """
        delivery = _Delivery()
        # One append after the other, so that the rows of each lie side by side.
        with self._mutex:
            for part in parts:
                for key, value in part.messages:
                    self._produce(topic, part, key, value, delivery)
        # Every message is reported in the end: as delivered, or as failed after its timeout.
        while delivery.reported < delivery.sent:
            self._producer.poll(_POLL_SECONDS)
        spans = {p: Span(min(offsets), max(offsets) + 1) for p, offsets in sorted(delivery.offsets.items())}
        if delivery.error is not None:
            raise AppendFailed(str(self._client.failure(f"take all rows of {topic}", delivery.error)), spans)
        return spans

    def topics(self, topic: str | None = None) -> dict[str, int]:
        """Return by name how many partitions topics have, of all or of one; asking for one may make it."""
        with self._client.asking("list topics"):
            found = self._producer.list_topics(topic, timeout=self._client.timeout_seconds).topics
        return {name: len(each.partitions) for name, each in found.items() if each.error is None}

    def close(self) -> None:
        """Wait for what is under way."""
        self._producer.flush(self._client.timeout_seconds)

    def _produce(self, topic: str, part: Outgoing, key: bytes | None, value: bytes, delivery: _Delivery) -> None:
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    partition=part.partition,
                    headers=list(part.headers),
                    timestamp=part.at_micros // 1000,
                    on_delivery=delivery.report,
                )
            except BufferError:  # the queue is full: reports make room
                self._producer.poll(_POLL_SECONDS)
            else:
                delivery.sent += 1
                return
