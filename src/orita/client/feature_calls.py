"""The calls of the feature store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Unpack
from urllib.parse import quote

from orita.client.answers import FeatureRows, Job, Pushed
from orita.client.asking import CallOptions
from orita.client.course import Asks, asked
from orita.client.exchange import Call, Course, Reply
from orita.client.json_form import read_data, written

__all__ = ["FeatureCalls", "Key"]

_PREFIX = "/api/v1/features"
_TAKEN = 202

Key = int | str | Sequence[int | str]
Rows = Sequence[Mapping[str, object]]

_rows, _job, _pushed = read_data(FeatureRows), read_data(Job), read_data(Pushed)


class FeatureCalls(Asks):
    """What can be asked of the feature store."""

    @asked
    def online(
        self,
        user_id: Key,
        item_ids: Sequence[Key],
        features: Sequence[str] | None = None,
        *,
        context: Mapping[str, object] | None = None,
        at: datetime | None = None,
        **options: Unpack[CallOptions],
    ) -> Course[FeatureRows]:
        """Return a row an item with *features*, by default all, of the user and the item as of *at*, by default now."""
        body = written(user_id=user_id, item_ids=item_ids, features=features, context=context, timestamp=at)
        return self._start(Call(b"POST", f"{_PREFIX}/online", _rows, body), options)

    @asked
    def offline(
        self,
        rows: Rows,
        features: Sequence[str] | None = None,
        *,
        as_of: Literal["known", "event"] = "known",
        **options: Unpack[CallOptions],
    ) -> Course[FeatureRows]:
        """Return *rows* with *features* of each as of its own time; it takes seconds, so give it a ``timeout``."""
        body = written(rows=rows, features=features, as_of=as_of)
        return self._start(Call(b"POST", f"{_PREFIX}/offline", _rows, body), options)

    @asked
    def start_offline(
        self,
        rows: Rows,
        features: Sequence[str] | None = None,
        *,
        as_of: Literal["known", "event"] = "known",
        **options: Unpack[CallOptions],
    ) -> Course[Job]:
        """Begin what `offline` waits for, and return its job."""
        body = written(rows=rows, features=features, as_of=as_of)
        path, accepted = f"{_PREFIX}/offline?wait=false", frozenset({_TAKEN})
        return self._start(Call(b"POST", path, _job, body, accepted), options)

    @asked
    def job(self, job: str, **options: Unpack[CallOptions]) -> Course[FeatureRows | Job]:
        """Return the rows of a job, or the job while it is under way."""
        path, accepted = f"{_PREFIX}/jobs/{quote(job, safe='')}", frozenset({200, _TAKEN})
        return self._start(Call(b"GET", path, _rows_or_job, accepted=accepted), options)

    @asked
    def push(
        self, events: Sequence[Mapping[str, object]], source: str | None = None, **options: Unpack[CallOptions]
    ) -> Course[Pushed]:
        """Append *events* to the log of *source*; all are durable then. One that is pushed again counts once."""
        body = written(events=events, source=source)
        return self._start(Call(b"POST", f"{_PREFIX}/push", _pushed, body), options)


def _rows_or_job(reply: Reply) -> FeatureRows | Job:
    return _job(reply) if reply.status == _TAKEN else _rows(reply)
