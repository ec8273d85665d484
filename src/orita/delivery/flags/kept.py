"""Flags and segments as control state keeps them: every change with who, when and why, all of them checked together.

A change that would leave the flags of a tenant in contradiction (a prerequisite or segment that is not there, a cycle)
is refused, and nothing of it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from orita.control.aggregates import Change, Decisions, Held, Keeper, Kind, deciding
from orita.control.events import ControlEvent
from orita.core.errors import NotFound, closest
from orita.delivery.assignment.conditions import Condition
from orita.delivery.flags.declarations import Flag, FlagFile
from orita.delivery.flags.flag_set import FlagSet

__all__ = ["FLAG", "SEGMENT", "Flags", "Segment", "check_flags"]


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a segment means."""

    condition: Condition


class Switched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an event: whether a flag is enabled from then on."""

    enabled: bool


def _flag_after(state: Flag | None, event: ControlEvent, body: Any) -> Flag | None:
    if event.type == "removed":
        return None
    if event.type == "switched" and state is not None:
        return msgspec.structs.replace(state, enabled=msgspec.convert(body, Switched).enabled)
    return msgspec.convert(body, Flag)


def _segment_after(state: Segment | None, event: ControlEvent, body: Any) -> Segment | None:
    return None if event.type == "removed" else msgspec.convert(body, Segment)


FLAG = Kind("flag", Flag, ("declared", "switched", "removed"), _flag_after)
SEGMENT = Kind("segment", Segment, ("declared", "removed"), _segment_after)


def check_flags(decisions: Decisions) -> None:
    """Refuse changes that leave flags and segments in contradiction; within their transaction.

    Raises:
        UserError: they do.
    """
    flags, segments = decisions.states(FLAG), decisions.states(SEGMENT)
    FlagSet.of(flags.values(), {name: segment.condition for name, segment in segments.items()})


class Flags(Keeper[Flag]):
    """The flags of one tenant; opened as every `Keeper` is."""

    kind = FLAG

    def get(self, key: str) -> Held[Flag]:
        """Return a flag.

        Raises:
            NotFound: there is none of that key.
        """
        return self._of.known(key)

    def all(self) -> dict[str, Held[Flag]]:
        """Return the flags by key."""
        return self._of.all()

    def file(self) -> FlagFile:
        """Return all flags and segments, as a file has them."""
        return self._read()[1]

    def current(self) -> FlagSet:
        """Return the flags as they are now, to be evaluated."""
        return self.followed()[1]

    def followed(self) -> tuple[int, FlagSet]:
        """Return the position of control state, and the flags as they are at it."""
        position, file = self._read()
        return position, FlagSet.of(file.flags, file.segments, clock=self.log.clock)

    def _read(self) -> tuple[int, FlagFile]:
        position, kept = self.log.snapshot(FLAG.name, SEGMENT.name)
        flags = [FLAG.decoded(each.state) for each in kept[FLAG.name]]
        segments = [(each.name, SEGMENT.decoded(each.state)) for each in kept[SEGMENT.name]]
        there = {name: segment.condition for name, segment in segments if segment is not None}
        return position, FlagFile(flags=tuple(flag for flag in flags if flag is not None), segments=there)

    def history(self, key: str) -> list[ControlEvent]:
        """Return what was decided of a flag, the first first."""
        return self._of.history(key)

    def declare(
        self, file: FlagFile, *, actor: str, reason: str, expected: int | None = None, whole: bool = False
    ) -> list[ControlEvent]:
        """Make flags and segments what *file* says, all of them or none; those that are so already get no event.

        Args:
            file: flags and segments; others stay.
            actor, reason: who changes them, and why.
            expected: the version that the caller last saw, where the file has one flag (0: none); None: do not check.
            whole: the file is all there is: flags and segments that it has not are removed.

        Raises:
            UserError: they are not right, by themselves or together with the others.
            Conflict: the version is another one.
            Unavailable: the database is away or busy.
        """
        keys = [flag.key for flag in file.flags]

        def change(decisions: Decisions) -> Iterable[ControlEvent | None]:
            for name, condition in file.segments.items():
                yield _declared(decisions.of(SEGMENT, name), Segment(condition), actor, reason)
            for flag in file.flags:
                flag_change = decisions.of(FLAG, flag.key)
                flag_change.check_version(expected)
                yield _declared(flag_change, flag, actor, reason)
            if whole:
                gone: list[tuple[Kind[Any], str]] = [
                    *((FLAG, key) for key in decisions.states(FLAG) if key not in keys),
                    *((SEGMENT, name) for name in decisions.states(SEGMENT) if name not in file.segments),
                ]
                for kind, name in gone:
                    yield decisions.of(kind, name).record("removed", {}, actor=actor, reason=reason)

        return self._changed(change)

    def switch(
        self,
        key: str,
        *,
        enabled: bool,
        actor: str,
        reason: str,
        expected: int | None = None,
        command: str | None = None,
    ) -> ControlEvent | None:
        """Enable a flag, or not: the kill switch. Return what was decided, None where it was so already.

        Raises:
            NotFound: there is no such flag.
            Conflict: the version is not the *expected* one.
            Unavailable: the database is away or busy.
        """

        def change(decisions: Decisions) -> Iterable[ControlEvent | None]:
            before = None if command is None else decisions.of(FLAG, key).asked_before(command)
            if before is not None:
                yield before
                return
            flag = self._known(decisions, key)
            flag.check_version(expected)
            if flag.state is not None and flag.state.enabled != enabled:
                yield flag.record("switched", Switched(enabled), actor=actor, reason=reason, command=command)

        return next(iter(self._changed(change)), None)

    def remove(self, key: str, *, actor: str, reason: str, expected: int | None = None) -> ControlEvent:
        """Remove a flag; its history stays.

        Raises:
            NotFound: there is no such flag.
            UserError: another flag has it as a prerequisite.
            Conflict: the version is not the *expected* one.
            Unavailable: the database is away or busy.
        """

        def change(decisions: Decisions) -> Iterable[ControlEvent | None]:
            flag = self._known(decisions, key)
            flag.check_version(expected)
            yield flag.record("removed", {}, actor=actor, reason=reason)

        return self._changed(change)[0]

    def _changed(self, change: Callable[[Decisions], Iterable[ControlEvent | None]]) -> list[ControlEvent]:
        with deciding(self.log) as decisions:
            made = [event for event in change(decisions) if event is not None]
            if made:
                check_flags(decisions)
        return made

    def _known(self, decisions: Decisions, key: str) -> Change[Flag]:
        change = decisions.of(FLAG, key)
        if change.state is None:
            raise NotFound(f"there is no flag {key!r}. {closest(key, decisions.states(FLAG))}")
        return change


def _declared(change: Change[Any], state: Any, actor: str, reason: str) -> ControlEvent | None:
    return None if change.state == state else change.record("declared", state, actor=actor, reason=reason)
