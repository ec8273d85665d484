"""How much one step of an online store changes: stores that others wait for take small ones.

What cannot be smaller (the attributes of all items, a table whose features need all of it at once) is applied in
pieces. A writer that ends between two of them leaves the store torn: it must be cleared, and written anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from orita.features.plan import Plan
from orita.features.stores.store import Change, OnlineStore

__all__ = ["MOST_CHANGES", "apply_in_pieces", "is_torn", "most_events"]

MOST_CHANGES = 10_000_000
"""Records that a step changes at most, in a store where only writers wait for each other."""

_BEGUN, _DONE = "pieces/begun", "pieces/done"


def most_events(plan: Plan, most_changes: int) -> int:
    """Return how many events change about as many records as *most_changes*: one of each kind, or few of them more."""
    return max(1, most_changes // max(1, len(plan.records)))


def apply_in_pieces(
    store: OnlineStore, source: str, first: int, after: int, changes: Sequence[Change], most_changes: int
) -> bool:
    """Do as `OnlineStore.apply`, in steps of at most *most_changes*; in a store that nobody reads yet."""
    if len(changes) <= most_changes:
        return store.apply(source, first, after, changes)
    begun = store.offset(_BEGUN) or 0
    if begun != (store.offset(_DONE) or 0) or first != (store.offset(source) or 0):
        return False
    done = begun
    while len(changes) > most_changes:
        if not store.apply(_BEGUN, begun, begun + 1, changes[:most_changes]):
            return False
        begun, changes = begun + 1, changes[most_changes:]
    return store.apply(source, first, after, changes, also={_BEGUN: (begun, begun + 1), _DONE: (done, begun + 1)})


def is_torn(store: OnlineStore) -> bool:
    """Tell whether a writer ended between two pieces."""
    return (store.offset(_BEGUN) or 0) != (store.offset(_DONE) or 0)
