"""What can be asked of a server: each call as a request, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from orita.client.answers import Configuration, FeatureRows, Health, Job, Metrics, Pushed, Ranking
from orita.client.exchange import Call, Reply
from orita.core.errors import UserError

__all__ = [
    "config",
    "features_job",
    "features_offline",
    "features_online",
    "features_push",
    "health",
    "metrics",
    "predict",
    "start_features_offline",
]

T = TypeVar("T")

_FEATURES = "/api/v1/features"
_TAKEN = 202

Key = int | str | Sequence[int | str]


class _Envelope(msgspec.Struct, Generic[T], frozen=True):
    data: T


def predict(user_id: int | str, item_ids: Sequence[int | str], context: Mapping[str, object] | None) -> Call[Ranking]:
    """Return the call of ``POST /predict``."""
    body = _given(user_id=user_id, item_ids=item_ids, context=context)
    return Call(b"POST", "/predict", _ranking, body)


def health() -> Call[Health]:
    """Return the call of ``GET /health``; a server without a model answers 503, which is an answer here."""
    return Call(b"GET", "/health", _reader(Health), accepted=frozenset({200, 503}))


def metrics() -> Call[Metrics]:
    """Return the call of ``GET /metrics``."""
    return Call(b"GET", "/metrics", _reader(Metrics))


def config() -> Call[Configuration]:
    """Return the call of ``GET /config``."""
    return Call(b"GET", "/config", _reader(Configuration))


def features_online(
    user_id: Key,
    item_ids: Sequence[Key],
    features: Sequence[str] | None,
    context: Mapping[str, object] | None,
    at: datetime | None,
) -> Call[FeatureRows]:
    """Return the call of ``POST /api/v1/features/online``."""
    body = _given(user_id=user_id, item_ids=item_ids, features=features, context=context, timestamp=at)
    return Call(b"POST", f"{_FEATURES}/online", _reader_of_data(FeatureRows), body)


def features_offline(
    rows: Sequence[Mapping[str, object]], features: Sequence[str] | None, as_of: Literal["known", "event"]
) -> Call[FeatureRows]:
    """Return the call of ``POST /api/v1/features/offline`` that waits for the rows."""
    body = _given(rows=rows, features=features, as_of=as_of)
    return Call(b"POST", f"{_FEATURES}/offline", _reader_of_data(FeatureRows), body)


def start_features_offline(
    rows: Sequence[Mapping[str, object]], features: Sequence[str] | None, as_of: Literal["known", "event"]
) -> Call[Job]:
    """Return the call that begins a job of `features_offline`."""
    body = _given(rows=rows, features=features, as_of=as_of)
    accepted = frozenset({_TAKEN})
    return Call(b"POST", f"{_FEATURES}/offline?wait=false", _reader_of_data(Job), body, accepted)


def features_job(job: str) -> Call[FeatureRows | Job]:
    """Return the call that asks for a job: the rows, or the job again while it is under way."""

    def read(reply: Reply) -> FeatureRows | Job:
        kind: type[FeatureRows] | type[Job] = Job if reply.status == _TAKEN else FeatureRows
        return _reader_of_data(kind)(reply)

    return Call(b"GET", f"{_FEATURES}/jobs/{quote(job, safe='')}", read, accepted=frozenset({200, _TAKEN}))


def features_push(events: Sequence[Mapping[str, object]], source: str | None) -> Call[Pushed]:
    """Return the call of ``POST /api/v1/features/push``."""
    return Call(b"POST", f"{_FEATURES}/push", _reader_of_data(Pushed), _given(events=events, source=source))


def _ranking(reply: Reply) -> Ranking:
    ranking = msgspec.json.decode(reply.body, type=Ranking)
    return msgspec.structs.replace(ranking, request_id=reply.headers.get(b"x-request-id", b"").decode("latin-1"))


def _reader(kind: type[T]) -> Callable[[Reply], T]:
    return lambda reply: msgspec.json.decode(reply.body, type=kind)


def _reader_of_data(kind: type[T]) -> Callable[[Reply], T]:
    envelope = _Envelope[kind]  # type: ignore[valid-type]
    return lambda reply: msgspec.json.decode(reply.body, type=envelope).data


def _given(**fields: object) -> bytes:
    """Return the fields that have a value as JSON.

    Raises:
        UserError: a value has no form in JSON.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return msgspec.json.encode(given, enc_hook=_plain)
    except (TypeError, OverflowError, UnicodeEncodeError) as error:
        raise UserError(f"{' and '.join(given)} cannot be written as JSON: {error}.") from None


def _plain(value: object) -> object:
    """Return arrays and their numbers as Python's own, whichever library they are of, and sequences as lists."""
    if callable(convert := getattr(value, "tolist", None)):
        plain: object = convert()
        return plain
    if isinstance(value, Sequence):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no number, text, time, list or table")
