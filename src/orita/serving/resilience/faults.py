"""Faults for drills: what is to go wrong, when and how often. Only where `ORITA_ALLOW_FAULTS` is 1.

    serving:
      faults:
        - {part: store, kind: latency, milliseconds: 200, share: 0.1}
        - {part: model, kind: error, every: 5, from_seconds: 10, until_seconds: 40}

``latency`` waits, ``error`` fails as the part fails when it is away, ``hang`` waits so long that a timeout or an
operator has to end it, and ``drop`` loses: the log a row, store, broker and jobs their answer once the work is done.
`orita.serving.resilience.faulty` puts them around the protocols of the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Literal

import structlog
from pydantic import Field, model_validator

from orita.core.clock import Clock
from orita.core.config import Section
from orita.core.errors import Unavailable, UserError

__all__ = ["ALLOW_VARIABLE", "FaultRule", "Faults", "Injected"]

_log = structlog.stdlib.get_logger("orita.serving")

ALLOW_VARIABLE = "ORITA_ALLOW_FAULTS"

Part = Literal["store", "model", "log", "broker", "jobs"]


class Injected(Unavailable):
    """A fault that was asked for."""


class FaultRule(Section):
    """One fault.

    Attributes:
        part: what goes wrong: ``store``, ``model``, ``log``, ``broker`` (the event log) or ``jobs`` (their queue).
        kind: how: ``latency``, ``error``, ``hang`` or ``drop``.
        milliseconds: how long ``latency`` waits.
        hang_seconds: how long ``hang`` waits.
        share: of the calls, drawn at random; neither it nor *every*: all of them.
        every: every nth call, the nth first.
        from_seconds, until_seconds: since the server started; null: without an end.
    """

    part: Part
    kind: Literal["latency", "error", "hang", "drop"]
    milliseconds: Annotated[float, Field(gt=0, le=600_000)] = 100.0
    hang_seconds: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    every: Annotated[int, Field(ge=1)] | None = None
    from_seconds: Annotated[float, Field(ge=0)] = 0.0
    until_seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> FaultRule:
        if self.share is not None and self.every is not None:
            raise ValueError("share and every are both set, allowed is one of them")
        if self.until_seconds is not None and self.until_seconds <= self.from_seconds:
            raise ValueError(f"until_seconds is {self.until_seconds:g}, allowed are times after from_seconds")
        if self.part == "model" and self.kind == "drop":
            raise ValueError("kind is 'drop', allowed for the model are latency, error and hang")
        return self


@dataclass(slots=True)
class _Counted:
    """A rule, and how many calls came in its time."""

    rule: FaultRule
    calls: int = 0


class Faults:
    """Carries out rules; with none of them it costs a look at an empty tuple.

    Args:
        rules: what goes wrong; the rules of a part apply in their order.
        clock: the time; the start is now.
        environment: the process's variables.
        sleep: how to wait, in seconds.
        seed: of shares.

    Raises:
        UserError: there are rules, and the environment does not allow them.
    """

    def __init__(
        self,
        rules: Sequence[FaultRule],
        clock: Clock,
        environment: Mapping[str, str],
        *,
        sleep: Callable[[float], None] = time.sleep,
        seed: int = 0,
    ) -> None:
        if rules and environment.get(ALLOW_VARIABLE) != "1":
            raise UserError(
                f"serving.faults has {len(rules)} rules, and {ALLOW_VARIABLE} is not 1: set it where faults are "
                "wanted, or remove the rules."
            )
        if rules:
            _log.warning("faults_allowed", rules=[rule.model_dump(exclude_none=True) for rule in rules])
        self._rules: dict[Part, list[_Counted]] = {}
        for rule in rules:
            self._rules.setdefault(rule.part, []).append(_Counted(rule))
        self._monotonic = clock.monotonic
        self._started = clock.monotonic()
        self._sleep = sleep
        self._random = Random(seed)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def strike(self, part: Part) -> bool:
        """Wait or fail as the rules of *part* say, before its work; return whether its work or answer is to be lost.

        Raises:
            Injected: the part is to fail.
        """
        lost = False
        for counted in self._rules.get(part, ()):
            rule = counted.rule
            if not self._applies(counted):
                continue
            if rule.kind == "error":
                raise Injected(f"serving.faults lets the {part} fail: remove the rule to end the drill.")
            if rule.kind == "drop":
                lost = True
            else:
                self._sleep(rule.milliseconds / 1000 if rule.kind == "latency" else rule.hang_seconds)
        return lost

    def _applies(self, counted: _Counted) -> bool:
        rule, since = counted.rule, self._monotonic() - self._started
        if since < rule.from_seconds or (rule.until_seconds is not None and since >= rule.until_seconds):
            return False
        counted.calls += 1
        if rule.every is not None:
            return counted.calls % rule.every == 0
        return rule.share is None or self._random.random() < rule.share
