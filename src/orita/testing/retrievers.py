"""Checks that every `Retriever` must pass, yours too.

Legend: N interactions, Q queries, K items an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orita.core.progress import SILENT
from orita.models.examples import Ids
from orita.models.metadata import ModelMetadata
from orita.models.ranker import FitContext
from orita.models.retrieval.interactions import History, Interactions
from orita.models.retrieval.package import Reader, load_retriever, write_retriever
from orita.models.retrieval.retriever import Retrieved, Retriever

__all__ = ["check_retriever"]

_K = 5
_TOLERANCE = 1e-4
_ENDINGS = (".npz", ".parquet", ".json", ".onnx")


@dataclass(frozen=True, slots=True)
class _Case:
    make: Callable[[], Retriever]
    retriever: Retriever
    rows: Interactions
    users: Any
    folder: Path
    readers: Mapping[str, Reader] | None


def check_retriever(
    make: Callable[[], Retriever],
    interactions: Interactions,
    folder: Path,
    readers: Mapping[str, Reader] | None = None,
) -> None:
    """Fit a retriever and check all that the contract promises.

    Args:
        make: returns a new retriever that is not fitted, the same each time.
        interactions: some hundred, of a dozen users and items or more, where no user took nearly all items.
        folder: an empty folder for packages.
        readers: how to read a type of your own, as for `load_retriever`.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
    """
    before = [list(column) for column in _columns(interactions)]
    retriever = make()
    report = retriever.fit(interactions, FitContext(SILENT, seed=7))
    assert before == [list(column) for column in _columns(interactions)], "fit changed the rows that it was given"
    assert isinstance(report.params, dict), "fit must say what it was fitted with"
    users: Any = np.unique(interactions.users_N)[:20]
    for check in _CHECKS:
        check(_Case(make, retriever, interactions, users, folder, readers))


def _answers_are_distinct_known_items(case: _Case) -> None:
    found = case.retriever.retrieve(case.users, _K)
    assert found.items_QK.shape == (len(case.users), _K), f"{found.items_QK.shape} items for {len(case.users)} users"
    assert found.scores_QK.dtype == np.float32, f"scores are {found.scores_QK.dtype}, not float32"
    assert not np.isnan(found.scores_QK).any(), "a score is not a number"
    assert np.all(found.scores_QK[:, 1:] <= found.scores_QK[:, :-1]), "scores do not fall"
    known = set(case.rows.items_N.tolist())
    for query in range(len(case.users)):
        items = found.of(query)[0].tolist()
        assert set(items) <= known, "an answer holds an item that fit was not given"
        assert len(set(items)) == len(items), "an answer holds an item twice"
    assert len(case.retriever.retrieve(case.users[:0], _K).items_QK) == 0, "no users must give no answers"


def _what_was_seen_is_left_out(case: _Case) -> None:
    for query, user in enumerate(case.users.tolist()):
        seen = set(case.rows.items_N[case.rows.users_N == user].tolist())
        items = case.retriever.retrieve(case.users, _K).of(query)[0].tolist()
        assert not seen & set(items), "an item that the user has seen was not left out"
    everything = len(set(case.rows.items_N.tolist()))
    whole = case.retriever.retrieve(case.users[:1], everything + 3, exclude_seen=False)
    assert len(whole.of(0)[0]) == everything, "with seen items all items must be found"
    first = case.rows.users_N == case.users[0]
    rest = case.retriever.retrieve(case.users[:1], everything)
    left = everything - len(set(case.rows.items_N[first].tolist()))
    assert len(rest.of(0)[0]) == left, f"{len(rest.of(0)[0])} items were found of the {left} that were not seen"


def _many_equal_one_by_one(case: _Case) -> None:
    together = case.retriever.retrieve(case.users, _K)
    alone = [case.retriever.retrieve(case.users[q : q + 1], _K) for q in range(len(case.users))]
    scores = np.concatenate([one.scores_QK for one in alone])
    assert _near(together.scores_QK, scores), "an answer depends on the users beside it"


def _a_history_needs_no_user(case: _Case) -> None:
    user = case.rows.users_N == case.users[0]
    items: Ids = case.rows.items_N[user][:3]
    stranger = _unknown(case.rows.items_N)
    histories = [History(items), History([*items.tolist(), stranger]), History([])]
    found = case.retriever.retrieve_for(histories, _K)
    assert np.isfinite(found.scores_QK).all(), "a history, an unknown item in it, or an empty one has no answer"
    assert not set(items.tolist()) & set(found.of(0)[0].tolist()), "an item of the history was not left out"
    assert _same_answers(found, 0, found, 1), "an unknown item in a history changes the answer"
    newcomer: Any = np.array([_unknown(case.rows.users_N)], case.users.dtype)
    cold = case.retriever.retrieve(newcomer, _K)
    assert _same_answers(cold, 0, found, 2), "an unknown user and an empty history are answered differently"


def _a_seed_fixes_the_model(case: _Case) -> None:
    again = case.make()
    again.fit(case.rows, FitContext(SILENT, seed=7))
    a, b = case.retriever.retrieve(case.users, _K), again.retrieve(case.users, _K)
    assert _near(a.scores_QK, b.scores_QK), "the same seed gave another model"


def _the_package_answers_the_same(case: _Case) -> None:
    folder, type_ = case.folder / "retriever", case.retriever.type
    (exported := case.folder / "exported").mkdir()
    case.retriever.export(exported)
    strange = sorted(p.name for p in exported.iterdir() if p.suffix not in _ENDINGS)
    assert not strange, f"export writes {', '.join(_ENDINGS)} only, not {strange}"
    card = ModelMetadata("00000000-0000-7000-8000-000000000000", "v0.0.1", "1970-01-01T00:00:00Z", "", type_)
    write_retriever(folder, case.retriever, card, case.users, readers=case.readers)
    loaded = load_retriever(folder, case.readers)
    assert loaded.type == case.retriever.type, f"a {case.retriever.type} was read as {loaded.type}"
    for exclude in (True, False):
        a, b = (each.retrieve(case.users, _K, exclude_seen=exclude) for each in (case.retriever, loaded))
        assert _near(a.scores_QK, b.scores_QK), "the package answers otherwise than the retriever"
    a, b = (each.retrieve_for([History(case.rows.items_N[:4])], _K) for each in (case.retriever, loaded))
    assert _near(a.scores_QK, b.scores_QK), "the package answers a history otherwise than the retriever"


def _columns(rows: Interactions) -> tuple[Any, ...]:
    return rows.users_N, rows.items_N, rows.time_N, rows.weight_N


def _unknown(ids_N: Any) -> Any:
    return "an unknown id" if ids_N.dtype == np.object_ else np.iinfo(np.int64).max


def _same_answers(a: Retrieved, query: int, b: Retrieved, other: int) -> bool:
    return _near(a.scores_QK[query], b.scores_QK[other]) and a.of(query)[0].tolist() == b.of(other)[0].tolist()


def _near(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE))


_CHECKS: Sequence[Callable[[_Case], None]] = (
    _answers_are_distinct_known_items,
    _what_was_seen_is_left_out,
    _many_equal_one_by_one,
    _a_history_needs_no_user,
    _a_seed_fixes_the_model,
    _the_package_answers_the_same,
)
