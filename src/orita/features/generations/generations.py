"""The contract of generations: online state is written beside the one that is read, and takes its place in one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from orita.features.generations.generation import Generation
from orita.features.stores.store import OnlineStore

__all__ = ["Generations"]


class Generations(Protocol):
    """The generations of one system's online state.

    Every method raises `OritaError` where they cannot be reached or written.
    """

    @property
    def most_changes(self) -> int:
        """How many changes one step of a store should make, so that nobody else is kept waiting for it."""
        ...

    @property
    def near(self) -> bool:
        """Whether a second read costs little: then rows of items are kept in memory while they hold."""
        ...

    def current(self) -> Generation | None:
        """Return the generation that readers use, None before the first."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the names of all there are, also of those that were only begun, the oldest first."""
        ...

    def unfinished(self) -> Mapping[str, Mapping[str, Any]]:
        """Return by name, the oldest first, what those are made of that were begun and not finished."""
        ...

    def begin(self, made_of: Mapping[str, object], *, resume: bool) -> str:
        """Return the name of a generation to write.

        Args:
            made_of: what it is computed from, as values of JSON.
            resume: take the one that was begun with the same and not finished, if there is one.
        """
        ...

    def writing(self, name: str) -> OnlineStore:
        """Open the store of a generation that was begun, to write it; who opens it closes it."""
        ...

    def reading(self, name: str) -> OnlineStore:
        """Open the store of a generation that was finished, to read it; who opens it closes it."""
        ...

    def finish(self, made: Generation) -> None:
        """Make *made* the generation that readers use, in one step, and retire all but it and the one before.

        The one before stays, since readers may still have it open.
        """
        ...

    def close(self) -> None:
        """Let go of what is held to look at them; open stores stay open."""
        ...
