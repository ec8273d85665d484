"""A blend of rankers over the features and over what a user's own answers say of the item, by factors.

Legend: N rows, F features, K features that hold answers, T outputs of the factors, U users.

Rankers do not see the answers (`orita.models.answers`) one by one, but what the factors make of them
(`orita.models.fold_in`), beside all other features. The score is the logistic function of the mean of their logits:
trees and a network err in different places.

Rankers must not learn how well factors recall the very answers that they were learned from: for the training rows of a
user, the factors are those of other users (stacking, Wolpert 1992, with users as folds).
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.progress import SILENT, Progress
from orita.models.answers import AnswerColumns, answers_of
from orita.models.config import FactorsSection
from orita.models.examples import Examples
from orita.models.factor_traits import Traits
from orita.models.factors import Answers, learn_factors
from orita.models.fold_in import OUTPUTS, FoldIn
from orita.models.graph import INPUTS, ITEMS_FILE, MODEL_FILE, USERS_FILE
from orita.models.inlining import Inlining
from orita.models.learnable import check_can_learn
from orita.models.ranker import FitContext, FitReport, Ranker
from orita.models.vocabulary import Vocabulary

__all__ = ["FactorBlend"]

_Value = TypeVar("_Value")

_EDGE = np.float32(1e-6)  # a score of 0 or 1 has no logit


@dataclass(frozen=True, slots=True)
class _Factors:
    """What was learned below the rankers."""

    items: Vocabulary
    users: Vocabulary
    fold_in: FoldIn

    def extend(self, rows: Examples) -> Examples:
        """Return *rows* with what the factors tell in the place of the answers."""
        return self.fold_in.columns.replaced(
            rows, OUTPUTS, self.fold_in.apply(rows.x_NF, self.items.rows(rows.items_N))
        )


class FactorBlend:
    """The ranker of ``type: factor_blend``.

    Where no feature holds an answer, everybody's taste is the average, and what is left of the factors is the bias of
    each item.

    Args:
        section: the settings of the factors.
        members: the rankers above them, by type; not yet fitted.
    """

    def __init__(self, section: FactorsSection, members: Mapping[str, Ranker]) -> None:
        self._section, self._members = section, members
        self._factors: _Factors | None = None

    @property
    def type(self) -> str:
        """The model's type, as in the configuration."""
        return "factor_blend"

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Learn factors, and on top of them each of the rankers, which *val* stops.

        Raises:
            UserError: there are no rows to learn from or to stop by, rows of one kind or one user alone.
        """
        check_can_learn("factor_blend", train, val)
        learned = _Learning.of(train, self._section, context.seed)
        told_NT = learned.told_by_others(context.progress, f"{context.title}: factors")
        above = learned.columns.replaced(train, OUTPUTS, told_NT)
        factors = _Factors(learned.items, Vocabulary.of(train.users_N), learned.fold_in())
        val = factors.extend(val)
        history: list[dict[str, float]] = []
        params: dict[str, object] = _prefixed("factors", self._section.model_dump(mode="json"))
        resumed_from = None
        for type_, member in self._members.items():
            within = context.checkpoints and context.checkpoints / type_
            report = member.fit(above, val, replace(context, checkpoints=within, title=f"{context.title}: {type_}"))
            history += [_prefixed(type_, figures, but=("epoch", "seconds")) for figures in report.history]
            params |= _prefixed(type_, report.params)
            resumed_from = report.resumed_from if resumed_from is None else resumed_from
        self._factors = factors
        return FitReport(history, params, resumed_from)

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, click probabilities."""
        above = self._fitted().extend(rows)
        p_MN = np.clip(np.stack([member.score(above) for member in self._members.values()]), _EDGE, 1 - _EDGE)
        scores_N: npt.NDArray[np.float32] = 1 / (1 + np.exp(-np.log(p_MN / (1 - p_MN)).mean(0)))
        return scores_N

    def export(self, folder: Path) -> None:
        """Write the factors and all rankers as one graph, and the known ids, into *folder*."""
        factors, graph = self._fitted(), Inlining()
        columns = factors.fold_in.columns
        features = graph.features(len(columns.plain) + len(columns.answers))
        plain = graph.add("Gather", features, graph.constant(columns.plain), axis=1)
        told = factors.fold_in.compose(graph, features, graph.ids("items"))
        above = graph.add("Concat", plain, told, axis=1)
        given = dict(zip(INPUTS, (above, "users", "items"), strict=True))
        low, high, one = (graph.constant(np.float32(v)) for v in (_EDGE, 1 - _EDGE, 1))
        logits = []
        with tempfile.TemporaryDirectory(prefix="orita-members-") as name:
            for member in self._members.values():
                member.export(Path(name))
                p = graph.add("Clip", graph.inline(Path(name) / MODEL_FILE, given), low, high)
                logits.append(graph.add("Log", graph.add("Div", p, graph.add("Sub", one, p))))
            if (Path(name) / USERS_FILE).exists():
                graph.ids("users")
                factors.users.write(folder / USERS_FILE)
        graph.write(folder / MODEL_FILE, graph.add("Sigmoid", graph.add("Mean", *logits)))
        factors.items.write(folder / ITEMS_FILE)

    def _fitted(self) -> _Factors:
        if self._factors is None:
            raise UserError("the factor_blend ranker has not been fitted; call fit before score or export.")
        return self._factors


def _prefixed(prefix: str, named: Mapping[str, _Value], but: Collection[str] = ()) -> dict[str, _Value]:
    return {name if name in but else f"{prefix}_{name}": value for name, value in named.items()}


@dataclass(frozen=True, slots=True)
class _Learning:
    """How factors are learned from training rows, of all users or of some."""

    section: FactorsSection
    seed: int
    columns: AnswerColumns
    items: Vocabulary
    habits: Traits
    kinds: Traits
    x_NF: npt.NDArray[np.float32]
    answers: Answers

    @classmethod
    def of(cls, train: Examples, section: FactorsSection, seed: int) -> _Learning:
        users_U, user_N = np.unique(train.users_N, return_inverse=True)
        if len(users_U) < 2:
            raise UserError("factor_blend was given the rows of 1 user; it learns from what users have in common.")
        columns, items = AnswerColumns.of(train.schema, section.answers), Vocabulary.of(train.items_N)
        habits, kinds = (
            Traits.of(train.schema, traits, train.x_NF) for traits in (section.user_traits, section.item_traits)
        )
        item_N = items.rows(train.items_N)
        # Traits do not change, or slowly: any row of a user or item tells them, and the last one written stays.
        user_UC = np.zeros((len(users_U), len(habits.column_C)))
        user_UC[user_N] = habits.flags(train.x_NF)
        item_VC = np.zeros((1 + len(items), len(kinds.column_C)))
        item_VC[item_N] = kinds.flags(train.x_NF)
        answers = Answers(user_N, item_N, answers_of(train, user_N, columns), user_UC, item_VC)
        return cls(section, seed, columns, items, habits, kinds, train.x_NF, answers)

    def fold_in(self, within_N: npt.NDArray[np.bool_] | slice = slice(None)) -> FoldIn:
        """Return the factors of the rows *within_N*, ready for the answers that features hold."""
        told = self.answers
        within = replace(
            told,
            people_P=told.people_P[within_N],
            items_P=told.items_P[within_N],
            values_P=told.values_P[within_N],
        )
        factors = learn_factors(
            within,
            factors=self.section.factors,
            shrinkage=self.section.shrinkage,
            rounds=self.section.rounds,
            seed=self.seed,
        )
        habits, kinds = self.habits.leaning(factors.habit_CD), self.kinds.leaning(factors.kind_CW)
        return FoldIn(factors, self.columns, self.items.rows(list(self.columns.items)), habits, kinds)

    def told_by_others(self, progress: Progress = SILENT, title: str = "Factors") -> npt.NDArray[np.float32]:
        """Return what factors of other users tell of each training row, [N, T]; the bar counts folds of users."""
        user_N, item_N = self.answers.people_P, self.answers.items_P
        users = len(self.answers.people_UC)
        folds = min(self.section.folds, users)
        fold_N = (np.random.default_rng(self.seed).permutation(users) % folds)[user_N]
        told_NT = np.zeros((len(user_N), len(OUTPUTS)), np.float32)
        with progress.bar(title, total=folds) as bar:
            for fold in range(folds):
                own_N = fold_N == fold
                told_NT[own_N] = self.fold_in(~own_N).apply(self.x_NF[own_N], item_N[own_N])
                bar.advance()
        return told_NT
