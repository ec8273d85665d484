"""Checks that every `Predictor` must pass, of tables and of texts, yours too.

Legend: N rows, F features, K classes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.metadata import ModelMetadata
from orita.models.ranker import FitContext
from orita.models.tasks.load import PredictorPackage, load_predictor
from orita.models.tasks.predictor import Answers, Predictor, TableRows, TextRows
from orita.models.tasks.write import write_predictor

__all__ = ["check_predictor"]

_TOLERANCE = 1e-5
_RowsT = TypeVar("_RowsT", TableRows, TextRows)
_TRAINING = ("torch", "lightgbm", "sklearn", "onnx", "scipy", "safetensors")
_ODD_TEXTS = ("", " ", "\n\t", "\x00", "zzqxj wvkpf", "😂" * 300, "a" * 20_000, "\ud83d", "@a http://b.c !!!!")


@dataclass(frozen=True, slots=True)
class _Case:
    make: Callable[[], Predictor[Any]]
    predictor: Predictor[Any]
    train: Any
    val: Any
    folder: Path


def check_predictor(make: Callable[[], Predictor[_RowsT]], train: _RowsT, val: _RowsT, folder: Path) -> None:
    """Fit a predictor and check all that the contract promises.

    Args:
        make: returns a new predictor that is not fitted, the same each time.
        train, val: rows with labels of every class; some hundred are enough.
        folder: an empty folder for packages.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
    """
    before = _copied(train)
    predictor = make()
    report = predictor.fit(train, val, FitContext(SILENT, seed=7))
    assert _same_rows(before, train), "fit changed the rows that it was given"
    assert isinstance(report.params, dict), "fit must say what it was fitted with"
    for check in _CHECKS:
        check(_Case(make, predictor, train, val, folder))


def _answers_have_the_form_of_the_task(case: _Case) -> None:
    predictor, rows = case.predictor, case.val
    answers, classes = predictor.predict(rows), len(predictor.classes)
    assert isinstance(rows, TextRows) == (predictor.task == "text"), f"the task {predictor.task} is of other rows"
    assert (classes == 0) == (predictor.task == "regression"), f"the task {predictor.task} with {classes} classes"
    assert answers.dtype == np.float32, f"answers are {answers.dtype}, not float32"
    shape = (len(rows), classes) if classes else (len(rows),)
    assert answers.shape == shape, f"answers have the shape {answers.shape}, expected {shape}"
    _check_values(answers, "validation rows")
    none = predictor.predict(_take(rows, np.arange(0)))
    assert none.shape == (0, *shape[1:]), "no rows must give no answers, of as many classes"


def _labels_are_not_looked_at(case: _Case) -> None:
    labels_N = case.val.y_N
    blind = replace(case.val, y_N=labels_N * np.nan if case.predictor.task == "regression" else np.zeros_like(labels_N))
    assert _near(case.predictor.predict(case.val), case.predictor.predict(blind)), "answers depend on labels"


def _many_equal_one_by_one(case: _Case) -> None:
    rows = _take(case.val, np.arange(min(20, len(case.val))))
    together = case.predictor.predict(rows)
    alone = np.concatenate([case.predictor.predict(_take(rows, np.array([at]))) for at in range(len(rows))])
    assert _near(together, alone), "a row's answer depends on the rows beside it"
    order = np.arange(len(rows))[::-1]
    assert _near(together[order], case.predictor.predict(_take(rows, order))), "answers are not in row order"


def _a_seed_fixes_the_model(case: _Case) -> None:
    again = case.make()
    again.fit(case.train, case.val, FitContext(SILENT, seed=7))
    assert _near(case.predictor.predict(case.val), again.predict(case.val)), "the same seed gave another model"


def _troublesome_rows_are_answered(case: _Case) -> None:
    rows = _hard_rows(case.val)
    _check_values(case.predictor.predict(rows), "missing values, unknown categories, or empty and strange texts")


def _what_cannot_be_is_refused(case: _Case) -> None:
    rows = case.val
    _refused(lambda: case.make().predict(rows), "predict before fit")
    _refused(lambda: case.make().export(case.folder), "export before fit")
    wrong_N = np.full(len(case.train), np.nan if case.predictor.task == "regression" else len(case.predictor.classes))
    labels_N = wrong_N.astype(case.train.y_N.dtype)
    wrong = replace(case.train, y_N=labels_N)
    _refused(lambda: case.make().fit(wrong, rows, FitContext(SILENT)), "labels that the task does not have")
    if isinstance(rows, TableRows):
        narrow = TableRows(rows.schema, rows.x_NF[:, 1:], rows.y_N)
        _refused(lambda: case.predictor.predict(narrow), "a table with a column too few")
    else:
        one_class = replace(case.train, y_N=np.zeros_like(case.train.y_N))
        _refused(lambda: case.make().fit(one_class, rows, FitContext(SILENT)), "rows without one of the classes")


def _the_package_answers_the_same(case: _Case) -> None:
    predictor, rows = case.predictor, _hard_rows(case.val)
    card = ModelMetadata("00000000-0000-7000-8000-000000000000", "v0.0.1", "1970-01-01T00:00:00Z", "", predictor.task)
    written = write_predictor(case.folder / "package", predictor, card, rows)
    loaded = load_predictor(written.folder)
    same = (loaded.task, loaded.classes) == (predictor.task, predictor.classes)
    assert same, f"a {predictor.task} of {predictor.classes} was read as a {loaded.task} of {loaded.classes}"
    for part in (rows, case.val):
        expected, found = predictor.predict(part), _asked(loaded, part)
        worst = float(np.max(np.abs(expected - found) / np.maximum(np.abs(expected), 1.0), initial=0.0))
        assert worst <= _TOLERANCE, f"the package answers {worst:.2g} away, allowed is {_TOLERANCE:g}"
    _loads_without_trainers(written.folder)


def _loads_without_trainers(folder: Path) -> None:
    """Load *folder*, which asks for the answers to its sample, where no training library can be imported."""
    program = (
        f"import sys\nfor name in {_TRAINING}: sys.modules[name] = None\n"
        "from pathlib import Path\nfrom orita.models.tasks.load import load_predictor\n"
        "load_predictor(Path(sys.argv[1]))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"the package needs a training library to load: {ran.stderr[-500:]}"


def _check_values(answers: Answers, of: str) -> None:
    assert np.isfinite(answers).all(), f"an answer to {of} is not a finite number"
    if answers.ndim == 2:
        assert np.all((answers >= 0) & (answers <= 1)), f"a probability of {of} is not in [0, 1]"
        assert np.allclose(answers.sum(axis=1), 1.0, rtol=0, atol=_TOLERANCE), f"probabilities of {of} do not sum to 1"


def _refused(attempt: Callable[[], object], what: str) -> None:
    try:
        attempt()
    except UserError:
        return
    except Exception as error:
        raise AssertionError(f"{what} must be a UserError, it is {error!r}") from error
    raise AssertionError(f"{what} must be refused with a UserError, and is taken")


def _hard_rows(rows: Any) -> Any:
    """Return rows with every trouble at once: missing values, values far outside of training, unknown categories."""
    if isinstance(rows, TextRows):
        texts = [*_ODD_TEXTS, *rows.texts[:20]]
        return TextRows(texts, np.zeros(len(texts), np.int64))
    random = np.random.default_rng(0)
    x_NF = rows.x_NF[random.integers(0, len(rows), 64)].copy()
    x_NF[random.random(x_NF.shape) < 0.2] = np.nan
    wild_NF = random.random(x_NF.shape) < 0.1
    x_NF[wild_NF] = random.choice(np.array([-1e6, -1, 0, 3, 99, 1e6], np.float32), int(wild_NF.sum()))
    x_NF[0] = np.nan
    return TableRows(rows.schema, x_NF, np.zeros(len(x_NF), rows.y_N.dtype))


def _take(rows: Any, at: npt.NDArray[np.int64]) -> Any:
    if isinstance(rows, TextRows):
        return TextRows([rows.texts[i] for i in at.tolist()], rows.y_N[at])
    return TableRows(rows.schema, rows.x_NF[at], rows.y_N[at])


def _asked(package: PredictorPackage, rows: Any) -> Answers:
    return package.predict(rows.texts if isinstance(rows, TextRows) else rows.x_NF)


def _copied(rows: Any) -> Any:
    if isinstance(rows, TextRows):
        return TextRows(list(rows.texts), rows.y_N.copy())
    return TableRows(rows.schema, rows.x_NF.copy(), rows.y_N.copy())


def _same_rows(a: Any, b: Any) -> bool:
    same = bool(np.array_equal(a.y_N, b.y_N))
    return same and (
        list(a.texts) == list(b.texts) if isinstance(a, TextRows) else a.x_NF.tobytes() == b.x_NF.tobytes()
    )


def _near(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return bool(np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE))


_CHECKS: Sequence[Callable[[_Case], None]] = (
    _answers_have_the_form_of_the_task,
    _labels_are_not_looked_at,
    _many_equal_one_by_one,
    _a_seed_fixes_the_model,
    _troublesome_rows_are_answered,
    _what_cannot_be_is_refused,
    _the_package_answers_the_same,
)
