"""The text predictor: learns, answers alike after a load without its trainer, and refuses broken packages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.models.packaged import CARD
from tests.models.tasks.tasks_world import CONTEXT, MOODS, section_of, texts

from orita.core.errors import UserError
from orita.models.package.manifest import write_manifest
from orita.models.tasks.build import build_text_predictor
from orita.models.tasks.config import TaskSection, TextSection
from orita.models.tasks.load import load_predictor
from orita.models.tasks.predictor import Predictor, TextRows
from orita.models.tasks.text_model import TENSORS_FILE, TEXT_FILE, TextModel
from orita.models.tasks.text_recipe import TextRecipe, TextView
from orita.models.tasks.write import write_predictor
from orita.stats.classification import multiclass_log_loss, weighted_f1

pytest.importorskip("sklearn", reason="scikit-learn, which trains text models, is not installed")


@pytest.fixture(scope="module")
def fitted() -> Predictor[TextRows]:
    """Return a predictor that has learnt the small world."""
    predictor = build_text_predictor(section_of("text"))
    predictor.fit(texts(), texts(120, seed=1), CONTEXT)
    return predictor


@pytest.fixture
def package(fitted: Predictor[TextRows], tmp_path: Path) -> Path:
    """Return a package of the predictor."""
    return write_predictor(tmp_path / "package", fitted, CARD, texts(20, seed=5)).folder


def test_it_learns_from_texts(fitted: Predictor[TextRows]) -> None:
    """On rows it never saw it is far better than the commonest class, and its probabilities are probabilities."""
    test = texts(300, seed=2)
    probabilities_NK = fitted.predict(test)
    assert probabilities_NK.dtype == np.float32
    assert probabilities_NK.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-5)
    assert weighted_f1(test.y_N, probabilities_NK.argmax(axis=1), 3) > 0.6
    assert multiclass_log_loss(test.y_N, probabilities_NK) < 0.9


def test_the_temperature_makes_probabilities_honest() -> None:
    """Without refitting, no other temperature gives the validation rows a lower loss."""
    section = section_of("text").text.model_copy(update={"refit": False})
    predictor = build_text_predictor(TaskSection(task="text", classes=MOODS, text=section))
    val = texts(120, seed=1)
    report = predictor.fit(texts(), val, CONTEXT)
    chosen = max(report.history, key=lambda row: row["val_f1"])
    probabilities_NK = predictor.predict(val)
    loss = multiclass_log_loss(val.y_N, probabilities_NK)
    assert loss == pytest.approx(chosen["val_log_loss"], abs=1e-4)
    for other in (0.9, 1.1):
        changed_NK = probabilities_NK**other
        assert loss < multiclass_log_loss(val.y_N, changed_NK / changed_NK.sum(axis=1, keepdims=True))


def test_a_loaded_model_answers_alike(fitted: Predictor[TextRows], package: Path) -> None:
    """The package gives the probabilities of the predictor, also for empty, strange and unknown texts."""
    odd = ["", " ", "😂" * 500, "zzz qqq", "\ud83d", "a" * 20_000, "GOOD\tgood"]
    rows = TextRows([*texts(50, seed=3).texts, *odd], np.zeros(57, np.int64))
    loaded = load_predictor(package)
    assert isinstance(loaded.model, TextModel)
    assert loaded.classes == MOODS
    assert loaded.predict(rows.texts) == pytest.approx(fitted.predict(rows), abs=1e-5)
    assert loaded.predict([]).shape == (0, 3)


def test_many_at_once_are_as_one_by_one(fitted: Predictor[TextRows], package: Path) -> None:
    """The answer to a text does not depend on the texts beside it."""
    loaded = load_predictor(package)
    assert isinstance(loaded.model, TextModel)
    some = texts(20, seed=4).texts
    one_by_one = np.concatenate([loaded.predict([text]) for text in some])
    assert loaded.predict(some) == pytest.approx(one_by_one, abs=1e-6)


def test_serving_loads_neither_sklearn_nor_scipy_nor_torch(package: Path) -> None:
    """A fresh process that loads and answers has imported no training library."""
    program = (
        "import sys; from pathlib import Path; from orita.models.tasks.load import load_predictor\n"
        f"load_predictor(Path({str(package)!r})).predict(['good'])\n"
        "print([m for m in ('sklearn', 'scipy', 'torch', 'lightgbm', 'onnx', 'safetensors') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_two_fits_with_one_seed_are_equal(fitted: Predictor[TextRows]) -> None:
    """The same rows and seed give the same numbers."""
    again = build_text_predictor(section_of("text"))
    again.fit(texts(), texts(120, seed=1), CONTEXT)
    assert np.array_equal(again.predict(texts(50, seed=3)), fitted.predict(texts(50, seed=3)))


def test_a_refit_learns_from_the_validation_rows_too() -> None:
    """A word that only validation rows have is known after the fit, and is not where refit is off."""
    train, val = texts(), texts(60, seed=1)
    val = TextRows([*val.texts, *["wahala"] * 10], np.append(val.y_N, np.zeros(10, np.int64)))
    learnt = {}
    for refit in (True, False):
        section = section_of("text").text.model_copy(update={"refit": refit})
        predictor = build_text_predictor(TaskSection(task="text", classes=MOODS, text=section))
        predictor.fit(train, val, CONTEXT)
        learnt[refit] = predictor.predict(TextRows(["wahala"], np.zeros(1, np.int64)))[0, 0]
    assert learnt[True] > 0.5 > learnt[False]


def _json(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def breaking(folder: Path) -> None:
        content = json.loads((folder / TEXT_FILE).read_text(encoding="utf-8"))
        change(content)
        (folder / TEXT_FILE).write_text(json.dumps(content), encoding="utf-8")

    return breaking


def _tensors(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def breaking(folder: Path) -> None:
        content = load_file(folder / TENSORS_FILE)
        change(content)
        save_file(content, folder / TENSORS_FILE)

    return breaking


@pytest.mark.parametrize(
    ("breaking", "sentence"),
    [
        (lambda folder: (folder / TEXT_FILE).write_text("{"), "text.json cannot be read as JSON"),
        (lambda folder: (folder / TEXT_FILE).write_bytes(b"\xff\xfe"), "text.json cannot be read as JSON"),
        (lambda folder: (folder / TEXT_FILE).write_text("[" * 100_000), "text.json cannot be read as JSON"),
        (lambda folder: (folder / TEXT_FILE).write_text(" " * 5_000_000), "allowed are 4,194,304"),
        (lambda folder: (folder / TEXT_FILE).write_text("[]"), "text.json holds a list, expected an object"),
        (lambda folder: (folder / TEXT_FILE).unlink(), "holds none of table.json, text.json"),
        (lambda folder: (folder / TENSORS_FILE).unlink(), "text.safetensors is missing"),
        (lambda folder: (folder / TENSORS_FILE).write_bytes(b"cos\nsystem\n(S'true'\ntR."), "is not a file of tensors"),
        (_json(lambda c: c.update(format=2)), "format has the value 2"),
        (_json(lambda c: c.update(hash="md5")), "hash has the value 'md5'"),
        (_json(lambda c: c.update(temperature=0)), "temperature has the value 0"),
        (_json(lambda c: c.update(code="import os")), "code has the value 'import os'"),
        (_json(lambda c: c["classes"].pop()), r"the tensor 'weights' is float32 \[\d+, 3\], expected"),
        (_json(lambda c: c["recipe"]["views"][0].update(steps=["exec"])), "it is not a step. Known: .*unmarked"),
        (_json(lambda c: c["recipe"]["views"][0].update(steps=["lower"])), "leave out 'tokens'"),
        (_json(lambda c: c["recipe"]["views"][0].update(longest=1000)), "longest has the value 1000"),
        (_json(lambda c: c["recipe"]["views"].pop()), "missing or unknown tensors"),
        (_tensors(lambda c: c.pop("bias")), r"missing or unknown tensors \['bias'\]"),
        (_tensors(lambda c: c.update(bias=c["bias"][:2])), r"'bias' is float32 \[2\], expected float32 \[3\]"),
        (_tensors(lambda c: c.update(rarity=c["rarity"] * np.nan)), "'rarity' has numbers that are not finite"),
        (_tensors(lambda c: c.update(hashes_0=c["hashes_0"][::-1].copy())), "'hashes_0' is not in strictly rising"),
        (_tensors(lambda c: c.update(hashes_0=c["hashes_0"].astype(np.int64))), "'hashes_0' is int64"),
        (_tensors(lambda c: c.update(hashes_0=c["hashes_0"].reshape(1, -1))), "'hashes_0' is uint32"),
    ],
)
def test_a_broken_package_is_refused_in_a_sentence(
    package: Path, breaking: Callable[[Path], object], sentence: str
) -> None:
    """What is not as declared names the file or the key; nothing is run and nothing is guessed."""
    breaking(package)
    write_manifest(package)
    with pytest.raises(UserError, match=sentence):
        load_predictor(package)


@pytest.mark.parametrize(
    ("train", "val", "sentence"),
    [
        (TextRows(["a", "b"], np.array([0, 1])), texts(9), r"training rows have none of \['positive'\]"),
        (TextRows(["a"], np.array([3])), texts(9), "training labels have the value 3, allowed are 0 … 2"),
        (TextRows(["a"], np.array(["x"])), texts(9), "allowed are whole numbers"),
        (texts(30), texts(0), "0 validation rows and 4 settings"),
    ],
)
def test_wrong_rows_are_refused(train: TextRows, val: TextRows, sentence: str) -> None:
    """Labels that are none, classes without rows, and a choice without rows to choose by."""
    with pytest.raises(UserError, match=sentence):
        build_text_predictor(section_of("text")).fit(train, val, CONTEXT)


def test_one_setting_needs_no_validation_rows() -> None:
    """With nothing to choose, all rows may be training rows."""
    section = TextSection(strengths=(3.0,), bayes_shares=(0.5,))
    predictor = build_text_predictor(TaskSection(task="text", classes=MOODS, text=section))
    assert predictor.fit(texts(), texts(0), CONTEXT).params["temperature"] == 1.0
    assert predictor.predict(texts(10)).shape == (10, 3)


def test_cross_validation_chooses_from_all_rows() -> None:
    """With folds there is nothing to hold back: every row is judged once, by a model that did not learn from it."""
    recipes = (TextRecipe(views=(TextView(unit="words", longest=1),)), TextRecipe())
    section = TextSection(recipes=recipes, strengths=(3.0,), bayes_shares=(0.0, 0.5), folds=3)
    predictor = build_text_predictor(TaskSection(task="text", classes=MOODS, text=section))
    report = predictor.fit(texts(150), texts(0), CONTEXT)
    assert len(report.history) == 4
    assert report.params["recipe"] in (0, 1)
    assert report.params["temperature"] != 1.0
    assert max(row["val_f1"] for row in report.history) < 0.95  # rows that were learnt from would be known by heart
    rare = TextRows([*texts(30).texts, "x"], np.append(np.minimum(texts(30).y_N, 1), 2))
    with pytest.raises(UserError, match=r"the class 'positive' has 1 row, and text\.folds is 3"):
        predictor.fit(rare, texts(0), CONTEXT)


def test_features_are_bounded_and_the_commonest_are_kept() -> None:
    """Of each view no more n-grams are kept than allowed, those of the most texts first."""
    from orita.models.tasks.ngrams import word_ngrams
    from orita.models.tasks.text_features import TextFeatures

    recipe = TextRecipe(views=(TextView(unit="words", longest=1, min_texts=1),))
    features = TextFeatures.fit(recipe, ["a b", "a b", "a c", "d"], max_features=2)
    assert set(features.hashes[0].tolist()) == set(word_ngrams(["a b"], 1, 1)[1].tolist())


def test_an_unfitted_predictor_says_so() -> None:
    """Predicting or exporting before a fit names what to do."""
    with pytest.raises(UserError, match="call fit before"):
        build_text_predictor(section_of("text")).predict(texts(1))
    with pytest.raises(UserError, match="texts take 'text'"):
        build_text_predictor(section_of("binary"))
