"""Factors say of people who were never seen what they would answer, in arrays and in the graph alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.models.tastes import tastes

from orita.models.answers import AnswerColumns, answers_of
from orita.models.compose import Composer
from orita.models.factors import Factors, learn_factors
from orita.models.fold_in import FoldIn
from orita.models.graph import open_graph, run_graph
from orita.models.vocabulary import Vocabulary
from orita.stats.metrics import auc


def _factors(random: np.random.Generator, items: int = 7, count: int = 3) -> Factors:
    loading_VD = random.normal(size=(1 + items, count))
    return Factors(3.0, 1.0, 5.0, 0.7, random.normal(size=1 + items), loading_VD)


def _answers(random: np.random.Generator, rows: int = 40, asked: int = 5) -> npt.NDArray[np.float32]:
    answers_NK = random.integers(1, 6, (rows, asked)).astype(np.float32)
    answers_NK[random.random(answers_NK.shape) < 0.4] = np.nan
    answers_NK[0] = np.nan
    return answers_NK


def test_a_taste_is_the_posterior_mean_of_what_was_answered() -> None:
    """For each row the outputs are those of the textbook: conditioning a Gaussian on the answers that are there."""
    random = np.random.default_rng(0)
    factors, answers_NK, items_N = _factors(random), _answers(random), random.integers(0, 8, 40)
    asked_K = np.array([1, 3, 4, 7, 0])
    told_NT = FoldIn(factors, asked_K).apply(answers_NK, items_N)
    for n in range(40):
        known_K = ~np.isnan(answers_NK[n])
        q = factors.loading_VD[asked_K[known_K]]
        residual = answers_NK[n, known_K] - 3.0 - factors.bias_V[asked_K[known_K]]
        seen = q @ q.T + 0.7 * np.eye(len(q))
        own = factors.loading_VD[items_N[n]]
        taste = q.T @ np.linalg.solve(seen, residual)
        doubt = own @ own - own @ q.T @ np.linalg.solve(seen, q @ own)
        expected = [3.0 + factors.bias_V[items_N[n]] + taste @ own, taste @ own, taste[0], doubt]
        assert told_NT[n] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("asked", [5, 0])
def test_the_graph_tells_the_same(asked: int, tmp_path: Path) -> None:
    """Arrays and graph agree for missing, unknown and wild answers, and where no answer is a feature."""
    random = np.random.default_rng(1)
    answers_NK = _answers(random, asked=asked) if asked else np.zeros((40, 0), np.float32)
    if asked:
        answers_NK[1:3] = np.array([[1e6], [-np.inf]], np.float32)
    items_N = random.integers(0, 8, 40)
    fold_in = FoldIn(_factors(random), np.array([1, 3, 4, 7, 0][:asked], np.int64))
    told_NT = fold_in.apply(answers_NK, items_N)
    for column in range(4):
        graph = Composer()
        features = graph.features(1 + asked)
        answers = graph.add("Gather", features, graph.constant(np.arange(1, 1 + asked)), axis=1)
        told = fold_in.compose(graph, answers, graph.ids("items"))
        graph.write(tmp_path / "model.onnx", graph.column(graph.columns(told, column, column + 1)))
        x_NF = np.hstack([np.zeros((40, 1), np.float32), answers_NK])
        found_N = run_graph(open_graph(tmp_path / "model.onnx"), {"features": x_NF, "items": items_N})
        assert np.array_equal(found_N, told_NT[:, column])


def test_people_who_were_never_seen_are_told_apart() -> None:
    """What factors expect of new people ranks their rows far better than the worth of the items does."""
    train, new = tastes(150), tastes(60, first=1000, seed=1)
    columns, items = AnswerColumns.of(train.schema, "answer_"), Vocabulary.of(train.items_N)
    person_N, item_N = train.users_N.astype(np.int64), items.rows(train.items_N)
    answers_N = answers_of(train, person_N, columns)
    factors = learn_factors(person_N, item_N, answers_N, len(items), factors=4, shrinkage=5, rounds=15, seed=0)
    fold_in = FoldIn(factors, items.rows(columns.items))
    told_NT = fold_in.apply(new.x_NF[:, columns.answers], items.rows(new.items_N))
    assert auc(new.y_N, told_NT[:, 0]) > auc(new.y_N, told_NT[:, 0] - told_NT[:, 1]) + 0.1


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
