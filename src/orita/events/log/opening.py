"""Which event log a project uses: ``events`` in ``orita.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from orita.core.clock import Clock
from orita.core.config import Section
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.log import EventLog

__all__ = ["EventLogConfig", "RetentionConfig", "open_log"]


class RetentionConfig(Section):
    """``events.retention``: how much the log keeps of what lake and online features hold; without a limit, all.

    Attributes:
        days: events that were appended longer ago go.
        gigabytes: the oldest go where a stream takes more on disk; the embedded log only.
    """

    days: Annotated[float, Field(gt=0)] | None = None
    gigabytes: Annotated[float, Field(gt=0)] | None = None

    @property
    def limited(self) -> bool:
        """Whether anything is ever deleted."""
        return self.days is not None or self.gigabytes is not None


class EventLogConfig(Section):
    """``events``: where pushed events are kept until tables and state have them.

    Attributes:
        log: ``embedded``, files in the home; ``kafka``, topics of brokers.
        servers: ``host:port`` of some brokers, with commas between them; for Kafka.
        partitions: of a stream that is made; fixed from then on.
        retention: how long events are kept that lake and online features hold.
        settings: more of librdkafka's, such as those of TLS and SASL.
    """

    log: Literal["embedded", "kafka"] = "embedded"
    servers: str = ""
    partitions: Annotated[int, Field(ge=1, le=256)] = 4
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    settings: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_brokers(self) -> Self:
        if self.log == "kafka" and not self.servers:
            raise ValueError("log: kafka needs servers, such as 'broker-1:9092,broker-2:9092'")
        if self.log == "kafka" and self.retention.gigabytes is not None:
            raise ValueError("retention.gigabytes is for the embedded log: Kafka tells no client its sizes; give days")
        return self


def open_log(config: EventLogConfig, home: Home, clock: Clock | None = None) -> EventLog:
    """Return the log that *config* names.

    Raises:
        MissingExtra: it is Kafka, and confluent-kafka is not installed.
    """
    if config.log == "embedded":
        return EmbeddedLog(home, clock)
    from orita.events.log.kafka import KafkaLog

    return KafkaLog(config.servers, clock, tenant=home.tenant, settings=config.settings)
