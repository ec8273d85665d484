"""The schemas of a topic, in a topic beside it: an offset there is a schema's number.

Every client reads it in order, so that of two schemas that contradict each other all know the same one as void: the
later.
"""

from __future__ import annotations

import threading

import pyarrow as pa

from orita.core.errors import UserError
from orita.events.log.columns import checked_against
from orita.events.log.kafka_client import Fetcher
from orita.events.log.log import BrokenLog

__all__ = ["KafkaSchemas"]


class KafkaSchemas:
    """The schemas of one stream as one process knows them."""

    def __init__(self, stream: str, topic: str, fetcher: Fetcher) -> None:
        self._stream, self._topic, self._fetcher = stream, topic, fetcher
        self._valid: dict[int, pa.Schema] = {}
        self._union = pa.schema([])
        self._read = 0
        self._mutex = threading.Lock()

    def find(self, schema: pa.Schema) -> int | None:
        """Return the number of *schema*, None where it is to be stored.

        Raises:
            UserError: a column has another type than in an earlier schema.
        """
        with self._mutex:
            found = self._known(schema)
            if found is None:
                self._catch_up()
                found = self._known(schema)
            if found is None:
                checked_against(self._union, schema, self._stream)
            return found

    def schema(self, number: int) -> pa.Schema:
        """Return the schema with *number*."""
        with self._mutex:
            if number not in self._valid:
                self._catch_up()
            if number not in self._valid:
                raise BrokenLog(f"topic {self._topic} holds no schema {number}: rows that name it cannot be read.")
            return self._valid[number]

    def union(self) -> pa.Schema:
        """Return the columns of all of them."""
        with self._mutex:
            self._catch_up()
            return self._union

    def _known(self, schema: pa.Schema) -> int | None:
        return next((number for number, known in self._valid.items() if known.equals(schema)), None)

    def _catch_up(self) -> None:
        _, end = self._fetcher.bounds(self._topic, 0)
        while self._read < end:
            for message in self._fetcher.fetch(self._topic, 0, self._read, end - self._read):
                schema = pa.ipc.read_schema(pa.py_buffer(message.value()))
                try:
                    self._union = checked_against(self._union, schema, self._stream)
                    self._valid[message.offset()] = schema
                except UserError:  # void: its writer was told so, and wrote no rows with it
                    self._valid.pop(message.offset(), None)
                self._read = message.offset() + 1
