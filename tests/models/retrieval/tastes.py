"""A small world of interactions for the tests of retrieval: users with a taste, items with a kind and a worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from orita.models.retrieval.interactions import Interactions
from orita.models.retrieval.traits import Traits

__all__ = ["ITEMS", "KINDS", "USERS", "interactions", "kinds_of_items", "split"]

USERS, ITEMS, KINDS = 120, 60, 4


def interactions(rows: int = 2000, *, seed: int = 0, text: bool = False) -> Interactions:
    """Return about *rows* distinct pairs; a user takes items of the own kind eight times as often as others."""
    random = np.random.default_rng(seed)
    users_N = random.integers(0, USERS, rows)
    worth_I = 1.0 / (1 + np.arange(ITEMS) // KINDS)
    items_N = np.empty(rows, np.int64)
    for row, user in enumerate(users_N):
        chance_I = worth_I * np.where(np.arange(ITEMS) % KINDS == user % KINDS, 8.0, 1.0)
        items_N[row] = random.choice(ITEMS, p=chance_I / chance_I.sum())
    pairs = np.unique(np.stack([users_N, items_N], 1), axis=0)
    random.shuffle(pairs)
    weight_N = random.choice(np.array([0.5, 1.0, 2.0], np.float32), len(pairs))
    time_N = np.arange(len(pairs), dtype=np.int64) * 1_000_000
    ids: tuple[Any, ...] = (pairs[:, 0] + 7, pairs[:, 1] * 3)
    if text:
        ids = tuple(np.array([f"{kind}-{n}" for n in pairs[:, c]], object) for c, kind in enumerate("ui"))
    return Interactions(ids[0], ids[1], time_N, weight_N)


def split(rows: Interactions, share: float = 0.25) -> tuple[Interactions, Interactions]:
    """Part the rows at random; they are in a random order already."""
    first = round(len(rows) * (1 - share))
    return rows.take(slice(0, first)), rows.take(slice(first, None))


def kinds_of_items() -> Traits:
    """Return the kind of each item, as number ids."""
    has_NG = np.eye(KINDS, dtype=np.float32)[np.arange(ITEMS) % KINDS]
    return Traits(np.arange(ITEMS) * 3, has_NG)
