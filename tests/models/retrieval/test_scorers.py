"""What single scorers promise beyond the contract of retrieval."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from tests.models.retrieval.tastes import ITEMS, KINDS, interactions, kinds_of_items

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.ranker import FitContext
from orita.models.retrieval.build import build_retriever
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.config import FactorsSection, RetrieverSection
from orita.models.retrieval.factors import Factors
from orita.models.retrieval.reranked import hold_out
from orita.models.retrieval.scorer import Queries, known_users
from orita.models.retrieval.spectral import Spectral
from orita.models.retrieval.traits import GroupLift, KindAffinity, Traits


def _catalogue() -> Catalogue:
    return Catalogue.of(interactions())


def _items(scores_I: Any) -> Any:
    return np.argsort(-scores_I, kind="stable")


def test_a_history_is_given_the_vector_that_minimises_the_objective() -> None:
    """The scores of `Factors` are those of the minimum of the objective over user vectors, found by gradient here."""
    section = FactorsSection(width=3, rounds=3, unobserved_weight=0.2, l2=0.05)
    catalogue = _catalogue()
    scorer = Factors(section)
    scorer.fit(catalogue, seed=0)
    items_IE = scorer._items_IE.astype(float)
    taken_I = catalogue.seen_UI[[4]].toarray()[0] > 0
    penalty = section.l2 * (taken_I.sum() + section.unobserved_weight * ITEMS)
    user_E = np.zeros(3)
    for _ in range(20_000):
        left_I = items_IE @ user_E
        gradient_E = items_IE.T @ (section.unobserved_weight * left_I - taken_I * (1 - left_I)) + penalty * user_E
        user_E -= 0.02 * gradient_E
    expected_I = items_IE @ user_E
    one = Queries(catalogue.seen_UI[[4]], np.array([-1]))
    np.testing.assert_allclose(scorer.scores(one)[0], expected_I, atol=1e-3)


def test_all_directions_give_the_history_back() -> None:
    """With all directions `Spectral` projects onto the whole matrix: a known user scores the own history."""
    catalogue = _catalogue()
    scorer = Spectral(ITEMS)
    assert scorer.fit(catalogue, seed=0)["directions"] == ITEMS - 1
    scores_UI = scorer.scores(known_users(catalogue))
    taken_UI = catalogue.seen_UI.toarray()
    own = (scores_UI * taken_UI).sum() / (np.linalg.norm(scores_UI) * np.linalg.norm(taken_UI))
    assert own > 0.97
    few = Spectral(2)
    few.fit(catalogue, seed=0)
    assert np.linalg.matrix_rank(few.scores(known_users(catalogue)), tol=1e-3) == 2


def test_groups_lift_what_their_members_take_and_strangers_have_none() -> None:
    """Users in the group of a kind score items of that kind highest; who is unknown scores 0 everywhere."""
    catalogue = _catalogue()
    users: Any = catalogue.users.ids_V
    scorer = GroupLift(Traits(users, np.eye(KINDS, dtype=np.float32)[(users - 7) % KINDS]))
    scorer.fit(catalogue, seed=0)
    scores_UI = scorer.scores(known_users(catalogue))
    for user in range(0, len(users), 7):
        best = _items(scores_UI[user])[:5]
        assert set((catalogue.items.ids_V[best] // 3 % KINDS).tolist()) == {int(users[user] - 7) % KINDS}
    nobody = Queries(catalogue.seen_UI[:1], np.array([-1]))
    assert not scorer.scores(nobody).any()


def test_a_history_of_one_kind_scores_that_kind() -> None:
    """Items of the history's kind come before all others."""
    catalogue = _catalogue()
    scorer = KindAffinity(kinds_of_items())
    scorer.fit(catalogue, seed=0)
    history = sparse.csr_array((np.ones(2, np.float32), ([0, 0], [1, 1 + KINDS])), shape=(1, ITEMS))
    best = _items(scorer.scores(Queries(history, np.array([-1])))[0])[: ITEMS // KINDS]
    assert set((best % KINDS).tolist()) == {1}


def test_traits_need_each_id_once() -> None:
    """An id that occurs twice, or ids without rows, are refused; ids that are not known are passed over."""
    traits = kinds_of_items()
    items = _catalogue().items
    for wrong in (replace(traits, ids_N=traits.ids_N // 6), replace(traits, has_NG=traits.has_NG[:-1])):
        with pytest.raises(UserError, match="give each id one row"):
            wrong.of(items)
    others: Any = np.asarray(traits.ids_N) + 1_000_000
    assert not replace(traits, ids_N=others).of(items).any()


def test_trees_need_histories_that_can_be_parted() -> None:
    """Users of one item each leave nothing to hold out, and the sentence says so."""
    rows = interactions()
    _, first = np.unique(rows.users_N, return_index=True)
    section = RetrieverSection(type="reranked", spectral_directions=2)
    with pytest.raises(UserError, match="no history is long enough to hold out 25%"):
        build_retriever(section).fit(rows.take(first), FitContext(SILENT))


def test_a_hold_out_parts_every_history() -> None:
    """What is kept and what is held out are the whole, share nothing, and keep their weights; the share is rounded."""
    catalogue = _catalogue()
    kept, held_UI = hold_out(catalogue, 0.25, np.random.default_rng(0))
    together = (kept.seen_UI + held_UI).toarray()
    assert np.array_equal(together, catalogue.seen_UI.toarray())
    assert not (kept.seen_UI.toarray() * held_UI.toarray()).any()
    sizes, held = np.diff(catalogue.seen_UI.indptr), np.diff(held_UI.indptr)
    assert np.array_equal(held, np.round(sizes * 0.25))
    assert kept.takers_I.sum() == sizes.sum() - held.sum()
