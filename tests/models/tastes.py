"""A small world of tastes for the tests of factors: people answer items, and features hold some of their answers."""

from __future__ import annotations

import numpy as np

from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.examples import Examples

__all__ = ["asked_of", "tastes"]


def asked_of(items: int) -> FeatureSchema:
    """Return one plain feature, and the answers to the items 3, 6, … of *items*."""
    return FeatureSchema(
        (FeatureColumn("item_ctr", "item"), *(FeatureColumn(f"answer_{3 * i}", "user") for i in range(1, 1 + items)))
    )


def tastes(
    people: int, *, first: int = 0, seed: int = 0, asked: int = 12, items: int = 20, text: bool = False
) -> Examples:
    """Return 15 rows a person, in order of time; people are numbered from *first*, items 3, 6, 9, …

    An answer of 1 to 5 is what two tastes and a level make of an item; the label says whether it is 4 or more. The
    first *asked* items have a feature that holds the person's answer once it is given, 5 answers being given before.
    """
    truth, random = np.random.default_rng(5), np.random.default_rng(seed)
    loading_ID, worth_I = truth.normal(size=(items, 2)), truth.normal(size=items) / 2
    x, users, chosen, labels = [], [], [], []
    for person in range(people):
        taste_I = loading_ID @ random.normal(size=2) + worth_I + random.normal() / 2
        answer_I = np.clip(np.round(3.2 + taste_I + random.normal(size=items) / 2), 1, 5)
        order = random.permutation(items)
        for at in range(5, items):
            known_I = np.full(items, np.nan)
            known_I[order[:at]] = answer_I[order[:at]]
            x.append([worth_I[order[at]], *known_I[:asked]])
            users.append(first + person)
            chosen.append(3 * (1 + order[at]))
            labels.append(answer_I[order[at]] >= 4)
    time_N = np.arange(len(x), dtype=np.int64) * 1_000_000
    if text:
        users_N, items_N = (np.array([f"{kind}{i}" for i in ids], object) for kind, ids in (("u", users), ("", chosen)))
        return Examples(
            asked_of(asked), users_N, items_N, np.array(x, np.float32), np.array(labels, np.float32), time_N
        )
    ids_2N = np.array([users, chosen], np.int64)
    return Examples(
        asked_of(asked), ids_2N[0], ids_2N[1], np.array(x, np.float32), np.array(labels, np.float32), time_N
    )
