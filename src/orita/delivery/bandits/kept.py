"""Bandits as control state keeps their declarations: every change with who, when and why.

What a bandit has learnt is not here: that follows from the choices and rewards that are logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from orita.control.aggregates import Change, Decisions, Held, Keeper, Kind, deciding
from orita.control.events import ControlEvent
from orita.core.errors import NotFound, closest
from orita.delivery.bandits.declarations import BanditDeclaration, BanditFile, check_bandit

__all__ = ["BANDIT", "Bandits"]


def _after(state: BanditDeclaration | None, event: ControlEvent, body: Any) -> BanditDeclaration | None:
    return None if event.type == "removed" else msgspec.convert(body, BanditDeclaration)


BANDIT = Kind("bandit", BanditDeclaration, ("declared", "removed"), _after)


class Bandits(Keeper[BanditDeclaration]):
    """The bandits of one tenant, as they are declared; opened as every `Keeper` is."""

    kind = BANDIT

    def get(self, key: str) -> Held[BanditDeclaration]:
        """Return a bandit.

        Raises:
            NotFound: there is none of that key.
        """
        return self._of.known(key)

    def all(self) -> dict[str, Held[BanditDeclaration]]:
        """Return the bandits by key."""
        return self._of.all()

    def followed(self) -> tuple[int, dict[str, BanditDeclaration]]:
        """Return the position of control state, and the bandits as they are at it."""
        position, kept = self.log.snapshot(BANDIT.name)
        states = {each.name: BANDIT.decoded(each.state) for each in kept[BANDIT.name]}
        return position, {key: state for key, state in states.items() if state is not None}

    def history(self, key: str) -> list[ControlEvent]:
        """Return what was decided of a bandit, the first first."""
        return self._of.history(key)

    def declare(
        self, file: BanditFile, *, actor: str, reason: str, expected: int | None = None, whole: bool = False
    ) -> list[ControlEvent]:
        """Make bandits what *file* says, all of them or none; those that are so already get no event.

        Args:
            file: bandits; others stay.
            actor, reason: who changes them, and why.
            expected: the version that the caller last saw, where the file has one bandit (0: none); None: any.
            whole: the file is all there is: bandits that it has not are removed.

        Raises:
            UserError: one contradicts itself.
            Conflict: the version is another one.
            Unavailable: the database is away or busy.
        """
        for bandit in file.bandits:
            check_bandit(bandit)
        declared = {bandit.key: bandit for bandit in file.bandits}

        def change(decisions: Decisions) -> Iterable[ControlEvent | None]:
            for key, bandit in declared.items():
                found = decisions.of(BANDIT, key)
                found.check_version(expected)
                same = found.state == bandit
                yield None if same else found.record("declared", bandit, actor=actor, reason=reason)
            for key in sorted(decisions.states(BANDIT).keys() - declared.keys()) if whole else ():
                yield decisions.of(BANDIT, key).record("removed", {}, actor=actor, reason=reason)

        return self._changed(change)

    def remove(self, key: str, *, actor: str, reason: str, expected: int | None = None) -> ControlEvent:
        """Remove a bandit; its history stays, and what was logged of it.

        Raises:
            NotFound: there is no such bandit.
            Conflict: the version is not the *expected* one.
            Unavailable: the database is away or busy.
        """

        def change(decisions: Decisions) -> Iterable[ControlEvent | None]:
            bandit: Change[BanditDeclaration] = decisions.of(BANDIT, key)
            if bandit.state is None:
                raise NotFound(f"there is no bandit {key!r}. {closest(key, decisions.states(BANDIT))}")
            bandit.check_version(expected)
            yield bandit.record("removed", {}, actor=actor, reason=reason)

        return self._changed(change)[0]

    def _changed(self, change: Callable[[Decisions], Iterable[ControlEvent | None]]) -> list[ControlEvent]:
        with deciding(self.log) as decisions:
            return [event for event in change(decisions) if event is not None]
