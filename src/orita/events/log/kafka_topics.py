"""What is asked of Kafka about topics as a whole: making them, and deleting their old rows."""

from __future__ import annotations

from orita.core.extras import require
from orita.events.log.kafka_client import KafkaClient

__all__ = ["create_topic", "delete_before"]


def create_topic(client: KafkaClient, topic: str, partitions: int, replication: int) -> None:
    """Make *topic*, whose rows Kafka itself never deletes; one that exists stays as it is."""
    admin_module = require("confluent_kafka.admin", extra="kafka")
    new = admin_module.NewTopic(
        topic, num_partitions=partitions, replication_factor=replication, config={"retention.ms": "-1"}
    )
    exists = client.module.KafkaError.TOPIC_ALREADY_EXISTS
    with client.asking(f"make topic {topic}"):
        admin = admin_module.AdminClient(client.configured())
        for made in admin.create_topics([new], request_timeout=client.timeout_seconds).values():
            try:
                made.result(client.timeout_seconds)
            except client.module.KafkaException as error:
                if error.args[0].code() != exists:
                    raise


def delete_before(client: KafkaClient, topic: str, partition: int, offset: int) -> None:
    """Delete the rows of a partition below *offset*."""
    admin_module = require("confluent_kafka.admin", extra="kafka")
    place = client.module.TopicPartition(topic, partition, offset)
    with client.asking(f"delete rows of {topic}"):
        admin = admin_module.AdminClient(client.configured())
        for done in admin.delete_records([place], request_timeout=client.timeout_seconds).values():
            done.result(client.timeout_seconds)
