"""A server as a policy, and as who takes the feedback: the same HTTP API that any caller has.

Legend: P pages, C candidates, N rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from orita.client import Client
from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.events.world import DEVICES
from orita.simulate.client import RankingClient
from orita.simulate.life import Pages
from orita.simulate.policies import Ranked

__all__ = ["HttpFeedback", "HttpPolicy"]

_GIVE_UP_AFTER = 5
_ROWS = 1_000
_SECONDS = 30.0


class HttpPolicy:
    """Ranks by ``POST {address}/predict``, a request a page.

    Args:
        address: the server, such as ``http://127.0.0.1:8080``.
        name: what it is called in reports.
    """

    def __init__(self, address: str, name: str) -> None:
        self.name, self._address = name, address
        self._client, self._unreachable, self._reached = RankingClient(address), 0, False

    def __enter__(self) -> HttpPolicy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def rank(self, rng: np.random.Generator, pages: Pages, /) -> Ranked:
        """Return the candidates as the answers rank them; pages without a usable answer have failed.

        Raises:
            UserError: no server answers.
        """
        items_PC, failed_P = pages.candidates_PC.copy(), np.zeros(len(pages), np.bool_)
        request_ids: list[str] = []
        for page in range(len(pages)):
            at = from_micros(int(pages.time_P[page])).isoformat(timespec="microseconds").replace("+00:00", "Z")
            candidates = pages.candidates_PC[page].tolist()
            answer = self._client.predict(int(pages.users_P[page]), candidates, DEVICES[pages.devices_P[page]], at)
            self._count(answer.outcome)
            request_ids.append(answer.request_id)
            failed_P[page] = len(answer.items) < len(candidates)
            if not failed_P[page]:
                items_PC[page] = answer.items
        return Ranked(items_PC, request_ids, failed_P)

    def _count(self, outcome: str) -> None:
        self._reached |= outcome != "unreachable"
        self._unreachable = self._unreachable + 1 if outcome == "unreachable" else 0
        if self._unreachable >= _GIVE_UP_AFTER or (self._unreachable and not self._reached):
            raise UserError(f"no server answers at {self._address}: start one with 'orita serve', or give its address.")


class HttpFeedback:
    """Gives what users did to ``POST {address}/api/v1/features/push``.

    Args:
        address: the server.
        source: the name of the stream.
    """

    def __init__(self, address: str, source: str) -> None:
        self._client, self._source = Client(address), source

    def take(self, rows: pa.Table, until: int, /) -> None:
        """Push *rows*, all of which happened before *until*."""
        events: list[Mapping[str, Any]] = rows.to_pylist()
        for start in range(0, len(events), _ROWS):
            self._client.features.push(events[start : start + _ROWS], self._source, timeout=_SECONDS)

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()
