"""Checks that every `OnlineStore` must pass, yours too."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from orita.core.errors import UserError
from orita.features.keys import encode_rows
from orita.features.stores.store import Change, OnlineStore

__all__ = ["check_online_store"]

_MANY = 2_500


def check_online_store(make: Callable[[], OnlineStore]) -> None:
    """Write, read, close and reopen a store, and check all that the contract promises.

    What needs a kill or a full disk is not in it.

    Args:
        make: opens the store, which is empty at first; called again after `close`, it opens the same one.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
    """
    for check in _CHECKS:
        store = make()
        try:
            store.clear()
            check(store)
        finally:
            store.close()
    _closing_keeps_everything(make)


def _an_empty_store_has_nothing(store: OnlineStore) -> None:
    assert store.get_many([]) == [], "no keys must give no records"
    assert store.get_many([b"a", b"b"]) == [None, None], "a key that was never written must give None"
    assert store.offset("s") is None, "a source that was never moved has no offset"
    assert list(store.scan()) == [], "an empty store yields nothing"
    assert store.size().records == 0, "an empty store has no records"


def _keys_do_not_mix(store: OnlineStore) -> None:
    keys = _hard_keys()
    records = {key: b"record %d" % number for number, key in enumerate(keys)}
    assert store.put_many(records.items()) == len(keys), "put_many must say how many it wrote"
    _holds(store, records)
    backwards = [*reversed(keys), keys[0], keys[0]]
    assert store.get_many(backwards) == [records[key] for key in backwards], "records are not in the order of keys"
    for prefix in (b"", b"\x01", b"\xff", b"*", b"[ab]", b"\\", b"?", b"\x00", keys[3]):
        wanted = {key: record for key, record in records.items() if key.startswith(prefix)}
        assert dict(store.scan(prefix)) == wanted, f"scan({prefix!r}) found other records"


def _any_bytes_are_a_record(store: OnlineStore) -> None:
    records = [b"", b"\x00", bytes(range(256)), b"\r\n$-1\r\n", "Ọ̀rìtà".encode(), bytes(100_000)]
    written = {b"key %d" % number: record for number, record in enumerate(records)}
    assert store.apply("s", 0, 1, written.items()), "the first batch was refused"
    _holds(store, written)


def _a_batch_counts_once(store: OnlineStore) -> None:
    assert store.apply("s/0", 0, 10, [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]), "the first batch was refused"
    assert store.apply("s/0", 10, 15, [(b"a", b"2"), (b"b", None), (b"never", None)]), "the next batch was refused"
    expected = {b"a": b"2", b"c": b"1"}
    for first, after in ((0, 10), (10, 15), (0, 15), (10, 20), (14, 20), (16, 20), (0, 1 << 62)):
        refused = not store.apply("s/0", first, after, [(b"a", b"wrong"), (b"c", None), (b"d", b"wrong")])
        assert refused, f"a batch from {first} was applied to a store that stood at 15"
        _holds(store, expected)
        assert store.offset("s/0") == 15, "a refused batch moved the offset"
    assert store.apply("s/0", 15, 1 << 62, ()), "a batch without changes must move the offset"
    assert store.apply("s/0", 1 << 62, (1 << 62) + 1, ()), "offsets are not exact beyond 2⁵³"
    assert store.offset("s/0") == (1 << 62) + 1, "offsets are not exact beyond 2⁵³"


def _sources_are_independent(store: OnlineStore) -> None:
    for number, source in enumerate(["s/1", "s/11", "s", "Ọ̀/1", "t" * 200], start=1):
        assert store.offset(source) is None, "a source has the offset of another"
        assert not store.apply(source, 1, 2, [(b"a", b"wrong")]), "a source that was never moved stands at 0"
        assert store.apply(source, 0, number, [(b"a", b"%d" % number)]), f"{source!r} was refused its first batch"
        assert store.offset(source) == number, f"{source!r} has the offset of another"
    assert store.size().records == 1, "offsets are counted as records"
    assert dict(store.scan()) == {b"a": b"5"}, "offsets are among the records"


def _sources_move_together(store: OnlineStore) -> None:
    assert store.apply("s/0", 0, 5, [(b"a", b"1")], also={"s/1": (0, 7)}), "two new sources were refused"
    assert (store.offset("s/0"), store.offset("s/1")) == (5, 7), "a source in 'also' did not move"
    assert not store.apply("s/0", 5, 6, [(b"a", b"wrong")], also={"s/1": (0, 8)}), "'also' was not looked at"
    assert (store.offset("s/0"), store.offset("s/1")) == (5, 7), "a refused batch moved one of its sources"
    _holds(store, {b"a": b"1"})


def _the_last_change_counts(store: OnlineStore) -> None:
    assert store.apply("s", 0, 1, [(b"a", b"1"), (b"b", b"1"), (b"a", None), (b"b", b"2"), (b"c", None), (b"c", b"3")])
    _holds(store, {b"b": b"2", b"c": b"3"})


def _nothing_of_a_wrong_batch_stays(store: OnlineStore) -> None:
    assert store.apply("s", 0, 3, [(b"a", b"1")]), "the first batch was refused"
    wrong: list[tuple[str, int, int, list[Change]]] = [
        ("s", 3, 3, []),
        ("s", 3, 2, []),
        ("s", -1, 4, []),
        ("s", 3, 1 << 63, []),
        ("", 0, 1, []),
        ("s" * 201, 0, 1, []),
        ("s", 3, 4, [(b"a", b"2"), (b"", b"2")]),
        ("s", 3, 4, [(b"a", b"2"), (b"k" * 256, b"2")]),
    ]
    for source, first, after, changes in wrong:
        assert _refused(lambda: store.apply(source, first, after, changes)), (  # noqa: B023 - called at once
            f"apply({source!r}, {first}, {after}) with {len(changes)} changes must be a UserError"
        )
    assert _refused(lambda: store.apply("s", 3, 4, [], also={"s": (3, 5)})), "a source named twice must be a UserError"
    assert _refused(lambda: store.put_many([(b"k" * 256, b"2")])), "a key of 256 bytes must be a UserError"

    def broken() -> Iterator[Change]:
        yield b"a", b"2"
        raise LookupError

    with contextlib.suppress(LookupError):
        store.apply("s", 3, 4, broken())
    _holds(store, {b"a": b"1"})
    assert store.offset("s") == 3, "a batch that raised moved the offset"


def _scans_see_each_record_once(store: OnlineStore) -> None:
    records = {b"%d/%d" % (number % 3, number): b"%d" % number for number in range(_MANY)}
    assert store.put_many(iter(records.items())) == _MANY, "put_many did not write all"
    assert store.size().records == _MANY, "size counts other records"
    assert store.size().bytes > 0, "records take bytes"
    assert Counter(key for key, _ in store.scan()) == Counter(list(records)), "a scan yields every record once"
    found = Counter(store.scan(b"1/"))
    assert found == Counter(item for item in records.items() if item[0].startswith(b"1/")), "a scan yields its prefix"


def _a_cleared_store_is_empty(store: OnlineStore) -> None:
    store.apply("s", 0, 1, [(b"a", b"1")])
    store.clear()
    _an_empty_store_has_nothing(store)
    assert store.apply("s", 0, 1, [(b"a", b"2")]), "a cleared store refused a first batch"


def _a_read_is_of_one_moment(store: OnlineStore) -> None:
    keys = [b"%d" % number for number in range(50)]
    done = threading.Event()
    torn: list[set[bytes | None]] = []

    def read() -> None:
        while not done.is_set():
            seen = set(store.get_many(keys))
            if len(seen) > 1:
                torn.append(seen)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(100):
            assert store.apply("s", number, number + 1, [(key, b"%d" % number) for key in keys])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not torn, f"one read saw records of two batches: {torn[0]}"


def _writers_take_turns(store: OnlineStore) -> None:
    """Two writers of one source, of which one is a zombie, and one of another source, all adding to one counter."""
    rounds = 40
    failed: list[BaseException] = []

    def add(source: str) -> None:
        try:
            while (at := store.offset(source) or 0) < rounds:
                turn = store.offset("turn") or 0
                (raw,) = store.get_many([b"count"])
                count = b"%d" % (int(raw or b"0") + 1)
                store.apply(source, at, at + 1, [(b"count", count)], also={"turn": (turn, turn + 1)})
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=add, args=(source,)) for source in ("s/0", "s/0", "s/1")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failed, f"a writer failed: {failed[0]!r}"
    _holds(store, {b"count": b"%d" % (2 * rounds)})
    assert store.offset("turn") == 2 * rounds, "a batch was applied twice or lost"


def _closing_keeps_everything(make: Callable[[], OnlineStore]) -> None:
    store = make()
    store.clear()
    store.put_many([(b"a", b"1")])
    store.apply("s", 0, 5, [(b"b", b"2")])
    store.close()
    store = make()
    try:
        _holds(store, {b"a": b"1", b"b": b"2"})
        assert store.offset("s") == 5, "an offset was lost by closing"
        assert not store.apply("s", 0, 5, [(b"b", b"wrong")]), "a batch was applied again after closing"
        assert store.apply("s", 5, 6, [(b"b", b"3")]), "the next batch was refused after closing"
    finally:
        store.close()


def _hard_keys() -> list[bytes]:
    """Keys that mix where ids are joined carelessly, where text is assumed, or where patterns are."""
    numbers = encode_rows(b"\x01", [np.array([1, 11, -1]), np.array([11, 1, 0])], 3)
    long, other = "x" * 200, "x" * 199 + "y"
    first = np.array(["a", "ab", "", "Ọ̀rìtà", "Ọrita", long, other, long], object)
    second = np.array(["bc", "c", "abc", "ẹ̀", "ẹ", long, long, other], object)
    texts = encode_rows(b"\x02", [first, second], len(first))
    odd = [b"\x00", b"\x00\x00", b"\xff", b"\xff\xff", b"*", b"[ab]", b"a", b"\\", b"\\*", b"?", b"\r\n", b"k" * 255]
    return [*numbers, *texts, *odd]


def _holds(store: OnlineStore, records: dict[bytes, bytes]) -> None:
    assert store.get_many(list(records)) == list(records.values()), "a record is not what was written"
    assert dict(store.scan()) == records, "the store holds other records than were written"


def _refused(action: Callable[[], object]) -> bool:
    try:
        action()
    except UserError:
        return True
    return False


_CHECKS: Sequence[Callable[[OnlineStore], None]] = (
    _an_empty_store_has_nothing,
    _keys_do_not_mix,
    _any_bytes_are_a_record,
    _a_batch_counts_once,
    _sources_are_independent,
    _sources_move_together,
    _the_last_change_counts,
    _nothing_of_a_wrong_batch_stays,
    _scans_see_each_record_once,
    _a_cleared_store_is_empty,
    _a_read_is_of_one_moment,
    _writers_take_turns,
)
