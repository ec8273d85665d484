"""Factors say of people who were never seen what they would answer, in arrays and in the graph alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.models.tastes import tastes

from orita.core.errors import UserError
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.answers import AnswerColumns, answers_of
from orita.models.compose import Composer
from orita.models.config import FactorsSection
from orita.models.factor_blend import _Learning
from orita.models.factor_traits import Traits
from orita.models.factors import Answers, Factors, learn_factors
from orita.models.fold_in import FoldIn
from orita.models.graph import open_graph, run_graph
from orita.stats.metrics import auc

ITEMS, COUNT, AGE = 7, 3, 1  # items that are known, factors, the column of a trait


def _fold_in(random: np.random.Generator, asked: int = 5, count: int = COUNT) -> FoldIn:
    """Return factors over one plain feature, the trait and the answers to some items, one of them unknown."""
    width = count + 1
    root_VWW = 0.2 * random.normal(size=(1 + ITEMS, width, width))
    spread_VWW = root_VWW @ root_VWW.transpose(0, 2, 1)
    habits, kinds = (
        Traits(
            np.array([AGE, AGE], np.int64),
            np.array([-np.inf, 30], np.float32),
            np.array([30, np.inf], np.float32),
            random.normal(size=(2, wide)),
        )
        for wide in (count, width)
    )
    item_VW = random.normal(size=(1 + ITEMS, width))
    factors = Factors(3.0, 1.0, 5.0, 0.7, item_VW, spread_VWW, habits.lean_CD, kinds.lean_CD)
    columns = AnswerColumns(np.arange(2), np.arange(2, 2 + asked), tuple(str(n) for n in range(asked)))
    return FoldIn(factors, columns, np.array([1, 3, 4, 7, 0][:asked], np.int64), habits, kinds)


def _rows(random: np.random.Generator, rows: int = 40, asked: int = 5) -> npt.NDArray[np.float32]:
    answers_NK = random.integers(1, 6, (rows, asked)).astype(np.float32)
    answers_NK[random.random(answers_NK.shape) < 0.4] = np.nan
    answers_NK[0] = np.nan
    age_N = np.where(np.arange(rows) % 5 == 0, np.nan, random.uniform(18, 60, rows))
    return np.column_stack([np.zeros(rows), age_N, answers_NK]).astype(np.float32)


def test_a_taste_is_the_posterior_mean_of_what_was_answered() -> None:
    """Where loadings are certain, the outputs are those of the textbook: a Gaussian conditioned on the answers."""
    random = np.random.default_rng(0)
    fold_in = _fold_in(random)
    factors = replace(fold_in.factors, spread_VWW=np.zeros_like(fold_in.factors.spread_VWW))
    x_NF, items_N = _rows(random), random.integers(0, 1 + ITEMS, 40)
    told_NT = replace(fold_in, factors=factors).apply(x_NF, items_N)
    leans_ND, kinds_NW = fold_in.habits.apply(x_NF), fold_in.kinds.apply(x_NF)
    for n in range(40):
        known_K = ~np.isnan(x_NF[n, 2:])
        asked = factors.item_VW[fold_in.asked_K[known_K]]
        q, lean = asked[:, :-1], leans_ND[n]
        residual = x_NF[n, 2:][known_K] - 3.0 - asked[:, -1] - q @ lean
        seen = q @ q.T + 0.7 * np.eye(len(q))
        own = factors.item_VW[items_N[n]] + (kinds_NW[n] if items_N[n] == 0 else 0)
        taste = lean + q.T @ np.linalg.solve(seen, residual)
        doubt = own[:-1] @ own[:-1] - own[:-1] @ q.T @ np.linalg.solve(seen, q @ own[:-1])
        drawn = taste @ own[:-1]
        assert told_NT[n] == pytest.approx([3.0 + own[-1] + drawn, drawn, taste[0], doubt], abs=1e-4)


def test_what_is_uncertain_of_an_item_makes_answers_to_it_tell_less() -> None:
    """With a wide covariance of the loadings, a person who answered is doubted more than with none."""
    random = np.random.default_rng(3)
    fold_in = _fold_in(random)
    x_NF, items_N = _rows(random), np.full(40, 2)
    wide, none = (
        replace(fold_in, factors=replace(fold_in.factors, item_VW=0 * fold_in.factors.item_VW + own, spread_VWW=spread))
        for own, spread in (
            (np.array([0.5, 0, 0, 0]), np.tile(np.diag([0.3, 0.3, 0.3, 0.3]), (1 + ITEMS, 1, 1))),
            (np.array([0.5, 0, 0, 0]), np.zeros((1 + ITEMS, 4, 4))),
        )
    )
    level = [abs(each.apply(x_NF, items_N)[1:, 2] - fold_in.habits.apply(x_NF)[1:, 0]).mean() for each in (wide, none)]
    assert level[0] < level[1]


@pytest.mark.parametrize("asked", [5, 0])
@pytest.mark.parametrize("traits", [True, False], ids=["traits", "no traits"])
def test_the_graph_tells_the_same(asked: int, traits: bool, tmp_path: Path) -> None:
    """Arrays and graph agree for missing, unknown and wild answers and traits, and where there are none of either."""
    random = np.random.default_rng(1)
    x_NF = _rows(random, asked=asked)
    x_NF[1:4, 1:] = np.array([[1e6], [-np.inf], [np.inf]], np.float32)
    items_N = random.integers(0, 1 + ITEMS, 40)
    fold_in = _fold_in(random, asked)
    if not traits:
        none = Traits.of(tastes(3).schema, (), x_NF)
        fold_in = replace(fold_in, habits=none.leaning(np.zeros((0, 3))), kinds=none.leaning(np.zeros((0, 4))))
    told_NT = fold_in.apply(x_NF, items_N)
    for column in range(4):
        graph = Composer()
        told = fold_in.compose(graph, graph.features(2 + asked), graph.ids("items"))
        graph.write(tmp_path / "model.onnx", graph.column(graph.columns(told, column, column + 1)))
        found_N = run_graph(open_graph(tmp_path / "model.onnx"), {"features": x_NF, "items": items_N})
        assert found_N == pytest.approx(told_NT[:, column], rel=1e-6, abs=1e-6)


def test_people_who_were_never_seen_are_told_apart() -> None:
    """What factors expect of new people ranks their rows far better than the worth of the items does."""
    train, new = tastes(150), tastes(60, first=1000, seed=1)
    learned = _Learning.of(train, FactorsSection(factors=4, shrinkage=5), 0)
    told_NT = learned.fold_in().apply(new.x_NF, learned.items.rows(new.items_N))
    assert auc(new.y_N, told_NT[:, 0]) > auc(new.y_N, told_NT[:, 0] - told_NT[:, 1]) + 0.1


def _world(random: np.random.Generator) -> tuple[Answers, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return few answers of 200 people of two groups to 60 items of three kinds; the groups' tastes differ."""
    group_U, kind_V = np.arange(200) % 2, np.arange(61) % 3
    people_UC, items_VC = np.eye(2)[group_U], np.eye(3)[kind_V]
    likes_GK = np.array([[1.5, 0, -1.5], [-1.5, 0, 1.5]])
    people_P, items_P = random.integers(0, 200, 1500), random.integers(1, 51, 1500)  # the last ten: never answered
    truth_UV = 3 + likes_GK[group_U][:, kind_V] + 0.5 * random.normal(size=(200, 1)) + np.zeros((200, 61))
    values_P = truth_UV[people_P, items_P] + random.normal(size=1500)
    return Answers(people_P, items_P, values_P, people_UC, items_VC), truth_UV, likes_GK


def test_traits_say_what_people_like_who_answered_nothing_of_items_that_nobody_answered() -> None:
    """From traits alone, a group's liking for a kind is found, if too small; without traits nothing is told."""
    answers, truth_UV, _ = _world(np.random.default_rng(0))
    factors = learn_factors(answers, factors=2, shrinkage=20, rounds=60, seed=0)
    taste_UW = np.hstack([answers.people_UC @ factors.habit_CD, np.ones((200, 1))])
    own_VW = factors.item_VW[0] + answers.items_VC @ factors.kind_CW
    told_UV = factors.mean + taste_UW @ own_VW.T
    likes_UV = truth_UV - truth_UV.mean(1, keepdims=True)
    new_V = np.arange(51, 61)
    slope = (told_UV[:, new_V] * likes_UV[:, new_V]).sum() / np.square(likes_UV[:, new_V]).sum()
    assert 0.3 < slope < 1.2
    blind = replace(answers, people_UC=np.zeros((200, 0)), items_VC=np.zeros((61, 0)))
    assert learn_factors(blind, factors=2, shrinkage=20, rounds=60, seed=0).item_VW[51:].std(0).max() < 1e-9


def test_an_item_that_few_answered_is_less_certain() -> None:
    """The covariance of an item with many answers is far smaller, and one without any has the prior's."""
    random = np.random.default_rng(2)
    answers, _, _ = _world(random)
    kept = (answers.items_P != 7) | (np.arange(1500) % 8 == 0)
    few = replace(
        answers,
        **{name: getattr(answers, name)[kept] for name in ("people_P", "items_P", "values_P")},
    )
    factors = learn_factors(few, factors=2, shrinkage=20, rounds=30, seed=0)
    size_V = np.einsum("vaa->v", factors.spread_VWW)
    assert size_V[1] < size_V[7] < size_V[55]
    assert size_V[55] == pytest.approx(size_V[0])


def test_ranges_hold_every_value_that_is_there() -> None:
    """A trait of few values has a range for each, one of many has eighths; missing values are in none."""
    random = np.random.default_rng(0)
    schema = FeatureSchema(tuple(FeatureColumn(name, "user") for name in ("age", "genre_Drama", "genre_War", "agent")))
    x_NF = np.column_stack([random.uniform(10, 80, 500), random.integers(0, 2, (500, 2)), np.full(500, np.nan)]).astype(
        np.float32
    )
    traits = Traits.of(schema, ("age", "genre", "agent"), x_NF)
    assert traits.column_C.tolist() == [0] * 8 + [1, 1, 2, 2]
    flags_NC = traits.flags(x_NF)
    assert np.array_equal(flags_NC[:, :8].sum(1), np.ones(500))
    assert flags_NC[:, :8].sum(0) == pytest.approx(np.full(8, 62.5), abs=2)
    assert np.array_equal(flags_NC[:, 9], x_NF[:, 1])
    x_NF[:3] = np.nan
    assert not traits.flags(x_NF)[:3].any()


def test_a_trait_that_is_no_feature_is_named() -> None:
    """The sentence says which trait, and what comes closest."""
    rows = tastes(3)
    with pytest.raises(UserError, match=r"'item_crt'.*item_ctr"):
        Traits.of(rows.schema, ("item_crt",), rows.x_NF)


def test_answers_are_those_that_later_rows_tell() -> None:
    """The latest row of a user tells the answers before it; others get the mean of those with the same label."""
    rows = tastes(8)
    columns = AnswerColumns.of(rows.schema, "answer_")
    answers_N = answers_of(rows, rows.users_N.astype(np.int64), columns)
    told = 0
    for n in range(len(rows)):
        latest = np.flatnonzero(rows.users_N == rows.users_N[n])[-1]
        asked = rows.items_N[n] <= 36
        if asked and n != latest:
            told += 1
            assert answers_N[n] == rows.x_NF[latest, rows.items_N[n] // 3]
            assert (answers_N[n] >= 4) == (rows.y_N[n] == 1)
        else:
            alike = [answers_N[m] for m in range(len(rows)) if rows.items_N[m] <= 36 and rows.y_N[m] == rows.y_N[n]]
            assert min(alike) <= answers_N[n] <= max(alike)
    assert told > 30
