"""Talking to Kafka: one place for settings, timeouts, and errors that say which broker and what was asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orita.core.errors import OritaError
from orita.core.extras import require

__all__ = ["Fetcher", "KafkaClient"]


@dataclass(frozen=True, slots=True)
class KafkaClient:
    """How to reach the brokers.

    Attributes:
        servers: ``host:port`` of some brokers, with commas between them.
        timeout_seconds: how long an answer may take.
        settings: more of librdkafka's, such as those of TLS and SASL.
    """

    servers: str
    timeout_seconds: float
    settings: Mapping[str, str]

    @property
    def module(self) -> Any:
        """The client library."""
        return require("confluent_kafka", extra="kafka")

    def configured(self, **more: object) -> dict[str, object]:
        """Return the settings of a client; in *more*, ``_`` stands for a dot."""
        named = {name.replace("_", "."): value for name, value in more.items()}
        return {"bootstrap.servers": self.servers, "log_level": 2, **self.settings, **named}

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Turn the library's errors into a sentence."""
        try:
            yield
        except self.module.KafkaException as error:
            raise self.failure(what, error.args[0]) from error

    def failure(self, what: str, error: Any) -> OritaError:
        """Return the error of a question that got no answer."""
        reason = error.str() if hasattr(error, "str") else str(error)
        return OritaError(f"Kafka at {self.servers} could not {what}: {reason}; check that it runs and can be reached.")

    def deadline(self) -> Callable[[], float]:
        """Return what tells the seconds that are left, never below 0."""
        # Waiting is of this process, not of the data: the machine's own clock.
        ends = time.monotonic() + self.timeout_seconds
        return lambda: max(ends - time.monotonic(), 0.0)


class Fetcher:
    """Reads messages at given offsets, outside of any group."""

    def __init__(self, client: KafkaClient) -> None:
        self._client = client
        self._mutex = threading.Lock()
        self._at: tuple[str, int, int] | None = None
        settings = client.configured(
            group_id="orita-fetcher", enable_auto_commit=False, auto_offset_reset="error", fetch_wait_max_ms=50
        )
        self._consumer = client.module.Consumer(settings)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset kept, and the end."""
        client = self._client
        with client.asking(f"say how long {topic} is"), self._mutex:
            place = client.module.TopicPartition(topic, partition)
            low, high = self._consumer.get_watermark_offsets(place, timeout=client.timeout_seconds)
        return int(low), int(high)

    def fetch(self, topic: str, partition: int, offset: int, count: int) -> list[Any]:
        """Return *count* messages from *offset* on, all of which lie below the end; fewer where it takes too long."""
        client = self._client
        found: list[Any] = []
        left = client.deadline()
        with client.asking(f"read {topic}"), self._mutex:
            if self._at != (topic, partition, offset):
                self._consumer.assign([client.module.TopicPartition(topic, partition, offset)])
            self._at = None
            while len(found) < count and left() > 0:
                for message in self._consumer.consume(count - len(found), min(left(), 0.2)):
                    if message.error() is not None:
                        raise client.failure(f"read {topic}", message.error())
                    found.append(message)
            if found:
                self._at = (topic, partition, found[-1].offset() + 1)
        if count and not found:
            raise client.failure(f"read {topic}", f"no row came within {client.timeout_seconds:g} s")
        return found

    def at_time(self, topic: str, partition: int, millis: int, end: int) -> int:
        """Return the offset of the first row that is not older than *millis*, or *end* where all are."""
        client = self._client
        with client.asking(f"find a time in {topic}"), self._mutex:
            place = client.module.TopicPartition(topic, partition, millis)
            (found,) = self._consumer.offsets_for_times([place], timeout=client.timeout_seconds)
        return int(found.offset) if found.offset >= 0 else end

    def close(self) -> None:
        """Let the connection go."""
        self._consumer.close()
