"""All flags of a place at a time: checked together, compiled, and evaluated for requests.

    flags = FlagSet.of([Flag(key="new-checkout", rules=(Rule(serve="on", rollout=Rollout(percent=50)),))])
    flags.evaluate("new-checkout", {"targetingKey": 12}, False).value

A set never changes: a change of flags is another set. It may be used by any number of threads.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import msgspec

from orita.core.clock import Clock, SystemClock
from orita.core.errors import UserError
from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.matching import Attributes, Now, asks_time, matcher
from orita.delivery.flags.checking import check_flag, in_order
from orita.delivery.flags.compiling import Evaluate, compile_flag
from orita.delivery.flags.declarations import Flag, FlagFile
from orita.delivery.flags.dice import Draw
from orita.delivery.flags.evaluation import ErrorCode, Evaluation, Reason

__all__ = ["FlagSet"]


@dataclass(frozen=True, slots=True)
class FlagSet:
    """Flags that were checked and compiled; make one with `of`.

    Attributes:
        flags: the declarations by key.
        segments: the conditions by name.
        stale: whether they may be out of date, which their evaluations then say.
        etag: a digest of the declarations, quoted as HTTP wants it: equal for equal flags, in any order of them.
    """

    flags: Mapping[str, Flag]
    segments: Mapping[str, Condition]
    etag: str
    stale: bool = False
    _compiled: Mapping[str, Evaluate] = field(repr=False, compare=False, default_factory=dict)
    _now: Now = field(repr=False, compare=False, default=float)
    _timed: bool = field(repr=False, compare=False, default=True)

    @classmethod
    def of(
        cls,
        flags: Iterable[Flag],
        segments: Mapping[str, Condition] | None = None,
        *,
        clock: Clock | None = None,
        draw: Draw = random.random,
    ) -> FlagSet:
        """Return the set of *flags*.

        Args:
            flags: the declarations, in any order.
            segments: conditions that they may name.
            clock: tells the time where a schedule needs it; without one, the machine's.
            draw: returns a random number in [0, 1), for rollouts that say ``anonymous: random``.

        Raises:
            UserError: a flag is not right, keys repeat, prerequisites or segments are unknown or form a cycle.
        """
        ordered, named, told = in_order(flags), dict(segments or {}), clock or SystemClock()

        def now() -> float:
            return told.now().timestamp()

        for name, condition in named.items():
            try:
                matcher(condition, named, now)
            except UserError as error:
                raise UserError(f"segment {name!r}: {error}") from None
        compiled: dict[str, Evaluate] = {}
        for flag in ordered:
            check_flag(flag, named)
            try:
                compiled[flag.key] = compile_flag(flag, named, compiled, now, draw)
            except UserError as error:
                raise UserError(f"flag {flag.key!r}: {error}") from None
        by_key = {flag.key: flag for flag in sorted(ordered, key=lambda flag: flag.key)}
        etag = _etag(FlagFile(flags=tuple(by_key.values()), segments=named))
        timed = any(_asks_time(flag) for flag in ordered) or any(asks_time(condition) for condition in named.values())
        return cls(MappingProxyType(by_key), MappingProxyType(named), etag, False, compiled, now, timed)

    def evaluate(
        self, key: str, attributes: Attributes, default: Any = None, *, now: float | None = None
    ) -> Evaluation:
        """Return what the flag *key* serves; nothing that *attributes* hold raises.

        Args:
            key: the flag.
            attributes: what is known of the request, by name; the unit is ``targetingKey`` unless a rule says another.
            default: the value where there is no such flag.
            now: seconds since the Unix epoch; without them the clock is read where a schedule needs it, and not else.
        """
        compiled = self._compiled.get(key)
        if compiled is None:
            sentence = f"there is no flag {key[:80]!r}."  # its neighbours are not looked for on a request's path
            return Evaluation(key, default, None, Reason.ERROR, ErrorCode.FLAG_NOT_FOUND, sentence)
        found = compiled(attributes, now)
        return msgspec.structs.replace(found, reason=Reason.STALE) if self.stale else found

    def evaluate_all(self, attributes: Attributes, *, now: float | None = None) -> list[Evaluation]:
        """Return what every flag serves, by key in order, all as of one time."""
        at = self._now() if now is None and self._timed else now
        return [self.evaluate(key, attributes, now=at) for key in self.flags]

    def as_stale(self) -> FlagSet:
        """Return the same flags, which say that they may be out of date."""
        return FlagSet(self.flags, self.segments, self.etag, True, self._compiled, self._now, self._timed)


def _asks_time(flag: Flag) -> bool:
    return flag.schedule is not None or any(
        rule.schedule is not None
        or (rule.rollout is not None and bool(rule.rollout.steps))
        or (rule.when is not None and asks_time(rule.when))
        for rule in flag.rules
    )


def _etag(file: FlagFile) -> str:
    typed = msgspec.convert(msgspec.to_builtins(file), FlagFile)  # 50 and 50.0 are one percentage
    return f'"{blake2b(msgspec.json.encode(typed, order="deterministic"), digest_size=16).hexdigest()}"'
