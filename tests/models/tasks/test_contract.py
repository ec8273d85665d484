"""Every predictor keeps the contract, a user's own too, and the check of the contract catches those that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.tasks.tasks_world import section_of, table, texts

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.ranker import FitContext, FitReport
from orita.models.tasks.build import build_table_predictor, build_text_predictor
from orita.models.tasks.config import Task
from orita.models.tasks.labels import check_labels, check_width
from orita.models.tasks.predictor import Answers, TableRows
from orita.models.tasks.table_graph import TableGraph
from orita.models.tasks.table_model import write_table_declaration
from orita.testing.predictors import check_predictor

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
CLASSES = ("low", "middle", "high")


@pytest.mark.parametrize("type_", ["linear", "lightgbm"])
@pytest.mark.parametrize("task", TASKS)
def test_every_predictor_of_tables_keeps_the_contract(task: Task, type_: str, tmp_path: Path) -> None:
    """Form of the answers, seeds, strange rows, refusals and the package are as `check_predictor` demands."""
    pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
    if type_ == "lightgbm":
        pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    section = section_of(task, type_)
    check_predictor(lambda: build_table_predictor(section), table(task, 300), table(task, 150, seed=1), tmp_path)


def test_the_predictor_of_texts_keeps_the_contract(tmp_path: Path) -> None:
    """Empty and strange texts are answered, and the package answers as the trainer does, without scikit-learn."""
    pytest.importorskip("sklearn", reason="scikit-learn, which trains text models, is not installed")
    section = section_of("text")
    check_predictor(lambda: build_text_predictor(section), texts(150), texts(60, seed=1), tmp_path)


class Shares:
    """A predictor as a user may write one: whatever the row says, it answers with the shares of the classes.

    Args:
        fault: the promise that it breaks, none where empty.
    """

    task: Task = "multiclass"
    classes = CLASSES

    def __init__(self, fault: str = "") -> None:
        self._fault = fault
        self._schema: FeatureSchema | None = None
        self._share_K = np.zeros(3, np.float32)

    def fit(self, train: TableRows, val: TableRows, context: FitContext) -> FitReport:
        """Count the labels."""
        if self._fault != "takes every label":
            check_labels(train.y_N, self.classes, "training", every=True)
        if self._fault == "changes its rows":
            train.x_NF[0] = 0
        self._schema = train.schema
        share_K = np.bincount(train.y_N, minlength=3)[:3] / len(train)
        if self._fault == "is not fixed by its seed":
            share_K = np.random.default_rng().dirichlet(np.ones(3))
        self._share_K = share_K.astype(np.float32)
        return FitReport([], {})

    def predict(self, rows: TableRows) -> Answers:
        """Return the shares for each row."""
        schema = self._fitted()
        if self._fault != "takes every table":
            check_width(rows.x_NF, schema)
        answers_NK = np.tile(self._share_K, (len(rows), 1))
        match self._fault:
            case "does not sum to 1":
                answers_NK *= np.float32(0.5)
            case "is float64":
                return answers_NK.astype(np.float64)
            case "looks at labels" if rows.y_N.size:
                answers_NK = np.eye(3, dtype=np.float32)[rows.y_N]
            case "depends on neighbours" if len(rows) > 1:
                answers_NK = np.roll(answers_NK, 1, axis=1)
            case "has no answer to missing values":
                answers_NK[np.isnan(rows.x_NF).all(axis=1)] = np.nan
        return answers_NK

    def export(self, folder: Path) -> None:
        """Write a graph that gives the shares."""
        schema, graph = self._fitted(), TableGraph()
        zeros_N = graph.add("Mul", graph.column(graph.columns(_finite(graph, schema), 0, 1)), _number(graph, 0))
        share_K = self._share_K[::-1] if self._fault == "exports something else" else self._share_K
        columns = [graph.add("Add", zeros_N, _number(graph, share)) for share in share_K]
        graph.write_answers(folder, graph.side_by_side(columns), len(CLASSES))
        write_table_declaration(folder, self.task, self.classes, schema)
        if self._fault == "writes a pickle":
            (folder / "model.pkl").write_bytes(b"\x80")

    def _fitted(self) -> FeatureSchema:
        if self._schema is None:
            error = RuntimeError if self._fault == "fails without a sentence" else UserError
            raise error("call fit first")
        return self._schema


def _finite(graph: TableGraph, schema: FeatureSchema) -> str:
    """Return the features with every value replaced by 1, also where it is missing or endless."""
    features = graph.features(len(schema))
    return graph.add("Cast", graph.add("Or", *[graph.add("Equal", features, features)] * 2), to="float32")


def _number(graph: TableGraph, value: float) -> str:
    return graph.constant(np.float32(value))


def _check(make: Callable[[], Any], folder: Path) -> None:
    check_predictor(make, table("multiclass", 200), table("multiclass", 100, seed=1), folder)


def test_a_predictor_of_a_user_keeps_the_contract(tmp_path: Path) -> None:
    """A class with the five members of the contract, and an ONNX graph of any making, is checked like ours."""
    pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
    _check(Shares, tmp_path)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("changes its rows", "fit changed the rows"),
        ("is float64", "answers are float64, not float32"),
        ("does not sum to 1", "do not sum to 1"),
        ("looks at labels", "answers depend on labels"),
        ("depends on neighbours", "depends on the rows beside it"),
        ("is not fixed by its seed", "the same seed gave another model"),
        ("has no answer to missing values", "missing values, unknown categories, .* is not a finite number"),
        ("takes every label", "labels that the task does not have must be refused"),
        ("takes every table", "a column too few must be refused"),
        ("fails without a sentence", "predict before fit must be a UserError, it is RuntimeError"),
    ],
)
def test_the_check_catches_a_broken_promise(fault: str, sentence: str, tmp_path: Path) -> None:
    """`check_predictor` fails, with a sentence about the fault, for a predictor that breaks one promise."""
    with pytest.raises(AssertionError, match=sentence):
        _check(lambda: Shares(fault), tmp_path)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("exports something else", "answers its own sample .* away from the answers kept with it"),
        ("writes a pickle", r"the predictor exported .*model\.pkl.*allowed are"),
    ],
)
def test_what_answers_otherwise_or_brings_other_files_is_never_a_package(
    fault: str, sentence: str, tmp_path: Path
) -> None:
    """A graph that does not answer as its predictor, and a file of another kind, are refused where they are written."""
    pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
    with pytest.raises(UserError, match=sentence):
        _check(lambda: Shares(fault), tmp_path)
    assert list(tmp_path.iterdir()) == []
