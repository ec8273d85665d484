"""What the door needs of those who answer several requests together. It knows nothing else of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

__all__ = ["Joint", "Waiting"]


class Waiting(NamedTuple):
    """A request whose turn it is.

    Attributes:
        body: of the request; the very object that is answered afterwards.
        deadline: monotonic seconds.
        arrived: when it came, likewise.
        alike: the object that all who are together have in common.
    """

    body: bytes | bytearray
    deadline: float
    arrived: float
    alike: object


class Joint(Protocol):
    """Does beforehand, for several requests at once, what costs less so; then each is answered as if it were alone.

    Attributes:
        most: requests that are taken together.
    """

    @property
    def most(self) -> int:
        """Requests that are taken together."""
        ...

    def takes(self, body: bytes | bytearray, /) -> bool:
        """Return whether a request of this body gains by company."""
        ...

    def together(self, requests: Sequence[Waiting], /) -> AbstractContextManager[object]:
        """Return a context within which *requests* find what was done for them; it raises nothing."""
        ...
