"""How the rows of one append lie in a segment: a frame, header and payload, each with its checksum.

Header (little endian, 48 bytes): magic, version, codec, payload bytes, rows, first offset, ingestion time in
microseconds, durable offset, schema number, CRC-32 of the payload, CRC-32 of the header before it. The *durable offset*
is the partition's end when the frame was written: it proves that all below it had been acknowledged, so that a broken
frame below it is damage, and one above may be what a power cut left.

Payload: one Arrow IPC record batch message without its schema, as it is or as an LZ4 block after its length. A frame of
many rows shrinks to half, at several hundred MB/s.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import pyarrow as pa

from orita.core.errors import UserError

__all__ = ["HEADER_BYTES", "MAGIC", "MAX_FRAME_BYTES", "Frame", "Payload", "decode_rows", "encode_rows", "parse_header"]

MAGIC = b"OEL1"
MAX_FRAME_BYTES = 64 << 20
"""Most bytes that the rows of one append may take in one partition."""

_VERSION = 1
_HEADER = struct.Struct("<4sBBHIIQqQII")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
_PLAIN, _LZ4 = 0, 1
_LENGTH = struct.Struct("<I")
# Below this, the smaller payload is not worth the second pass.
_COMPRESSED_FROM = 4096
_WORTH = 0.9


@dataclass(frozen=True, slots=True)
class Payload:
    """Rows as bytes, before they have their place."""

    content: pa.Buffer | bytes
    rows: int
    schema: int
    codec: int
    crc: int

    def header(self, first: int, appended_at: int, durable: int) -> bytes:
        """Return the header for this place and time."""
        raw = _HEADER.pack(
            MAGIC,
            _VERSION,
            self.codec,
            0,
            len(self.content),
            self.rows,
            first,
            appended_at,
            durable,
            self.schema,
            self.crc,
        )
        return raw + _CRC.pack(zlib.crc32(raw))


@dataclass(frozen=True, slots=True)
class Frame:
    """A header that was read.

    Attributes:
        length: bytes of the payload.
        rows: how many.
        first: offset of the first row.
        appended_at: microseconds since the Unix epoch.
        durable: the partition's end when it was written.
        schema: number of the rows' schema.
        codec: how the payload is compressed.
        crc: of the payload.
    """

    length: int
    rows: int
    first: int
    appended_at: int
    durable: int
    schema: int
    codec: int
    crc: int

    @property
    def next(self) -> int:
        """Offset after the last row."""
        return self.first + self.rows

    @property
    def size(self) -> int:
        """Bytes in the segment."""
        return HEADER_BYTES + self.length


def parse_header(raw: bytes | memoryview) -> Frame | None:
    """Return the header in the first `HEADER_BYTES` of *raw*, or None where no whole header lies there."""
    if len(raw) < HEADER_BYTES:
        return None
    (crc,) = _CRC.unpack_from(raw, _HEADER.size)
    if zlib.crc32(raw[: _HEADER.size]) != crc:
        return None
    magic, version, codec, _, length, rows, first, at, durable, schema, payload_crc = _HEADER.unpack_from(raw)
    if magic != MAGIC or version != _VERSION:
        return None
    return Frame(length, rows, first, at, durable, schema, codec, payload_crc)


def encode_rows(batch: pa.RecordBatch, schema: int) -> Payload:
    """Return *batch* as a payload.

    Raises:
        UserError: it takes more than `MAX_FRAME_BYTES`.
    """
    content: pa.Buffer | bytes = batch.serialize()
    if len(content) > MAX_FRAME_BYTES:
        raise UserError(
            f"{batch.num_rows:,} rows of one partition take {len(content):,} bytes, and one append may have "
            f"{MAX_FRAME_BYTES:,}: append fewer rows at a time."
        )
    codec = _PLAIN
    if len(content) >= _COMPRESSED_FROM:
        smaller = _LENGTH.pack(len(content)) + pa.compress(content, codec="lz4_raw", asbytes=True)
        if len(smaller) < _WORTH * len(content):
            content, codec = smaller, _LZ4
    return Payload(content, batch.num_rows, schema, codec, zlib.crc32(content))


def decode_rows(frame: Frame, payload: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows of a payload whose checksum is right."""
    if frame.codec == _PLAIN:
        return pa.ipc.read_record_batch(pa.py_buffer(payload), schema)
    (length,) = _LENGTH.unpack_from(payload)
    block = pa.py_buffer(payload).slice(_LENGTH.size)
    return pa.ipc.read_record_batch(pa.decompress(block, decompressed_size=length, codec="lz4_raw"), schema)
