"""How long work tells that it goes on; the command line draws it, libraries only report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["SILENT", "Bar", "Progress"]


class Bar(Protocol):
    """One piece of work under way."""

    def advance(self, by: float = 1.0) -> None:
        """Tell that *by* more units are done."""
        ...

    def describe(self, text: str) -> None:
        """Replace the short text beside the bar (loss, rate)."""
        ...


class Progress(Protocol):
    """Draws work under way."""

    def bar(self, title: str, total: float | None = None) -> AbstractContextManager[Bar]:
        """Open a bar of *total* units (None: unknown) that closes with the ``with`` block."""
        ...


class _SilentBar:
    def advance(self, by: float = 1.0) -> None:
        pass

    def describe(self, text: str) -> None:
        pass


class _Silent:
    @contextmanager
    def _open(self) -> Iterator[Bar]:
        yield _SilentBar()

    def bar(self, title: str, total: float | None = None) -> AbstractContextManager[Bar]:
        return self._open()


SILENT: Progress = _Silent()
