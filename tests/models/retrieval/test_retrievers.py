"""Every retriever keeps the contract, and the check of the contract catches those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.retrieval.tastes import ITEMS, interactions, kinds_of_items, split

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.examples import Ids
from orita.models.ranker import FitContext, FitReport
from orita.models.retrieval.build import RETRIEVERS, build_reranked, build_retriever
from orita.models.retrieval.config import (
    EaseSection,
    FactorsSection,
    RerankSection,
    RetrieverSection,
    RetrieverType,
    SearchSection,
    TwoTowerRetrievalSection,
)
from orita.models.retrieval.interactions import History, Interactions, positives
from orita.models.retrieval.popularity import Popularity
from orita.models.retrieval.retriever import Retrieved, Retriever
from orita.models.retrieval.scored import ScoredRetriever
from orita.testing.retrievers import check_retriever

SMALL = RetrieverSection(
    ease=EaseSection(l2=20.0),
    factors=FactorsSection(width=4, l2=0.05),
    two_tower=TwoTowerRetrievalSection(embedding_dim=8, hidden_dim=16, batch_size=128, epochs=20, dropout=0.1),
    reranked=RerankSection(candidates=20, bags=1, trees=20, min_rows_in_leaf=20, threads=1),
    spectral_directions=4,
)


@pytest.mark.parametrize("text", [False, True], ids=["number ids", "text ids"])
@pytest.mark.parametrize("type_", sorted(RETRIEVERS))
def test_every_retriever_keeps_the_contract(type_: RetrieverType, text: bool, tmp_path: Path) -> None:
    """Answers, seeds, histories, unknown ids and the package are as `check_retriever` demands."""
    section = SMALL.model_copy(update={"type": type_})
    check_retriever(lambda: build_retriever(section), interactions(text=text), tmp_path)


def test_two_towers_with_an_approximate_search_keep_the_contract(tmp_path: Path) -> None:
    """A search that looks at all its lists finds what the exact one finds, also from the package."""
    search = SearchSection(method="approximate", lists=6, probes=6)
    section = SMALL.model_copy(update={"type": "two_tower", "search": search})
    check_retriever(lambda: build_retriever(section), interactions(), tmp_path)


def test_traits_of_users_and_items_keep_the_contract(tmp_path: Path) -> None:
    """Kinds of items and groups of users are part of the package, and unknown users have no group."""
    kinds = kinds_of_items()
    users: Any = np.unique(interactions().users_N)[:ITEMS]
    groups = replace(kinds, ids_N=users)
    check_retriever(lambda: build_reranked(SMALL, {"group": groups}, {"kind": kinds}), interactions(), tmp_path)


def _hits(retriever: Retriever) -> float:
    train, test = split(interactions(2500))
    retriever.fit(train, FitContext(SILENT))
    users_Q: Any = np.unique(test.users_N)
    found = retriever.retrieve(users_Q, 5)
    taken = set(zip(test.users_N.tolist(), test.items_N.tolist(), strict=True))
    rows = zip(users_Q.tolist(), found.items_QK.tolist(), strict=True)
    return float(np.mean([[(user, item) in taken for item in items] for user, items in rows]))


@pytest.mark.parametrize("type_", ["ease", "factors", "two_tower", "reranked"])
def test_a_model_finds_more_than_popularity(type_: RetrieverType) -> None:
    """On a world of tastes every real model finds more of what users take than popularity does."""
    found = {t: _hits(build_retriever(SMALL.model_copy(update={"type": t}))) for t in (type_, "popularity")}
    assert found[type_] > found["popularity"] * 1.1, found


def test_ease_is_the_closed_form_and_its_diagonal_is_zero() -> None:
    """Without dropout and user weights the scores are those of the ridge regression of each item on all others."""
    rows = interactions(600)
    retriever = build_retriever(
        SMALL.model_copy(update={"ease": EaseSection(l2=5, input_dropout=0, user_weight_power=0)})
    )
    assert isinstance(retriever, ScoredRetriever)
    retriever.fit(rows, FitContext(SILENT))
    taken_UI = (retriever.catalogue.seen_UI.toarray() > 0).astype(float)
    history = History(retriever.catalogue.items.ids_V[[3, 9]])
    found = retriever.retrieve_for([history], taken_UI.shape[1])
    for item, score in zip(*found.of(0), strict=True):
        at = int(np.flatnonzero(retriever.catalogue.items.ids_V == item)[0])
        others = np.delete(taken_UI, at, axis=1)
        weights = np.linalg.solve(others.T @ others + 5 * np.eye(others.shape[1]), others.T @ taken_UI[:, at])
        expected = np.insert(weights, at, 0.0)[[3, 9]].sum()
        assert score == pytest.approx(expected, abs=1e-5)


def test_a_weight_says_how_much_an_item_of_a_history_says() -> None:
    """Doubling all weights of a history doubles the scores of ease; ``use_weights: false`` does not look at them."""
    for use, factor in ((True, 2.0), (False, 1.0)):
        section = EaseSection(l2=20.0, use_weights=use)
        retriever = build_retriever(SMALL.model_copy(update={"ease": section}))
        retriever.fit(interactions(), FitContext(SILENT))
        found = retriever.retrieve_for([History([0, 3]), History([0, 3], [2.0, 2.0])], 5)
        assert found.scores_QK[1] == pytest.approx(found.scores_QK[0] * factor, rel=1e-5)


def test_ease_keeps_the_items_that_most_users_took() -> None:
    """Of more items than ``max_items`` only the most taken are learnt, found and counted in the report."""
    section = SMALL.model_copy(update={"ease": EaseSection(max_items=10)})
    rows = interactions()
    retriever = build_retriever(section)
    report = retriever.fit(rows, FitContext(SILENT))
    ids, takers = np.unique(rows.items_N, return_counts=True)
    most = set(ids[np.argsort(-takers, kind="stable")[:10]].tolist())
    users_Q: Any = np.unique(rows.users_N)[:5]
    found = retriever.retrieve(users_Q, 60, exclude_seen=False)
    assert report.params["items"] == 10
    assert {item for q in range(5) for item in found.of(q)[0].tolist()} == most


def test_a_pair_counts_once_with_its_highest_weight() -> None:
    """Repeated pairs neither count twice nor add their weights."""
    rows = interactions(800)
    again = replace(rows, weight_N=rows.weight_N * np.float32(0.5))
    columns = zip(_columns(rows), _columns(again), strict=True)
    twice = Interactions(*(np.concatenate(pair) for pair in columns))
    answers = []
    for each in (rows, twice):
        retriever = build_retriever(SMALL)
        retriever.fit(each, FitContext(SILENT))
        answers.append(retriever.retrieve(rows.users_N[:20], 5).scores_QK)
    assert np.array_equal(answers[0], answers[1])


@pytest.mark.parametrize("type_", sorted(RETRIEVERS))
def test_a_retriever_without_rows_or_without_a_fit_says_so(type_: RetrieverType, tmp_path: Path) -> None:
    """No interactions, an answer before a fit, an export before a fit, no items asked: each is one sentence."""
    rows = interactions(400)
    retriever = build_retriever(SMALL.model_copy(update={"type": type_}))
    with pytest.raises(UserError, match=f"{type_} retriever has not been fitted"):
        retriever.retrieve(rows.users_N[:1], 3)
    with pytest.raises(UserError, match=f"{type_} retriever has not been fitted"):
        retriever.export(tmp_path)
    with pytest.raises(UserError, match="0 interactions"):
        retriever.fit(rows.take(slice(0, 0)), FitContext(SILENT))


def test_wrong_interactions_are_refused() -> None:
    """Lengths that disagree, weights that are no positive numbers, and a k of 0 are told apart."""
    rows = interactions(100)
    with pytest.raises(UserError, match="as many"):
        replace(rows, weight_N=rows.weight_N[:-1])
    for weight in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="above 0"):
            replace(rows, weight_N=np.full_like(rows.weight_N, weight))
    with pytest.raises(UserError, match="2 items and 1 weights"):
        History([1, 2], [1.0])
    retriever = build_retriever(SMALL.model_copy(update={"type": "popularity"}))
    retriever.fit(rows, FitContext(SILENT))
    with pytest.raises(UserError, match="k has the value 0"):
        retriever.retrieve(rows.users_N[:1], 0)


def test_positives_are_the_rows_with_a_click() -> None:
    """Rows of a training set become interactions where the label is 1."""
    from tests.models.clicks import clicks

    rows = clicks(200)
    found = positives(rows)
    assert found.items_N.tolist() == rows.items_N[rows.y_N > 0].tolist()


def _columns(rows: Interactions) -> tuple[Any, ...]:
    return rows.users_N, rows.items_N, rows.time_N, rows.weight_N


class _Wrong:
    """A retriever that breaks one promise."""

    type = "popularity"

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._inner = ScoredRetriever(Popularity())

    def fit(self, rows: Interactions, context: FitContext) -> FitReport:
        if self._fault == "changes its rows":
            rows.weight_N[0] += 1
        return self._inner.fit(rows, context)

    def retrieve(self, users_Q: Ids, k: int, *, exclude_seen: bool = True) -> Retrieved:
        exclude = exclude_seen and self._fault != "shows what was seen"
        found = self._inner.retrieve(users_Q, k, exclude_seen=exclude)
        match self._fault:
            case "is not sorted":
                found = Retrieved(found.items_QK[:, ::-1], found.scores_QK[:, ::-1].copy())
            case "repeats an item" if found.items_QK.size:
                found.items_QK[:, 1] = found.items_QK[:, 0]
            case "depends on neighbours":
                found = Retrieved(found.items_QK, found.scores_QK + np.float32(len(users_Q)))
            case "answers only a part":
                found.scores_QK[:, 5:] = -np.inf
        return found

    def retrieve_for(self, histories: Sequence[History], k: int, *, exclude_seen: bool = True) -> Retrieved:
        if self._fault == "needs a known item" and any(len(h.items) == 0 for h in histories):
            return Retrieved(np.zeros((len(histories), k), np.int64), np.full((len(histories), k), -np.inf, np.float32))
        return self._inner.retrieve_for(histories, k, exclude_seen=exclude_seen)

    def export(self, folder: Path) -> None:
        self._inner.export(folder)
        if self._fault == "writes a pickle":
            (folder / "model.pkl").write_bytes(b"\x80")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("changes its rows", "fit changed the rows"),
        ("shows what was seen", "has seen was not left out"),
        ("is not sorted", "scores do not fall"),
        ("repeats an item", "an item twice"),
        ("depends on neighbours", "depends on the users beside it"),
        ("answers only a part", "that were not seen|all items must be found"),
        ("needs a known item", "an empty one has no answer"),
        ("writes a pickle", "model.pkl"),
    ],
)
def test_the_check_catches_a_broken_promise(fault: str, sentence: str, tmp_path: Path) -> None:
    """`check_retriever` fails, with a sentence about the fault, for a retriever that breaks one promise."""
    with pytest.raises(AssertionError, match=sentence):
        check_retriever(lambda: _Wrong(fault), interactions(), tmp_path)
