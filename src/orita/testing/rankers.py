"""Checks that every `Ranker` must pass, yours too; one with several heads (`HasHeads`) for each of them.

Legend: N rows, F features, H heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.objectives import HasHeads
from orita.models.package import HasWeights, load_package, write_package
from orita.models.ranker import FitContext, FitReport, Ranker

__all__ = ["check_ranker"]

_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class _Case:
    make: Callable[[], Ranker]
    ranker: Ranker
    train: Examples
    val: Examples
    folder: Path


def check_ranker(make: Callable[[], Ranker], train: Examples, val: Examples, folder: Path) -> None:
    """Fit a ranker and check all that the contract promises.

    Args:
        make: returns a new ranker that is not fitted, the same each time; a class will do.
        train, val: rows with both labels; some hundred are enough. Rows that `Ranker.fit` is never given, without a
            click or empty, are not tried.
        folder: for packages; made if it is not there.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
        UserError: the rows cannot tell, or the ranker's package is refused; the sentence says why.
    """
    for part, rows in (("training", train), ("validation", val)):
        if not 0 < (positives := int((rows.y_N > 0).sum())) < len(rows):
            raise UserError(
                f"check_ranker was given {len(rows)} {part} rows, {positives} of them positive; give some hundred, "
                "with both labels."
            )
    before = _copied(train) + _copied(val)
    ranker = make()
    _has_the_members(ranker)
    report = ranker.fit(train, val, FitContext(seed=7))
    assert _unchanged(before, train, val), "fit changed the rows that it was given"
    assert isinstance(report, FitReport), f"fit must return a FitReport, it returned a {type(report).__name__}"
    assert isinstance(report.params, dict), "fit must say what it was fitted with"
    for check in _CHECKS:
        check(_Case(make, ranker, train, val, Path(folder)))


def _has_the_members(ranker: Ranker) -> None:
    assert isinstance(getattr(ranker, "type", None), str), "a ranker has a type, a text such as 'my_ranker'"
    for name in ("fit", "score", "export"):
        assert callable(getattr(ranker, name, None)), f"a ranker has a method {name}, see orita.models.ranker.Ranker"
    for name, protocol in (("named_weights", HasWeights), ("score_heads", HasHeads)):
        member = getattr(ranker, name, None)
        assert member is None or callable(member), (
            f"{name} is a method where a ranker has it, see {protocol.__module__}.{protocol.__name__}"
        )


def _rows_are_left_as_they_are(case: _Case) -> None:
    before = _copied(case.val)
    case.ranker.score(case.val)
    assert _unchanged(before, case.val), "score changed the rows that it was given"


def _scores_are_probabilities(case: _Case) -> None:
    scores_N: object = case.ranker.score(case.val)
    assert isinstance(scores_N, np.ndarray), f"scores are a {type(scores_N).__name__}, not an array"
    assert scores_N.dtype == np.float32, f"scores are {scores_N.dtype}, not float32"
    assert scores_N.shape == (len(case.val),), f"{scores_N.shape} scores for {len(case.val)} rows"
    assert np.all((scores_N >= 0) & (scores_N <= 1)), "a score is not in [0, 1]"
    assert len(case.ranker.score(case.val.take(slice(0, 0)))) == 0, "no rows must give no scores"


def _labels_are_not_looked_at(case: _Case) -> None:
    blind = replace(case.val, y_N=np.full_like(case.val.y_N, np.nan), time_N=np.zeros_like(case.val.time_N))
    assert _near(case.ranker.score(case.val), case.ranker.score(blind)), "scores depend on labels or row times"


def _many_equal_one_by_one(case: _Case) -> None:
    rows = case.val.take(slice(0, 20))
    alone = [case.ranker.score(rows.take(slice(i, i + 1)))[0] for i in range(len(rows))]
    assert _near(case.ranker.score(rows), np.array(alone)), "a row's score depends on the rows beside it"
    order = np.arange(len(rows))[::-1]
    assert _near(case.ranker.score(rows)[order], case.ranker.score(rows.take(order))), "scores are not in row order"


def _a_seed_fixes_the_model(case: _Case) -> None:
    again = case.make()
    assert again is not case.ranker, "make must return a new ranker each time"
    again.fit(case.train, case.val, FitContext(seed=7))
    assert _near(case.ranker.score(case.val), again.score(case.val)), "the same seed gave another model"
    if isinstance(again, HasHeads) and isinstance(case.ranker, HasHeads):
        same = _near(case.ranker.score_heads(case.val), again.score_heads(case.val))
        assert same, "the same seed gave other heads"


def _the_graph_scores_the_same(case: _Case) -> None:
    rows = _hard_rows(case.val)
    card = ModelMetadata("00000000-0000-7000-8000-000000000000", "v0.0.1", "1970-01-01T00:00:00Z", "", case.ranker.type)
    written = write_package(case.folder / "package", case.ranker, card, case.train.schema, rows)
    names = {path.name for path in written.folder.iterdir()}
    strange = sorted(n for n in names if not n.endswith((".onnx", ".parquet", ".json", ".safetensors", ".md", ".txt")))
    assert not strange, f"a package holds ONNX, Parquet, JSON, tensors and text only, not {strange}"
    package = load_package(written.folder)
    expected_N = case.ranker.score(rows)
    assert np.all(np.isfinite(expected_N)), "unknown ids or missing features have no score"
    scores_N = package.score(rows.users_N, rows.items_N, rows.x_NF)
    worst = float(np.max(np.abs(scores_N - expected_N)))
    assert worst <= _TOLERANCE, f"the graph scores {worst:.2g} away from the ranker, allowed is {_TOLERANCE:g}"
    user = rows.users_N[0]
    x_NF = rows.x_NF.copy()
    shared = rows.schema.of_side("user", "context")
    x_NF[:, shared] = x_NF[-1, shared]
    same = replace(rows, users_N=_full(rows.users_N, user), x_NF=x_NF)
    one_user_N = package.score_user(user if isinstance(user, str) else int(user), same.items_N, same.x_NF)
    assert _near(one_user_N, case.ranker.score(same)), "score_user and score disagree"


def _heads_agree_with_the_score(case: _Case) -> None:
    ranker, rows = case.ranker, case.val
    if not isinstance(ranker, HasHeads) or not ranker.heads():
        return
    heads, p_NH = ranker.heads(), ranker.score_heads(rows)
    assert p_NH.dtype == np.float32 and p_NH.shape == (len(rows), len(heads)), (
        f"score_heads gives {p_NH.dtype} of the shape {p_NH.shape} for {len(rows)} rows and {len(heads)} heads"
    )
    assert np.all((p_NH >= 0) & (p_NH <= 1)), "an output of a head is not in [0, 1]"
    assert heads[0].name == rows.label, f"the first head is {heads[0].name!r}, not the label's"
    assert _near(p_NH[:, 0], ranker.score(rows)), "the first head and score disagree"
    blind = replace(rows, outcomes={name: np.full_like(told_N, np.nan) for name, told_N in rows.outcomes.items()})
    assert _near(ranker.score_heads(blind), p_NH), "heads depend on outcomes"
    assert _near(ranker.score_heads(replace(rows, outcomes={})), p_NH), "heads need outcomes to score"


def _the_graph_gives_every_head(case: _Case) -> None:
    ranker = case.ranker
    if not isinstance(ranker, HasHeads) or not ranker.heads():
        return
    rows = _hard_rows(case.val)
    package, expected_NH = load_package(case.folder / "package"), ranker.score_heads(rows)
    for column, head in enumerate(ranker.heads()):
        alone_N = package.score(rows.users_N, rows.items_N, rows.x_NF, {head.name: 1.0})
        worst = float(np.max(np.abs(alone_N - expected_NH[:, column])))
        assert worst <= _TOLERANCE, f"the graph gives {head.name} {worst:.2g} away from the ranker"


def _hard_rows(rows: Examples) -> Examples:
    """Rows with every trouble at once: missing features, unknown ids, values far outside what training saw."""
    random = np.random.default_rng(0)
    hard = rows.take(random.integers(0, len(rows), 256))
    x_NF = hard.x_NF.copy()
    x_NF[random.random(x_NF.shape) < 0.2] = np.nan
    wild_NF = random.random(x_NF.shape) < 0.05
    x_NF[wild_NF] *= random.choice(np.array([-1e6, -1, 0, 3, 1e6], np.float32), int(wild_NF.sum()))
    x_NF[0] = np.nan
    return replace(
        hard, x_NF=x_NF, users_N=_with_unknown(hard.users_N, random), items_N=_with_unknown(hard.items_N, random)
    )


def _with_unknown(ids_N: npt.NDArray[Any], random: np.random.Generator) -> Any:
    mixed_N = ids_N.copy()
    mixed_N[random.random(len(ids_N)) < 0.2] = "an unknown id" if ids_N.dtype == np.object_ else np.iinfo(np.int64).max
    return mixed_N


def _full(ids_N: npt.NDArray[Any], value: object) -> Any:
    filled_N = ids_N.copy()
    filled_N[:] = value
    return filled_N


def _near(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return bool(np.allclose(a, b, rtol=0, atol=_TOLERANCE))


def _copied(rows: Examples) -> tuple[npt.NDArray[Any], ...]:
    return rows.x_NF.copy(), rows.y_N.copy(), rows.users_N.copy(), rows.items_N.copy()


def _unchanged(before: Sequence[npt.NDArray[Any]], *parts: Examples) -> bool:
    after = [array for rows in parts for array in (rows.x_NF, rows.y_N, rows.users_N, rows.items_N)]
    return all(_same(a, b) for a, b in zip(before, after, strict=True))


def _same(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return a.tobytes() == b.tobytes() if a.dtype != np.object_ else a.tolist() == b.tolist()


_CHECKS: Sequence[Callable[[_Case], None]] = (
    _rows_are_left_as_they_are,
    _scores_are_probabilities,
    _labels_are_not_looked_at,
    _many_equal_one_by_one,
    _a_seed_fixes_the_model,
    _the_graph_scores_the_same,
    _heads_agree_with_the_score,
    _the_graph_gives_every_head,
)
