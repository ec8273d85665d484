"""What moved a score: how much of it each feature brought, from the mean score of reference rows to the score.

Shapley values of the game "take the features of this coalition from the row, the others from a reference row, and
score": Shapley, "A value for n-person games" (1953); Štrumbelj and Kononenko, "Explaining prediction models and
individual predictions with feature contributions" (2014); Janzing, Minorics and Blöbaum, "Feature relevance
quantification in explainable AI: a causal problem" (2020), for taking the others as they are (interventional). They are
estimated by orders drawn at random, each with its reverse: Mitchell et al., "Sampling permutations for Shapley value
estimation" (2022). Along an order the changes of the score add up to the whole difference, so that baseline and
contributions add up to the score, however few orders are drawn; which feature gets how much has the error that is told.

The model is only asked for scores, so that it may be any. A row between the two may be one that no user and item have.

Legend: R reference rows, each with one order and its reverse; G players (groups of columns, and ids); S steps of an
order; F columns; N rows to score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.examples import Examples

__all__ = ["Attribution", "Player", "Row", "attribute", "players_of"]

Floats = npt.NDArray[np.float32]
Score = Callable[[Any, Any, Floats], Floats]
"""Scores rows: users [N], items [N], ``x_NF``."""

USER, ITEM = "user_id", "item_id"
_BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Player:
    """What is taken from the row or from the reference as one: a feature with all its columns, or an id.

    Attributes:
        name: the feature; ``user_id`` and ``item_id`` for what the model knows of an id by heart.
        columns: positions in ``x_NF``; none for an id.
    """

    name: str
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row to explain: its ids, and ``x_F`` as the model was given it."""

    user: int | str
    item: int | str
    x_F: Floats


@dataclass(frozen=True, slots=True)
class Attribution:
    """How a score came about; ``baseline + sum(contributions_G)`` is ``score`` up to rounding.

    Attributes:
        baseline: mean score of the reference rows.
        score: of the row.
        contributions_G: what each player moved the score by, float64.
        errors_G: standard error of each, from the orders and the reference rows that were drawn.
    """

    baseline: float
    score: float
    contributions_G: npt.NDArray[np.float64]
    errors_G: npt.NDArray[np.float64]


def players_of(schema: FeatureSchema, ids: Sequence[str] = ()) -> tuple[Player, ...]:
    """Return the players of *schema*: flags of one declaration are one, since a row of two devices is no row.

    Args:
        schema: of the model.
        ids: ``user_id`` and ``item_id``, as far as the model reads them.
    """
    groups: dict[str, list[int]] = {}
    for position, column in enumerate(schema.columns):
        together = column.kind == "flag" and column.meaning
        groups.setdefault(f"flags of {column.meaning}" if together else f"column {position}", []).append(position)
    named = [(_name([schema.names[f] for f in positions]), tuple(positions)) for positions in groups.values()]
    return (*(Player(name, columns) for name, columns in named), *(Player(name, ()) for name in ids))


def attribute(score: Score, players: Sequence[Player], reference: Examples, row: Row, *, seed: int = 0) -> Attribution:
    """Return what each of *players* moved the score of *row* by.

    Args:
        score: scores rows, such as ``package.score``.
        players: `players_of` the model.
        reference: R rows to start from, at least 2; their mean score is the baseline. Error falls with √R.
        row: what is explained.
        seed: fixes the orders.

    Raises:
        UserError: there are fewer than two reference rows.
    """
    rows = len(reference)
    if rows < 2:
        raise UserError(f"there are {rows} reference rows; give at least 2, to tell contribution from error.")
    random = np.random.default_rng(seed)
    forth_RG = np.argsort(random.random((rows, len(players))), axis=1)
    base_R = _scored(score, reference.users_N, reference.items_N, reference.x_NF)
    # Scored once, alone, as `replay` does: what the model says of the row does not hang on the rows beside it.
    users, items = (_ids(reference, row, name)[:1].copy() for name in (USER, ITEM))
    users[0], items[0] = row.user, row.item
    (whole,) = _scored(score, users, items, row.x_F[None, :])
    brought_RG = np.zeros((rows, len(players)))
    for place_RG in (forth_RG, len(players) - 1 - forth_RG):
        brought_RG += _brought(score, players, reference, row, place_RG, base_R, float(whole)) / 2
    errors_G = brought_RG.std(axis=0, ddof=1) / np.sqrt(rows)
    return Attribution(float(base_R.mean()), float(whole), brought_RG.mean(axis=0), errors_G)


def _brought(
    score: Score,
    players: Sequence[Player],
    reference: Examples,
    row: Row,
    place_RG: npt.NDArray[np.int64],
    base_R: npt.NDArray[np.float64],
    whole: float,
) -> npt.NDArray[np.float64]:
    """Return by how much the score changes when each player is taken from *row*, in the order of their places."""
    rows, steps = len(reference), len(players) - 1
    score_RS = np.empty((rows, steps + 2))
    score_RS[:, 0], score_RS[:, -1] = base_R, whole
    block = max(1, _BLOCK_ROWS // max(steps, 1))
    for start in range(0, rows if steps > 0 else 0, block):
        part = slice(start, start + block)
        taken_RSG = place_RG[part, None, :] < np.arange(1, steps + 1)[:, None]
        taken_NG = taken_RSG.reshape(-1, len(players))
        score_RS[part, 1:-1] = _mixed_scores(score, players, reference, row, np.arange(rows)[part], taken_NG)
    return np.take_along_axis(np.diff(score_RS, axis=1), place_RG, axis=1)


def _mixed_scores(
    score: Score,
    players: Sequence[Player],
    reference: Examples,
    row: Row,
    from_R: npt.NDArray[np.int64],
    taken_NG: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Return the scores, [R, S], of rows that have the players *taken* from *row* and the rest from the reference."""
    from_N = np.repeat(from_R, len(taken_NG) // len(from_R))
    x_NF = reference.x_NF[from_N]
    ids = {name: _ids(reference, row, name)[from_N] for name in (USER, ITEM)}
    own = {USER: row.user, ITEM: row.item}
    for g, player in enumerate(players):
        for f in player.columns:
            x_NF[taken_NG[:, g], f] = row.x_F[f]
        if not player.columns:
            ids[player.name][taken_NG[:, g]] = own[player.name]
    return _scored(score, ids[USER], ids[ITEM], x_NF).reshape(len(from_R), -1)


def _scored(score: Score, users_N: Any, items_N: Any, x_NF: Floats) -> npt.NDArray[np.float64]:
    return np.asarray(score(users_N, items_N, x_NF), np.float64)


def _ids(reference: Examples, row: Row, name: str) -> npt.NDArray[Any]:
    """Return the ids of the reference; as objects where the row's is of another kind, so that both can stand there."""
    ids_R, own = (reference.users_N, row.user) if name == USER else (reference.items_N, row.item)
    return ids_R if ids_R.dtype.kind == "i" and isinstance(own, int) else np.asarray(ids_R, object)


def _name(columns: Sequence[str]) -> str:
    """Return what the names of the columns begin with: ``device`` of ``device_mobile`` and ``device_desktop``."""
    if len(columns) == 1:
        return columns[0]
    parts = list(zip(*(name.split("_") for name in columns), strict=False))
    same = [words[0] for words in parts if len(set(words)) == 1]
    return "_".join(same) or columns[0]
