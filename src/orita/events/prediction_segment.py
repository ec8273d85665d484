"""How predictions lie on disk before they are Parquet: one append-only file a segment, one frame a request.

A segment is ``<name>.wal``: a magic word, then frames of length, CRC-32 and MessagePack. The first frame is
the `SegmentHeader`, each other one a `ScoredRequest`. All rows of a segment have one day, one system, one
model version and one list of features. A frame that a kill cut short ends the segment: what follows was never
acknowledged.

Legend: N items of one request, F features, R requests, M rows of a segment.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "MAX_ROWS",
    "SEGMENT_MAGIC",
    "ScoredRequest",
    "Segment",
    "SegmentHeader",
    "decode_header",
    "encode_frame",
    "encode_header",
    "next_frame",
    "prediction_schema",
    "read_segment",
    "segment_table",
]

SEGMENT_MAGIC = b"ORITAPL1"
_FRAME = struct.Struct("<II")
_ANSWER = re.compile(rb"\xdc\x00[\x10-\x40]")
"""How the payload of an answer begins: an array of 16 to 64 fields, as MessagePack writes it."""

MAX_ROWS = 4096
"""Most rows one request may have: the row's number is 12 bits of its prediction id."""


class SegmentHeader(msgspec.Struct, array_like=True, frozen=True):
    """What all rows of a segment share.

    Attributes:
        name: the segment's name; the Parquet file that it becomes has the same.
        day: the UTC day of every ``timestamp`` in it.
        system: whose predictions.
        model_version: which version scored.
        features: names of the columns of ``features``, in order.
    """

    name: str
    day: date
    system: str
    model_version: str
    features: tuple[str, ...]


class ScoredRequest(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One answered request, columnar; items in the order of the request.

    Attributes:
        at_micros: when it was answered, microseconds since the Unix epoch.
        as_of_micros: the time the features were computed for, likewise.
        request_id: joins feedback to this answer.
        salt: 62 random bits that make the prediction ids unique.
        user_id: as in the request.
        item_ids: N ids as in the request.
        latency_ms: of the whole request inside the server.
        scores: ``scores_N``, float32, as bytes.
        ranks: ``ranks_N``, int32 from 1, as bytes.
        features: ``x_NF``, float32, row by row, NaN where missing, as bytes; empty where no model was asked.
        level: how good the answer is: 1 the model's, 2 and more what stood in for it.
        cached: whether the scores were computed for an earlier request.
        objective: what one unit of each head was worth, where the request weighed them.
        rollout: the rollout whose dice chose the model; None where none runs, or an override chose.
        variant: the variant of a rollout that answered, None where none runs.
        propensities: ``propensities_N``, float32, as bytes: of each item at its rank given those above it; empty: 1.
        placements: ``placements_N``, likewise, of each item at its rank whatever is above it.
        split_micros: when the split began by which the dice of the rollout chose, microseconds since the Unix epoch;
            None where none chose.
    """

    at_micros: int
    as_of_micros: int
    request_id: str
    salt: int
    user_id: int | str
    item_ids: list[int | str]
    latency_ms: float
    scores: bytes
    ranks: bytes
    features: bytes
    level: int = 1
    cached: bool = False
    objective: dict[str, float] | None = None
    rollout: str | None = None
    variant: str | None = None
    propensities: bytes = b""
    placements: bytes = b""
    split_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment file holds.

    Attributes:
        header: its header.
        requests: of its whole frames those that could be read.
        length: how many bytes its whole frames take.
        fault: why one of them could not be read, as of the first; None where all were.
    """

    header: SegmentHeader
    requests: tuple[ScoredRequest, ...]
    length: int
    fault: str | None = None


def encode_frame(record: SegmentHeader | ScoredRequest) -> bytes:
    """Return *record* as a frame."""
    payload = msgspec.msgpack.encode(record)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def encode_header(header: SegmentHeader) -> bytes:
    """Return the beginning of a segment file: the magic word and the header's frame."""
    return SEGMENT_MAGIC + encode_frame(header)


def read_segment(path: Path) -> Segment | None:
    """Return what segment file *path* holds up to its last whole frame; None if not even its header can be read.

    What is cut off at the end was never acknowledged: whoever wrote it was killed, or the machine went down. What is
    damaged with whole frames behind it was written once, and the disk changed it. It is passed over, as is a whole
    frame of another form, as another version of Orita may write it: ``fault`` tells of either.

    Raises:
        FileNotFoundError: it became Parquet meanwhile.
    """
    content = memoryview(path.read_bytes())
    begun = decode_header(content)
    if begun is None:
        return None
    header, position = begun
    decode = msgspec.msgpack.Decoder(ScoredRequest).decode
    requests: list[ScoredRequest] = []
    fault: str | None = None
    payload, end = next_frame(content, position)
    while payload is not None:
        try:
            requests.append(decode(payload))
        except msgspec.MsgspecError as error:
            fault = fault or f"what was written at byte {position} has another form: {error}"
        position = end
        payload, end = next_frame(content, position)
        if payload is None and (behind := _frame_behind(content, position)) is not None:
            fault = fault or f"what was written at byte {position} is damaged"
            position = behind
            payload, end = next_frame(content, position)
    return Segment(header, tuple(requests), position, fault)


def _frame_behind(content: memoryview, position: int) -> int | None:
    """Return where the first whole frame of an answer begins behind a place, None where there is none."""
    for begun in _ANSWER.finditer(content, position):
        at = begun.start() - _FRAME.size
        if at > position and next_frame(content, at)[0] is not None:
            return at
    return None


def decode_header(content: memoryview) -> tuple[SegmentHeader, int] | None:
    """Return the header that a segment begins with, and where it ends; None where it is not whole, or is another."""
    if content[: len(SEGMENT_MAGIC)] != SEGMENT_MAGIC:
        return None
    payload, position = next_frame(content, len(SEGMENT_MAGIC))
    if payload is None:
        return None
    try:
        return msgspec.msgpack.decode(payload, type=SegmentHeader), position
    except msgspec.MsgspecError:
        return None


def next_frame(content: memoryview, position: int) -> tuple[memoryview | None, int]:
    """Return what the frame at *position* holds and where the next begins; None where it is not whole."""
    start = position + _FRAME.size
    if start > len(content):
        return None, position
    length, checksum = _FRAME.unpack_from(content, position)
    payload = content[start : start + length]
    if not length or len(payload) < length or zlib.crc32(payload) != checksum:
        return None, position
    return payload, start + length


def prediction_schema(features: Sequence[str]) -> pa.Schema:
    """Return the columns of the prediction log, ``features`` being a struct of float32 by name.

    Ids are text, an integer id its decimal digits, so that one type holds the ids of any table.
    """
    micros = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            ("prediction_id", pa.string()),
            ("timestamp", micros),
            ("user_id", pa.string()),
            ("item_id", pa.string()),
            ("score", pa.float32()),
            ("rank", pa.int32()),
            ("model_version", pa.string()),
            ("latency_ms", pa.float32()),
            ("features", pa.struct([(name, pa.float32()) for name in features])),
            ("request_id", pa.string()),
            ("position", pa.int32()),
            ("propensity", pa.float32()),
            ("as_of", micros),
            ("system", pa.string()),
            ("level", pa.int8()),
            ("cached", pa.bool_()),
            ("objective", pa.string()),
            ("rollout", pa.string()),
            ("variant", pa.string()),
            ("placement_propensity", pa.float32()),
            ("split_since", micros),
        ]
    )


def segment_table(header: SegmentHeader, requests: Sequence[ScoredRequest]) -> pa.Table:
    """Return *requests* as rows of the prediction log, one an item, in the order of the requests."""
    counts_R = np.array([len(request.item_ids) for request in requests], dtype=np.int64)
    request_M = np.repeat(np.arange(len(requests)), counts_R)
    rows = len(request_M)
    ranks = pa.array(_joined([r.ranks for r in requests], np.int32))

    def spread(values: list[object], kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind).take(pa.array(request_M))

    columns = {
        "prediction_id": _prediction_ids(requests, counts_R, request_M),
        "timestamp": spread([r.at_micros for r in requests], pa.int64()),
        "user_id": _text([r.user_id for r in requests]).take(pa.array(request_M)),
        "item_id": _text([item for r in requests for item in r.item_ids]),
        "score": pa.array(_joined([r.scores for r in requests], np.float32)),
        "rank": ranks,
        "model_version": pa.repeat(header.model_version, rows),
        "latency_ms": spread([r.latency_ms for r in requests], pa.float32()),
        "features": _features(header.features, requests, rows),
        "request_id": spread([r.request_id for r in requests], pa.string()),
        "position": ranks,
        "propensity": pa.array(_probabilities([r.propensities for r in requests], counts_R)),
        "as_of": spread([r.as_of_micros for r in requests], pa.int64()),
        "system": pa.repeat(header.system, rows),
        "level": spread([r.level for r in requests], pa.int8()),
        "cached": spread([r.cached for r in requests], pa.bool_()),
        "objective": spread([_weights(r.objective) for r in requests], pa.string()),
        "rollout": spread([r.rollout for r in requests], pa.string()),
        "variant": spread([r.variant for r in requests], pa.string()),
        "split_since": spread([r.split_micros for r in requests], pa.int64()),
        "placement_propensity": pa.array(_probabilities([r.placements for r in requests], counts_R)),
    }
    schema = prediction_schema(header.features)
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _weights(objective: dict[str, float] | None) -> str | None:
    """Return the weights of a request as JSON."""
    return None if objective is None else msgspec.json.encode(objective).decode()


def _probabilities(parts: list[bytes], counts_R: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the probabilities of all items, 1 in requests that have none."""
    if not any(parts):
        return np.ones(counts_R.sum(), np.float32)
    certain = [part or np.ones(count, np.float32).tobytes() for part, count in zip(parts, counts_R, strict=True)]
    return np.frombuffer(b"".join(certain), np.float32)


def _joined(parts: list[bytes], kind: type[np.generic]) -> npt.NDArray[np.generic]:
    return np.frombuffer(b"".join(parts), dtype=kind)


def _text(ids: list[int | str]) -> pa.Array:
    kinds = set(map(type, ids))
    if kinds == {int}:
        return pa.array(ids, pa.int64()).cast(pa.string())
    return pa.array(ids if kinds == {str} else [str(each) for each in ids], pa.string())


def _features(names: Sequence[str], requests: Sequence[ScoredRequest], rows: int) -> pa.Array:
    nothing = np.full(len(names), np.nan, np.float32).tobytes()
    values = [r.features or nothing * len(r.item_ids) for r in requests]
    x_MF = _joined(values, np.float32).reshape(rows, len(names))
    missing_MF = np.isnan(x_MF)
    fields = [pa.field(name, pa.float32()) for name in names]
    if not fields:
        return pa.array([{}] * rows, pa.struct([]))
    columns = [pa.array(x_MF[:, f], mask=missing_MF[:, f]) for f in range(len(names))]
    return pa.StructArray.from_arrays(columns, fields=fields)


def _prediction_ids(
    requests: Sequence[ScoredRequest], counts_R: npt.NDArray[np.int64], request_M: npt.NDArray[np.intp]
) -> pa.Array:
    # UUIDv7 (RFC 9562, method 1): milliseconds, the row's number in its request as counter, random bits.
    millis = [f"{r.at_micros // 1000:012x}" for r in requests]
    salts = [f"{0b10 << 62 | r.salt:016x}" for r in requests]
    first_M = np.repeat(np.cumsum(counts_R) - counts_R, counts_R)
    counters = pa.array([f"{row:03x}" for row in range(MAX_ROWS)])
    each = pa.array(request_M)
    return pc.binary_join_element_wise(
        pa.array([f"{text[:8]}-{text[8:]}-7" for text in millis], pa.string()).take(each),
        counters.take(pa.array(np.arange(len(request_M)) - first_M)),
        pa.array([f"-{text[:4]}-{text[4:]}" for text in salts], pa.string()).take(each),
        "",
    )
