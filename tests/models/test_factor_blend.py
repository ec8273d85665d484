"""A blend of rankers above factors: it knows people by their answers, and learns from factors of other people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tests.models.clicks import MODEL, TRAINING
from tests.models.tastes import tastes

from orita.core.errors import UserError
from orita.core.progress import SILENT, Bar
from orita.models.build import build_ranker
from orita.models.config import FactorsSection, ModelSection
from orita.models.factor_blend import FactorBlend, _Learning
from orita.models.ranker import FitContext
from orita.stats.metrics import auc
from orita.testing.rankers import check_ranker

FACTORS = FactorsSection(factors=4, shrinkage=5, item_traits=("item_ctr",))


def _model(*members: str) -> ModelSection:
    return MODEL.model_copy(update={"factors": FACTORS.model_copy(update={"members": members})})


@pytest.mark.parametrize("text", [False, True], ids=["number ids", "text ids"])
@pytest.mark.parametrize("members", [("lightgbm",), ("lambdamart", "two_tower")], ids="+".join)
def test_with_answers_it_keeps_the_contract(members: tuple[str, ...], text: bool, tmp_path: Path) -> None:
    """One graph holds factors and all members; wild, missing and unknown answers score alike in both."""
    train, val = tastes(40, text=text), tastes(20, first=100, seed=1, text=text)
    check_ranker(lambda: build_ranker("factor_blend", _model(*members), TRAINING), train, val, tmp_path)


def test_new_people_are_known_by_their_answers() -> None:
    """On people who were never seen the blend is far better than its member alone, which sees each answer by itself."""
    train, val, test = tastes(120), tastes(40, first=1000, seed=1), tastes(60, first=2000, seed=2)
    aucs = {}
    for type_ in ("factor_blend", "lightgbm"):
        ranker = build_ranker(type_, _model("lightgbm"), TRAINING)
        ranker.fit(train, val, FitContext(SILENT))
        aucs[type_] = auc(test.y_N, ranker.score(test))
    assert aucs["factor_blend"] > aucs["lightgbm"] + 0.02, aucs


def test_what_is_told_of_a_training_row_does_not_depend_on_its_own_label() -> None:
    """Labels of a user change what is told of others, and nothing of what is told of the user's own rows."""
    rows = tastes(30)
    own_N = (rows.users_N == 7) & (rows.items_N > 36)  # of items without a feature the label is all that is known
    turned = replace(rows, y_N=np.where(own_N, 1 - rows.y_N, rows.y_N))
    before, after = (_Learning.of(each, FACTORS, 0).told_by_others() for each in (rows, turned))
    assert np.array_equal(before[rows.users_N == 7], after[rows.users_N == 7])
    assert not np.array_equal(before, after)


class _Counting:
    """Progress that keeps the titles of its bars, and how far each came."""

    def __init__(self) -> None:
        self.came: dict[str, tuple[float, float | None]] = {}

    @contextmanager
    def bar(self, title: str, total: float | None = None) -> Iterator[Bar]:
        self.came[title], self._at = (0.0, total), title
        yield self

    def advance(self, by: float = 1.0) -> None:
        done, total = self.came[self._at]
        self.came[self._at] = done + by, total

    def describe(self, text: str) -> None:
        pass


def test_learning_factors_shows_how_far_it_is() -> None:
    """The factors, which take as long as the members, have a bar of their own, over the folds of users."""
    progress = _Counting()
    build_ranker("factor_blend", _model("popularity"), TRAINING).fit(
        tastes(20), tastes(5, first=100, seed=1), FitContext(progress, title="Train factor_blend")
    )
    assert progress.came["Train factor_blend: factors"] == (5.0, 5)


def test_the_score_is_the_mean_of_the_logits() -> None:
    """Of two members each counts the same."""
    train, val = tastes(40), tastes(20, first=100, seed=1)
    blend = build_ranker("factor_blend", _model("lightgbm", "popularity"), TRAINING)
    assert isinstance(blend, FactorBlend)
    blend.fit(train, val, FitContext(SILENT))
    above = blend._fitted().extend(val)
    logits = [np.log(p / (1 - p)) for p in (m.score(above).astype(np.float64) for m in blend._members.values())]
    assert blend.score(val) == pytest.approx(1 / (1 + np.exp(-np.mean(logits, axis=0))), abs=1e-5)


def test_one_user_has_nobody_to_have_something_in_common_with() -> None:
    """The rows of a single user are refused with a sentence."""
    rows = tastes(1)
    ranker = build_ranker("factor_blend", _model("lightgbm"), TRAINING)
    with pytest.raises(UserError, match="rows of 1 user"):
        ranker.fit(rows, rows, FitContext(SILENT))


def test_a_blend_is_no_member_of_a_blend() -> None:
    """The configuration refuses it, as it refuses a type that does not exist."""
    for wrong in ("factor_blend", "light_gbm"):
        with pytest.raises(ValidationError, match=r"no member|not a type"):
            FactorsSection(members=(wrong,))
