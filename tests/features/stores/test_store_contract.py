"""Every online store keeps the contract, and the check of the contract catches those that do not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orita.features.stores.batches import checked_batch, pieces
from orita.features.stores.store import Change, OnlineStore, StoreSize
from orita.testing.online_stores import check_online_store

DOCUMENT = Path(__file__).parents[3] / "docs" / "api_docs.md"


def test_every_store_keeps_the_contract(make: Callable[[], OnlineStore]) -> None:
    """Reads, exactly-once batches, offsets, scans, reopening and threads are as `check_online_store` demands."""
    check_online_store(make)


def test_the_store_of_the_documents_keeps_the_contract() -> None:
    """The user's own store that the documents show runs as it stands there, check and all."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "check_online_store" in block]
    exec(compile(example, str(DOCUMENT), "exec", dont_inherit=True), {"__name__": "example"})


class _Plain:
    """A store in memory that keeps the contract in one thread, to be broken."""

    def __init__(self, kept: dict[str, dict[Any, Any]]) -> None:
        self.records: dict[bytes, bytes] = kept.setdefault("records", {})
        self.offsets: dict[bytes, int] = kept.setdefault("offsets", {})

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.records.get(key) for key in keys]

    def apply(
        self,
        source: str,
        first: int,
        next: int,  # noqa: A002
        changes: Iterable[Change],
        *,
        also: Mapping[str, tuple[int, int]] = {},
    ) -> bool:
        batch = checked_batch(source, first, next, changes, also)
        if not self.fits(batch.moves):
            return False
        for key in batch.deletes:
            self.records.pop(key, None)
        self.records.update(batch.puts)
        self.move(batch.moves)
        return True

    def fits(self, moves: Mapping[bytes, tuple[int, int]]) -> bool:
        return all(self.offsets.get(source, 0) == first for source, (first, _) in moves.items())

    def move(self, moves: Mapping[bytes, tuple[int, int]]) -> None:
        self.offsets.update({source: after for source, (_, after) in moves.items()})

    def offset(self, source: str) -> int | None:
        return self.offsets.get(source.encode())

    def put_many(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        count = 0
        for piece in pieces(records, 100):
            self.records.update(piece)
            count += len(piece)
        return count

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        yield from [item for item in self.records.items() if item[0].startswith(prefix)]

    def clear(self) -> None:
        self.records.clear()
        self.offsets.clear()

    def size(self) -> StoreSize:
        return StoreSize(len(self.records), sum(map(len, self.records.values())))

    def close(self) -> None:
        """Nothing to release."""


class _AppliesRepeats(_Plain):
    def fits(self, moves: Mapping[bytes, tuple[int, int]]) -> bool:
        return all(self.offsets.get(source, 0) >= first for source, (first, _) in moves.items())


class _AppliesWithAGap(_Plain):
    def fits(self, moves: Mapping[bytes, tuple[int, int]]) -> bool:
        return all(self.offsets.get(source, 0) <= first for source, (first, _) in moves.items())


class _IgnoresOthers(_Plain):
    def fits(self, moves: Mapping[bytes, tuple[int, int]]) -> bool:
        return super().fits(dict([next(iter(moves.items()))]))


class _MovesBeforeItLooks(_Plain):
    def fits(self, moves: Mapping[bytes, tuple[int, int]]) -> bool:
        found = super().fits(moves)
        self.move(moves)
        return found


class _ForgetsOffsets(_Plain):
    def __init__(self, kept: dict[str, dict[Any, Any]]) -> None:
        super().__init__(kept)
        self.offsets = {}


class _CountsAsFloats(_Plain):
    def move(self, moves: Mapping[bytes, tuple[int, int]]) -> None:
        self.offsets.update({source: int(float(after)) for source, (_, after) in moves.items()})


class _ScansByText(_Plain):
    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        yield from [item for item in self.records.items() if re.match(prefix.replace(b"*", b".*"), item[0])]


class _ScansTwice(_Plain):
    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        found = list(super().scan(prefix))
        yield from found + found[2000:]


class _ClearsRecordsOnly(_Plain):
    def clear(self) -> None:
        self.records.clear()


class _SortsItsAnswers(_Plain):
    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.records.get(key) for key in sorted(keys)]


class _DropsEmptyRecords(_Plain):
    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.records.get(key) or None for key in keys]


class _TakesAnyKey(_Plain):
    def put_many(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        self.records.update(records)
        return len(self.records)


class _WritesBeforeItHasAll(_Plain):
    def apply(self, source: str, first: int, next: int, changes: Iterable[Change], **options: Any) -> bool:  # noqa: A002
        def passed_on() -> Iterator[Change]:
            for key, record in changes:
                if record == b"2" and key == b"a" and first == 3:
                    self.records[key] = record
                yield key, record

        return super().apply(source, first, next, passed_on(), **options)


def test_the_check_passes_a_store_that_keeps_the_contract() -> None:
    """What the broken stores below are broken from is whole (single-threaded in effect: dictionaries under the GIL)."""
    kept: dict[str, dict[Any, Any]] = {}
    for check in _single_threaded():
        store = _Plain(kept)
        store.clear()
        check(store)


def _single_threaded() -> list[Callable[[OnlineStore], None]]:
    from orita.testing import online_stores

    threaded = {"_a_read_is_of_one_moment", "_writers_take_turns"}
    return [check for check in online_stores._CHECKS if check.__name__ not in threaded]


@pytest.mark.parametrize(
    "broken",
    [
        _AppliesRepeats,
        _AppliesWithAGap,
        _IgnoresOthers,
        _MovesBeforeItLooks,
        _ForgetsOffsets,
        _CountsAsFloats,
        _ScansByText,
        _ScansTwice,
        _ClearsRecordsOnly,
        _SortsItsAnswers,
        _DropsEmptyRecords,
        _TakesAnyKey,
        _WritesBeforeItHasAll,
    ],
)
def test_the_check_catches_broken_stores(broken: type[_Plain], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each breach of the contract fails the check with a sentence, without help of chance in threads."""
    monkeypatch.setattr("orita.testing.online_stores._CHECKS", _single_threaded())
    kept: dict[str, dict[Any, Any]] = {}
    with pytest.raises(AssertionError):
        check_online_store(lambda: broken(kept))
