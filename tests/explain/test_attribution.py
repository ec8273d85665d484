"""What moved a score adds up to it, is what the definition says within its error, and nothing for what is not read."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.models.outcomes import headed_package

from orita.core.errors import UserError
from orita.explain.attribution import ITEM, USER, Attribution, Player, Row, attribute, players_of
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.examples import Examples

Floats = npt.NDArray[np.float32]
SCHEMA = FeatureSchema(
    (
        FeatureColumn("user_ctr", "user"),
        FeatureColumn("item_ctr", "item"),
        FeatureColumn("age", "item"),
        FeatureColumn("device_mobile", "context", "flag", meaning="d1"),
        FeatureColumn("device_desktop", "context", "flag", meaning="d1"),
        FeatureColumn("is_new", "item", "flag", meaning="d2"),
    )
)
IDS = (USER, ITEM)


def reference(rows: int = 128, seed: int = 3) -> Examples:
    """Return rows to start from; some values are missing."""
    random = np.random.default_rng(seed)
    x_NF = random.normal(size=(rows, 6)).astype(np.float32)
    x_NF[:, 3] = random.random(rows) < 0.5
    x_NF[:, 4] = 1 - x_NF[:, 3]
    x_NF[random.random(rows) < 0.1, 2] = np.nan
    ids_N = random.integers(0, 5, (2, rows))
    return Examples(SCHEMA, ids_N[0], ids_N[1], x_NF, np.zeros(rows, np.float32), np.zeros(rows, np.int64))


ROW = Row("3", "4", np.array([1.5, -0.5, np.nan, 1, 0, 1], np.float32))


def crossed(users_N: Any, items_N: Any, x_NF: Floats) -> Floats:
    """Score with products, missing values and ids that know each other; ``is_new`` is not read."""
    known_N = np.array([str(u) == "3" and str(i) in "24" for u, i in zip(users_N, items_N, strict=True)])
    raw_N = x_NF[:, 0] * x_NF[:, 1] + 0.7 * np.where(np.isnan(x_NF[:, 2]), -1, x_NF[:, 2]) * x_NF[:, 3]
    return (1 / (1 + np.exp(-(raw_N + x_NF[:, 0] + 0.5 * known_N)))).astype(np.float32)


def by_definition(players: tuple[Player, ...], rows: Examples, row: Row) -> npt.NDArray[np.float64]:
    """Return Shapley values as they are defined: over every coalition of players, against every reference row."""
    count = len(players)
    worth: dict[frozenset[int], float] = {}
    for size in range(count + 1):
        for coalition in itertools.combinations(range(count), size):
            x_NF, users_N, items_N = rows.x_NF.copy(), rows.users_N.astype(object), rows.items_N.astype(object)
            for g in coalition:
                x_NF[:, list(players[g].columns)] = row.x_F[list(players[g].columns)]
                users_N[:] = row.user if players[g].name == USER else users_N
                items_N[:] = row.item if players[g].name == ITEM else items_N
            worth[frozenset(coalition)] = float(crossed(users_N, items_N, x_NF).mean(dtype=np.float64))
    values_G = np.zeros(count)
    for g in range(count):
        for without, value in worth.items():
            if g not in without:
                size = len(without)
                share = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
                values_G[g] += share * (worth[without | {g}] - value)
    return values_G


def test_values_are_shapley_values() -> None:
    """Against the definition over all coalitions each contribution is right within the error that comes with it."""
    players, rows = players_of(SCHEMA, IDS), reference()
    exact_G = by_definition(players, rows, ROW)
    found = attribute(crossed, players, rows, ROW)
    assert np.all(np.abs(found.contributions_G - exact_G) <= 4 * found.errors_G + 1e-7)
    assert np.abs(found.contributions_G - exact_G).max() < 0.01 < np.abs(exact_G).max()


@pytest.mark.parametrize("rows", [2, 7, 300])
def test_they_add_up_to_the_score(rows: int) -> None:
    """However few rows and orders, the mean score of the reference and the contributions are the score."""
    held = reference(rows)
    found = attribute(crossed, players_of(SCHEMA, IDS), held, ROW)
    assert found.baseline == pytest.approx(crossed(held.users_N, held.items_N, held.x_NF).mean(dtype=np.float64))
    assert found.baseline + found.contributions_G.sum() == pytest.approx(found.score, abs=1e-12)
    assert found.score == pytest.approx(_alone(ROW))


def _alone(row: Row) -> float:
    return float(crossed(np.array([row.user], object), np.array([row.item], object), row.x_F[None, :])[0])


def test_what_is_not_read_moves_nothing() -> None:
    """A feature that the model ignores has exactly nothing, without error; an id too."""
    found = named(attribute(crossed, players_of(SCHEMA, IDS), reference(), ROW))
    assert found["is_new"] == (0.0, 0.0)
    assert found["item_id"][0] != 0

    def without_ids(users_N: Any, items_N: Any, x_NF: Floats) -> Floats:
        return x_NF[:, 0]

    assert named(attribute(without_ids, players_of(SCHEMA, IDS), reference(), ROW))["user_id"] == (0.0, 0.0)


def named(found: Attribution) -> dict[str, tuple[float, float]]:
    """Return contribution and error by player."""
    names = [player.name for player in players_of(SCHEMA, IDS)]
    return dict(zip(names, zip(found.contributions_G.tolist(), found.errors_G.tolist(), strict=True), strict=True))


def test_a_sum_is_taken_apart_exactly() -> None:
    """Of a model that adds, each feature brings its weight times how far it lies from the mean of the reference."""
    weight_F = np.array([0.25, -0.5, 0.0, 1.0, 0.5, 2.0], np.float32)
    rows = reference()
    rows.x_NF[:, 2] = 0
    row = Row("3", "4", np.array([1.5, -0.5, 0, 1, 0, 1], np.float32))

    def added(users_N: Any, items_N: Any, x_NF: Floats) -> Floats:
        return x_NF @ weight_F

    found = named(attribute(added, players_of(SCHEMA, IDS), rows, row))
    away_F = weight_F * (row.x_F - rows.x_NF.mean(axis=0))
    assert found["user_ctr"][0] == pytest.approx(away_F[0], abs=1e-5)
    assert found["is_new"][0] == pytest.approx(away_F[5], abs=1e-5)
    assert found["device"][0] == pytest.approx(away_F[3] + away_F[4], abs=1e-5)


def test_flags_of_one_feature_are_one_player() -> None:
    """Columns of a one-hot feature move together, as a row of two devices is no row; other flags are their own."""
    players = players_of(SCHEMA, [USER])
    assert [(player.name, player.columns) for player in players] == [
        ("user_ctr", (0,)),
        ("item_ctr", (1,)),
        ("age", (2,)),
        ("device", (3, 4)),
        ("is_new", (5,)),
        ("user_id", ()),
    ]
    seen: list[Floats] = []

    def watched(users_N: Any, items_N: Any, x_NF: Floats) -> Floats:
        seen.append(x_NF)
        return crossed(users_N, items_N, x_NF)

    attribute(watched, players, reference(), ROW)
    every = np.concatenate(seen)
    assert np.all(every[:, 3] + every[:, 4] == 1)


def test_the_same_again() -> None:
    """The same seed gives the same values, the reference is left as it was, and the error falls as rows are added."""
    players, rows = players_of(SCHEMA, IDS), reference()
    before = rows.x_NF.copy()
    first, again = (attribute(crossed, players, rows, ROW, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.contributions_G, again.contributions_G)
    np.testing.assert_array_equal(rows.x_NF, before)
    assert not np.array_equal(first.contributions_G, attribute(crossed, players, rows, ROW, seed=6).contributions_G)
    many = attribute(crossed, players, reference(2048), ROW)
    assert many.errors_G.sum() < 0.5 * first.errors_G.sum()


def test_one_player_and_none() -> None:
    """A single feature brings all of the difference; a model that reads nothing is its baseline."""
    schema = FeatureSchema((FeatureColumn("only", "item"),))
    ids_N = np.zeros(4, np.int64)
    rows = Examples(schema, ids_N, ids_N, np.ones((4, 1), np.float32), np.zeros(4, np.float32), ids_N)

    def same(users_N: Any, items_N: Any, x_NF: Floats) -> Floats:
        return np.asarray(x_NF.sum(axis=1))

    found = attribute(same, players_of(schema), rows, Row(0, 0, np.array([3], np.float32)))
    assert (found.baseline, found.contributions_G.tolist(), found.errors_G.tolist()) == (1.0, [2.0], [0.0])
    assert attribute(same, (), rows, Row(0, 0, np.array([1], np.float32))).contributions_G.shape == (0,)


def test_too_few_rows() -> None:
    """One row to start from is refused: its error could not be told."""
    with pytest.raises(UserError, match="there are 1 reference rows; give at least 2"):
        attribute(crossed, players_of(SCHEMA), reference(1), ROW)


def test_a_model_of_several_heads(tmp_path: Path) -> None:
    """Of a calibrated model of several heads the weighed score is taken apart, ids among what moved it."""
    package, _, rows = headed_package(tmp_path / "package", click=1.0, like=2.0)
    users_N, items_N = rows.users_N, rows.items_N
    row = Row(int(users_N[100]), int(items_N[100]), rows.x_NF[100])
    players = players_of(package.schema, IDS)
    found = attribute(package.score, players, rows.take(slice(0, 64)), row)
    assert found.score == pytest.approx(float(package.score(users_N, items_N, rows.x_NF)[100]), abs=1e-6)
    assert found.baseline + found.contributions_G.sum() == pytest.approx(found.score, abs=1e-9)
    assert np.abs(found.contributions_G).max() > 0
