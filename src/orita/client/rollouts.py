"""Rollouts of a server: what is told of them, and the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack
from urllib.parse import quote, urlencode

import msgspec

from orita.client.asking import CallOptions
from orita.client.course import Asks, asked
from orita.client.exchange import Call, Course
from orita.client.json_form import read_data, written

__all__ = ["Rollout", "RolloutCalls"]

_PREFIX = "/api/v1/rollouts"
_MADE = 201


class Rollout(msgspec.Struct, frozen=True):
    """A rollout as it stands.

    Attributes:
        id: its id.
        system: whose it is.
        strategy: ``canary``, ``blue_green``, ``ab``, ``bandit``, ``segment`` or ``shadow``.
        versions: the challengers.
        champion: what everybody else gets.
        state: ``running``, ``paused``, ``promoted``, ``aborted`` or ``rolled_back``.
        step: from 1.
        steps: how many there are.
        shares: percent of units by version, the champion's too.
        started_at: when it began.
        since: when the present shares began.
        verdict: what the analysis last said: ``not_looked_at``, ``not_enough_traffic``, ``hold``, ``advance`` or
            ``roll_back``.
        why: the same in words; of one that ended, the reason.
        evidence: what that rests on.
        winner: the version that was promoted, None otherwise.
        ended_at: when it ended, None before.
        controller: who judges and advances it, None where nobody does.
        plan: as declared, without what is as by default.
        looked_at: when that controller looked last, and said so.
        trouble: ``what`` keeps that controller from judging it, ``since`` when, and the ``remedy``; None: nothing.
        acknowledged: what holds it no more: each with ``beyond`` (``check``, ``version``, ``why``), ``by``, ``at`` and
            ``reason``.
    """

    id: str
    system: str
    strategy: str
    versions: tuple[str, ...]
    champion: str
    state: str
    step: int
    steps: int
    shares: dict[str, float]
    started_at: datetime
    since: datetime
    verdict: str
    why: str
    evidence: dict[str, Any]
    winner: str | None
    ended_at: datetime | None
    controller: str | None
    plan: dict[str, Any]
    looked_at: datetime | None = None
    trouble: dict[str, Any] | None = None
    acknowledged: tuple[dict[str, Any], ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.ended_at is not None


class _Rollouts(msgspec.Struct, frozen=True):
    rollouts: tuple[Rollout, ...]


_rollout, _rollouts = read_data(Rollout), read_data(_Rollouts)


class RolloutCalls(Asks):
    """What can be asked of rollouts; each takes the id of a rollout, or the rollout.

    A server that does not tell of them refuses with ``rollouts_hidden``. It decides who may change them: by default its
    own machine.
    """

    @asked
    def list(self, *, system: str | None = None, **options: Unpack[CallOptions]) -> Course[tuple[Rollout, ...]]:
        """Return the rollouts under way, and the last 20 that ended of each system.

        Args:
            system: only those of this one; None: of all.
            options: see `CallOptions`.
        """
        path = _PREFIX if system is None else f"{_PREFIX}?{urlencode({'system': system})}"
        found = yield from self._start(Call(b"GET", path, _rollouts), options)
        return found.rollouts

    @asked
    def get(self, rollout: str | Rollout, **options: Unpack[CallOptions]) -> Course[Rollout]:
        """Return a rollout as it stands; one that is not known is refused with ``rollout_not_found``."""
        return self._start(Call(b"GET", _path(rollout), _rollout), options)

    @asked
    def start(self, plan: Mapping[str, Any], *, reason: str = "", **options: Unpack[CallOptions]) -> Course[Rollout]:
        """Begin a rollout, and return it; packages are published and verified first, so give it a ``timeout``.

        Args:
            plan: ``strategy``, ``versions`` and what else the plan says, such as
                ``{"strategy": "canary", "versions": ["v1.3.0"]}``.
            reason: why; it is kept with the decision.
            options: see `CallOptions`.

        Raises:
            Refused: 403, the caller may not; 409, another is under way, or a version cannot be tried; 422, the plan is
                wrong.
        """
        body = written(plan=dict(plan), reason=reason)
        return self._start(Call(b"POST", _PREFIX, _rollout, body, frozenset({_MADE})), options)

    @asked
    def pause(self, rollout: str | Rollout, *, reason: str = "", **options: Unpack[CallOptions]) -> Course[Rollout]:
        """Stop the way up, not the way back where harm is proven; return the rollout as it stands then.

        Raises:
            Refused: 403, the caller may not; 409, it is paused already, or has ended.
        """
        return self._start(_decided(rollout, "pause", reason), options)

    @asked
    def resume(self, rollout: str | Rollout, *, reason: str = "", **options: Unpack[CallOptions]) -> Course[Rollout]:
        """Go on with a rollout that is paused, and return it.

        Raises:
            Refused: as of `pause`; 409, it is not paused.
        """
        return self._start(_decided(rollout, "resume", reason), options)

    @asked
    def acknowledge(
        self,
        rollout: str | Rollout,
        *,
        reason: str,
        checks: Sequence[str] = (),
        **options: Unpack[CallOptions],
    ) -> Course[Rollout]:
        """Say that what holds a rollout was looked at and is meant, so that it holds it no more; return the rollout.

        Args:
            rollout: which.
            reason: why it is meant; it is kept with the decision.
            checks: of ``scores``, ``drift`` and ``split``; by default all that hold it now.
            options: see `CallOptions`.

        Raises:
            Refused: as of `pause`; 409, a check does not hold it; 422, there is no such check that could.
        """
        return self._start(_decided(rollout, "acknowledge", reason, checks=list(checks)), options)

    @asked
    def advance(self, rollout: str | Rollout, *, reason: str = "", **options: Unpack[CallOptions]) -> Course[Rollout]:
        """Go to the next step without waiting for the analysis, and return the rollout.

        Raises:
            Refused: as of `pause`; 409, it has no further step, or a *rollout* that was given as an answer of before is
                at another step by now.
        """
        seen = {"step": rollout.step} if isinstance(rollout, Rollout) else {}
        return self._start(_decided(rollout, "advance", reason, **seen), options)

    @asked
    def abort(self, rollout: str | Rollout, *, reason: str = "", **options: Unpack[CallOptions]) -> Course[Rollout]:
        """End a rollout, so that everybody gets the champion, and return it.

        Raises:
            Refused: as of `pause`.
        """
        return self._start(_decided(rollout, "abort", reason), options)

    @asked
    def promote(
        self,
        rollout: str | Rollout,
        *,
        version: str | None = None,
        reason: str = "",
        **options: Unpack[CallOptions],
    ) -> Course[Rollout]:
        """Make a version the champion, and return the rollout; a registry is told, so give it a ``timeout``.

        Args:
            rollout: which.
            version: which of its versions, where there are several.
            reason: why; it is kept with the decision.
            options: see `CallOptions`.

        Raises:
            Refused: as of `pause`; 409, several versions are tried and none is named, or another was deployed since.
        """
        body = written(version=version, reason=reason)
        return self._start(Call(b"POST", f"{_path(rollout)}/promote", _rollout, body), options)


def _decided(rollout: str | Rollout, command: str, reason: str, **given: object) -> Call[Rollout]:
    return Call(b"POST", f"{_path(rollout)}/{command}", _rollout, written(reason=reason, **given))


def _path(rollout: str | Rollout) -> str:
    id_ = rollout.id if isinstance(rollout, Rollout) else rollout
    return f"{_PREFIX}/{quote(id_, safe='')}"
