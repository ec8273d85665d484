"""What one worker tells the others as it happens, such as which predictions hold no more: a ring of short notes.

One process writes, the others read, each from where it stopped; no lock is needed. Who was away for longer than the
ring is long is told that it has missed something.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["NOTES_BYTES", "Notes"]

NOTES_BYTES = 64 * 1024
"""Memory of one ring, in bytes."""

_HEAD = 8
_ROOM = NOTES_BYTES - _HEAD
_LENGTH = 2
_MOST = _ROOM // 2  # bytes of one write


class Notes:
    """The notes of one worker.

    Args:
        memory: `NOTES_BYTES` of them, shared; zeros before the first note.
    """

    def __init__(self, memory: memoryview) -> None:
        self._end, self._ring = memory[:_HEAD].cast("q"), memory[_HEAD:]

    @property
    def end(self) -> int:
        """Where the next note will begin: bytes since the first."""
        return self._end[0]

    def write(self, notes: Iterable[bytes]) -> None:
        """Add *notes*, of up to 65,535 bytes each; where they are more than half a ring, readers miss them."""
        content = b"".join([len(note).to_bytes(_LENGTH) + note for note in notes])
        if len(content) > _MOST:
            self._end[0] += _ROOM
            return
        start = self._end[0] % _ROOM
        first = _ROOM - start
        self._ring[start : start + len(content)] = content[:first]
        self._ring[: len(content[first:])] = content[first:]
        self._end[0] += len(content)  # last, so that nobody reads what is not there yet

    def since(self, begin: int) -> tuple[list[bytes] | None, int]:
        """Return the notes since *begin*, an earlier `end`, and the end now; None: some are gone."""
        end = self._end[0]
        if end == begin:
            return [], end
        length = end - begin
        start = begin % _ROOM
        content = bytes(self._ring[start : start + length]) + bytes(self._ring[: max(0, start + length - _ROOM)])
        # What is being written now, half a ring at most, may lie behind the end that the writer has told of.
        if self._end[0] - begin > _ROOM - _MOST:
            return None, self._end[0]
        notes, at = [], 0
        while at < length:
            behind = at + _LENGTH + int.from_bytes(content[at : at + _LENGTH])
            notes.append(content[at + _LENGTH : behind])
            at = behind
        return notes, end
