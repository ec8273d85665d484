"""The schemas of a stream: each is stored once, durably and before rows refer to it by its number."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pyarrow as pa

from orita.core.files import atomic_file
from orita.events.log.columns import checked_against
from orita.events.log.log import BrokenLog

__all__ = ["Schemas"]

_SUFFIX = ".schema"


class Schemas:
    """The schemas in one folder, by number from 1."""

    def __init__(self, folder: Path, stream: str) -> None:
        self._folder, self._stream = folder, stream
        self._by_number: dict[int, pa.Schema] = {}
        self._numbers: dict[pa.Schema, int] = {}
        self._mutex = threading.Lock()

    def number(self, schema: pa.Schema) -> int:
        """Return the number of *schema*, which is stored if it is new.

        Raises:
            UserError: a column has another type than in an earlier schema.
        """
        found = self._numbers.get(schema)
        if found is not None:
            return found
        with self._mutex:
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                return self._stored(schema)
            finally:
                os.close(descriptor)

    def schema(self, number: int) -> pa.Schema:
        """Return the schema with *number*."""
        found = self._by_number.get(number)
        return found if found is not None else self._load(number)

    def union(self) -> pa.Schema:
        """Return the columns of all of them."""
        known = pa.schema([])
        for number in self._there():
            known = checked_against(known, self.schema(number), self._stream)
        return known

    def _there(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob(f"[0-9]*{_SUFFIX}"))

    def _stored(self, schema: pa.Schema) -> int:
        known, numbers = self.union(), self._there()
        if schema in self._numbers:
            return self._numbers[schema]
        checked_against(known, schema, self._stream)
        number = numbers[-1] + 1 if numbers else 1
        with atomic_file(self._path(number)) as partial:
            partial.write_bytes(schema.serialize())
        return self._remember(number, schema)

    def _load(self, number: int) -> pa.Schema:
        path = self._path(number)
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(path.read_bytes()))
        except FileNotFoundError:
            raise BrokenLog(f"{path} is missing: rows of stream {self._stream!r} cannot be read without it.") from None
        except pa.ArrowInvalid as error:
            raise BrokenLog(f"{path} is damaged: {error}.") from error
        self._remember(number, schema)
        return schema

    def _remember(self, number: int, schema: pa.Schema) -> int:
        self._by_number[number] = schema
        return self._numbers.setdefault(schema, number)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}{_SUFFIX}"
