"""Whatever is applied, repeated, overtaken, deleted and reopened: a store is what a dictionary would be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orita.features.stores.store import OnlineStore

KEYS = st.sampled_from([b"a", b"b", b"ab", b"\x00", b"\xff", b"*", b"k" * 255])
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=40)), max_size=8)
SOURCES = st.sampled_from(["s/0", "s/1", "s/11"])
STEPS = st.one_of(
    # A batch that starts *behind* offsets before (a repeat, a zombie), at, or after (a gap) where its source stands.
    st.tuples(
        st.just("apply"), SOURCES, st.sampled_from([0, 0, 0, 1, 3, -2]), st.integers(1, 5), CHANGES, st.booleans()
    ),
    st.tuples(st.just("put"), st.lists(st.tuples(KEYS, st.binary(max_size=40)), max_size=5)),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("clear")),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=25))
def test_a_store_is_a_dictionary(make: Callable[[], OnlineStore], steps: list[tuple[Any, ...]]) -> None:
    """Records and offsets equal the model's after every step, in every store."""
    records: dict[bytes, bytes] = {}
    offsets: dict[str, int] = {}
    store = make()
    store.clear()
    try:
        for step in steps:
            match step:
                case ("apply", source, behind, length, changes, turn):
                    at = offsets.get(source, 0)
                    first = max(at - behind, 0)
                    stands = offsets.get("turn", 0)
                    also = {"turn": (stands, stands + 1)} if turn else {}
                    applied = store.apply(source, first, first + length, changes, also=also)
                    assert applied == (first == at)
                    if applied:
                        offsets |= {source: first + length, **{name: after for name, (_, after) in also.items()}}
                        for key, record in changes:
                            _change(records, key, record)
                case ("put", written):
                    store.put_many(written)
                    records.update(written)
                case ("reopen",):
                    store.close()
                    store = make()
                case _:
                    store.clear()
                    records.clear()
                    offsets.clear()
            assert dict(store.scan()) == records
            assert store.size().records == len(records)
            for source in ("s/0", "s/1", "s/11", "turn"):
                assert store.offset(source) == offsets.get(source)
    finally:
        store.close()


def _change(records: dict[bytes, bytes], key: bytes, record: bytes | None) -> None:
    if record is None:
        records.pop(key, None)
    else:
        records[key] = record
