"""Predictors of tables: one matrix of tasks and types, and each answers alike after a load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.models.packaged import CARD
from tests.models.tasks.tasks_world import CONTEXT, SCHEMA, section_of, table

from orita.core.errors import UserError
from orita.models.package.manifest import write_manifest
from orita.models.tasks.build import build_table_predictor
from orita.models.tasks.config import Task, TaskSection
from orita.models.tasks.load import load_predictor
from orita.models.tasks.predictor import Predictor, TableRows
from orita.models.tasks.table_model import TABLE_FILE, TableModel
from orita.models.tasks.write import write_predictor
from orita.stats.classification import multiclass_accuracy

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
MATRIX = [(task, type_) for task in TASKS for type_ in ("linear", "lightgbm")]


def _fitted(task: Task, type_: str) -> Predictor[TableRows]:
    if type_ == "lightgbm":
        pytest.importorskip("lightgbm", reason="LightGBM is not installed")
    predictor = build_table_predictor(section_of(task, type_))
    predictor.fit(table(task), table(task, 300, seed=1), CONTEXT)
    return predictor


@pytest.mark.parametrize(("task", "type_"), MATRIX)
def test_it_learns_and_a_loaded_model_answers_alike(task: Task, type_: str, tmp_path: Path) -> None:
    """Each pair of task and type is far better than chance; its package gives its answers, also for strange values."""
    predictor, test = _fitted(task, type_), table(task, 500, seed=2)
    answers = predictor.predict(test)
    assert answers.dtype == np.float32
    if task == "regression":
        assert np.mean((answers - test.y_N) ** 2) < 0.6 * np.var(test.y_N)
    else:
        assert answers.sum(axis=1) == pytest.approx(np.ones(len(test)), abs=1e-5)
        commonest = np.bincount(test.y_N).max() / len(test)
        assert multiclass_accuracy(test.y_N, answers.argmax(axis=1)) > commonest + 0.15
    pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
    loaded = write_predictor(tmp_path / "package", predictor, CARD, test)
    assert isinstance(loaded.model, TableModel)
    assert (loaded.task, loaded.classes, loaded.model.schema) == (task, predictor.classes, SCHEMA)
    odd_NF = np.array([[np.nan] * 4, [0, 3, 0, 1], [0, 9, -1, 1], [0, -1, 1e9, 0], [np.inf, 1, np.inf, 0]], np.float32)
    x_NF = np.concatenate([test.x_NF, odd_NF])
    expected = predictor.predict(TableRows(SCHEMA, x_NF, np.zeros(len(x_NF))))
    assert loaded.predict(x_NF) == pytest.approx(expected, abs=1e-5)
    assert loaded.predict(x_NF[:0]).shape == expected[:0].shape


@pytest.mark.parametrize("task", TASKS)
def test_linear_is_the_solution(task: Task) -> None:
    """A linear fit with hardly a penalty puts the mean of its answers on the mean of the labels: the bias is right."""
    section = section_of(task, "linear").model_copy(update={"linear_penalty": 1e-3})
    predictor, rows = build_table_predictor(section), table(task)
    predictor.fit(rows, rows, CONTEXT)
    means = predictor.predict(rows).mean(axis=0)
    expected = rows.y_N.mean() if task == "regression" else np.bincount(rows.y_N) / len(rows)
    assert means == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("type_", ["linear", "lightgbm"])
def test_fits_are_repeatable(type_: str) -> None:
    """The same rows and seed give the same answers."""
    rows = table("multiclass", 50, seed=3)
    first, second = (_fitted("multiclass", type_).predict(rows) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("type_", ["linear", "lightgbm"])
def test_wrong_labels_are_refused(type_: str) -> None:
    """A label beyond the classes, a class without rows, a number that is none: each is named."""
    rows = table("multiclass", 60)
    for y_N, sentence in ((rows.y_N + 1, "have the value 3"), (rows.y_N * 0, r"have none of \['middle', 'high'\]")):
        with pytest.raises(UserError, match=sentence):
            build_table_predictor(section_of("multiclass", type_)).fit(TableRows(SCHEMA, rows.x_NF, y_N), rows, CONTEXT)
    numbers = TableRows(SCHEMA, rows.x_NF, np.full(60, np.nan))
    with pytest.raises(UserError, match="not all finite"):
        build_table_predictor(section_of("regression", type_)).fit(numbers, rows, CONTEXT)
    nothing = TableRows(SCHEMA, rows.x_NF[:0], rows.y_N[:0])
    with pytest.raises(UserError, match="0 training"):
        build_table_predictor(section_of("multiclass", type_)).fit(nothing, rows, CONTEXT)


@pytest.mark.parametrize(
    ("task", "classes", "sentence"),
    [
        ("binary", ("yes",), "has 1 names, the task binary takes 2 … 2"),
        ("binary", ("a", "b", "c"), "has 3 names"),
        ("multiclass", ("a", "b", "a"), "has a name twice"),
        ("regression", ("a", "b"), "the task regression takes 0 … 0"),
        ("text", ("a", "b"), "a table takes binary, multiclass or regression"),
    ],
)
def test_classes_must_suit_the_task(task: Task, classes: tuple[str, ...], sentence: str) -> None:
    """The number of names is that of the task, and no name is given twice."""
    with pytest.raises(UserError, match=sentence):
        build_table_predictor(TaskSection(task=task, classes=classes, type="linear"))


def _change(folder: Path, name: str, content: bytes | str) -> None:
    """Put *content* in the place of a file of a package, under right checksums."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    write_manifest(folder)


def test_a_broken_table_package_is_refused(tmp_path: Path) -> None:
    """Declarations that do not fit each other or the graph are named, under right checksums."""
    pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
    folder = write_predictor(tmp_path / "package", _fitted("multiclass", "linear"), CARD, table("multiclass")).folder
    names = (TABLE_FILE, "schema.json", "model.onnx", "predictor.json")
    sound = {name: (folder / name).read_bytes() for name in names}
    declared, schema = (json.loads(sound[name]) for name in (TABLE_FILE, "schema.json"))
    breaks: list[tuple[str, object, str]] = [
        (TABLE_FILE, declared | {"task": "ranking"}, "task has the value 'ranking'"),
        (TABLE_FILE, declared | {"task": ["text"]}, "task has the value"),
        (TABLE_FILE, declared | {"format": 3}, "the format 3"),
        (TABLE_FILE, declared | {"format": True}, "the format True"),
        (TABLE_FILE, declared | {"code": "import os"}, "the keys"),
        (TABLE_FILE, declared | {"classes": "abc"}, "expected a list of names"),
        (TABLE_FILE, declared | {"classes": ["a", "b"]}, "names 2 classes"),
        (TABLE_FILE, [], "holds a list, expected an object"),
        ("schema.json", {"columns": [{"nam": 1}]}, "not a feature schema"),
        ("schema.json", schema | {"columns": schema["columns"][:2]}, "expected features with 2 columns"),
        ("predictor.json", {"format": 9, "extra": {}}, "has the format 9"),
        ("predictor.json", {"format": 1, "extra": {}, "code": "x"}, "missing or unknown keys"),
        ("predictor.json", {"format": 1, "extra": []}, "expected an object"),
    ]
    for name, content, sentence in breaks:
        _change(folder, name, json.dumps(content))
        with pytest.raises(UserError, match=sentence):
            load_predictor(folder)
        _change(folder, name, sound[name])
    _change(folder, "model.onnx", b"no graph")
    with pytest.raises(UserError, match=r"model\.onnx is not a graph"):
        load_predictor(folder)


def test_a_table_of_another_width_is_refused(tmp_path: Path) -> None:
    """A loaded model names the columns that it expects, and does not take texts for a table."""
    pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
    loaded = write_predictor(tmp_path / "package", _fitted("regression", "linear"), CARD, table("regression"))
    with pytest.raises(UserError, match="expected 4 columns: length, kind, orders, weekend"):
        loaded.predict(np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match="reads a matrix of features x_NF, got a list"):
        loaded.predict(["a text"])
