"""A model package is loaded whole, unchanged and without running anything, or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.models.clicks import MODEL, SCHEMA, TRAINING, clicks
from tests.models.packaged import CARD

from orita.core.checkpoints import checkpoints
from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.config import MODEL_TYPES
from orita.models.examples import Examples
from orita.models.package import HasWeights, Package, load_package, write_package
from orita.models.package.manifest import write_manifest
from orita.models.package.requirements import read_requirements, render_requirements
from orita.models.package.tables import read_vocabulary
from orita.models.ranker import FitContext, Ranker
from orita.models.vocabulary import Vocabulary

FILES = [
    "items.parquet",
    "manifest.json",
    "model.onnx",
    "model_card.md",
    "model_metadata.json",
    "package.json",
    "requirements.txt",
    "sample.parquet",
    "schema.json",
    "users.parquet",
]


@pytest.fixture(scope="module")
def fitted() -> tuple[Ranker, Examples]:
    """Return a ranker and rows it can score."""
    rows = clicks(900)
    ranker = build_ranker("two_tower", MODEL, TRAINING.model_copy(update={"epochs": 1}))
    ranker.fit(rows.take(slice(0, 600)), rows.take(slice(600, None)), FitContext(SILENT))
    return ranker, rows


@pytest.fixture
def package(fitted: tuple[Ranker, Examples], tmp_path: Path) -> Package:
    """Return a freshly written package."""
    return write_package(tmp_path / "v1.2.3", fitted[0], CARD, SCHEMA, fitted[1], extra={"system": "feed"})


def test_a_package_brings_back_model_card_and_schema(package: Package, fitted: tuple[Ranker, Examples]) -> None:
    """What was written is what is loaded: scores, version, card with the contract's keys, schema, extras."""
    ranker, rows = fitted
    loaded = load_package(package.folder)
    weights = ["weights.safetensors"] if isinstance(ranker, HasWeights) else []
    assert sorted(path.name for path in package.folder.iterdir()) == sorted(FILES + weights)
    assert (loaded.version, loaded.metadata, loaded.schema) == ("v1.2.3", CARD, SCHEMA)
    assert loaded.extra == {"system": "feed"}
    assert set(json.loads((package.folder / "model_metadata.json").read_text())) == {
        "model_id",
        "model_version",
        "training_date",
        "mlflow_run_id",
        "model_type",
        "metrics",
        "feature_schema_version",
        "training_data_date_range",
    }
    np.testing.assert_allclose(loaded.score(rows.users_N, rows.items_N, rows.x_NF), ranker.score(rows), atol=1e-5)
    loaded.check_sample()


def test_a_long_table_scores_as_its_parts_do(package: Package) -> None:
    """More rows than one block score the same as in pieces, and no rows score to nothing."""
    rows = clicks(40_000)
    whole_N = package.score(rows.users_N, rows.items_N, rows.x_NF)
    tail = rows.take(slice(39_000, None))
    np.testing.assert_allclose(whole_N[39_000:], package.score(tail.users_N, tail.items_N, tail.x_NF), atol=1e-6)
    assert package.score(rows.users_N[:0], rows.items_N[:0], rows.x_NF[:0]).shape == (0,)
    assert package.score_user(7, [], rows.x_NF[:0]).shape == (0,)


def test_one_user_may_be_asked_for_with_plain_lists(package: Package) -> None:
    """`score_user` takes a list of numbers or of their spellings, known or not, and agrees with `score`."""
    rows = clicks(20)
    x_NF = np.repeat(rows.x_NF[:1], 3, axis=0)
    by_number = package.score_user(8, [0, 3, 10**12], x_NF)
    by_text = package.score_user("8", ["0", "3", "nobody"], x_NF)
    expected = package.score(np.array([8, 8, 8]), np.array([0, 3, -5]), x_NF)
    np.testing.assert_allclose(by_number, expected, atol=1e-6)
    np.testing.assert_allclose(by_text, expected, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in FILES if n != "manifest.json"])
def test_a_changed_byte_is_refused_by_name(name: str, package: Package) -> None:
    """Any file with one flipped bit is named, and the package does not load."""
    file = package.folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is changed"):
        load_package(package.folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(name: str, package: Package) -> None:
    """A package without one of its files does not load, and the sentence names the file."""
    (package.folder / name).unlink()
    with pytest.raises(UserError, match=name):
        load_package(package.folder)


def test_an_extra_file_or_folder_is_refused_by_name(package: Package) -> None:
    """A file that the manifest does not list, hidden or in a folder, keeps the package from loading."""
    for name in ("model.pkl", ".hidden"):
        (package.folder / name).write_bytes(b"\x80")
        with pytest.raises(UserError, match=name):
            load_package(package.folder)
        (package.folder / name).unlink()
    (package.folder / "code").mkdir()
    with pytest.raises(UserError, match="code"):
        load_package(package.folder)


def test_a_link_out_of_the_package_is_refused(package: Package, tmp_path: Path) -> None:
    """A listed file that is a link, even to the right content, is not a plain file."""
    outside = tmp_path / "outside.json"
    (package.folder / "schema.json").rename(outside)
    (package.folder / "schema.json").symlink_to(outside)
    with pytest.raises(UserError, match=r"schema\.json is not a plain file"):
        load_package(package.folder)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("model.onnx", b"not a graph", r"model\.onnx is not a graph"),
        ("users.parquet", b"PAR1", r"users\.parquet is not a Parquet file"),
        ("package.json", b'{"format": 99}', "has the format 99"),
        ("model_metadata.json", b'{"model_id": "x"}', "missing or unknown keys"),
        ("schema.json", b'{"columns": [{"nome": 1}]}', r"schema\.json is not a feature schema"),
        ("schema.json", b"[]", r"schema\.json holds a list"),
        ("manifest.json", b'{"files": 3}', r"manifest\.json is not a manifest"),
    ],
)
def test_wrong_content_under_right_checksums_is_one_sentence(
    name: str, content: bytes, sentence: str, package: Package
) -> None:
    """A forged file that the manifest vouches for still fails with a sentence, never with a traceback of a parser."""
    (package.folder / name).write_bytes(content)
    if name != "manifest.json":
        write_manifest(package.folder)
    with pytest.raises(UserError, match=sentence):
        load_package(package.folder)


def test_a_model_that_scores_its_sample_otherwise_is_refused(package: Package, fitted: tuple[Ranker, Examples]) -> None:
    """`check_sample` notices a graph that does not belong to the sample, though all checksums agree."""
    _, rows = fitted
    other = build_ranker("two_tower", MODEL, TRAINING)
    other.fit(rows, rows, FitContext(SILENT, seed=5))
    other.export(package.folder)
    write_manifest(package.folder)
    with pytest.raises(UserError, match="scores its own sample"):
        load_package(package.folder).check_sample()


def test_a_model_that_scores_no_numbers_is_refused(package: Package) -> None:
    """NaN is no score within any bound: a graph that gives it does not pass its sample."""
    file = package.folder / "model.onnx"
    graph = onnx.load(file)
    for kept in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(kept)
        if values.dtype == np.float32 and values.ndim == 2:
            kept.CopyFrom(onnx.numpy_helper.from_array(np.full_like(values, np.nan), kept.name))
    onnx.save(graph, file)
    write_manifest(package.folder)
    loaded, rows = load_package(package.folder), clicks(5)
    assert np.isnan(loaded.score(rows.users_N, rows.items_N, rows.x_NF)).all()
    with pytest.raises(UserError, match="scores its own sample"):
        loaded.check_sample()


def test_ids_beyond_the_graph_s_table_are_refused_before_anybody_asks_for_them(package: Package) -> None:
    """A list of users that is longer than the embeddings of the graph fails by one sentence, not at a request."""
    file = package.folder / "users.parquet"
    last = Vocabulary.read(file).ids_V[-1]
    Vocabulary(np.append(Vocabulary.read(file).ids_V, np.arange(last + 1, last + 1000))).write(file)
    write_manifest(package.folder)
    with pytest.raises(UserError, match=r"cannot answer its own sample .*do not belong together"):
        load_package(package.folder).check_sample()


def test_a_package_without_sample_rows_is_neither_written_nor_read(
    package: Package, fitted: tuple[Ranker, Examples], tmp_path: Path
) -> None:
    """A package proves itself by the scores of its sample: no rows prove nothing."""
    with pytest.raises(UserError, match="0 sample rows"):
        write_package(tmp_path / "none", fitted[0], CARD, SCHEMA, fitted[1].take(slice(0, 0)))
    assert not (tmp_path / "none").exists()
    pq.write_table(pq.read_table(package.folder / "sample.parquet").slice(0, 0), package.folder / "sample.parquet")
    write_manifest(package.folder)
    with pytest.raises(UserError, match=r"sample\.parquet has 0 rows"):
        load_package(package.folder)


def test_wrong_shapes_are_one_sentence(package: Package) -> None:
    """Rows that do not agree in number, or a matrix of another width, are refused with the figures."""
    rows = clicks(10)
    with pytest.raises(UserError, match="10 users, 9 items"):
        package.score(rows.users_N, rows.items_N[:9], rows.x_NF)
    with pytest.raises(UserError, match="expected 7 columns: user_historical_ctr"):
        package.score(rows.users_N, rows.items_N, rows.x_NF[:, :6])
    with pytest.raises(UserError, match="2 items and 10 rows"):
        package.score_user(7, [1, 2], rows.x_NF)


def test_a_failed_write_leaves_the_old_package(package: Package, fitted: tuple[Ranker, Examples]) -> None:
    """A package that cannot be written whole does not touch the one that is there."""
    rows = clicks(30)
    unfitted = build_ranker("two_tower", MODEL, TRAINING)
    with pytest.raises(UserError, match="not been fitted"):
        write_package(package.folder, unfitted, CARD, SCHEMA, rows)
    load_package(package.folder).check_sample()
    assert [path.name for path in package.folder.parent.iterdir()] == ["v1.2.3"]


def test_a_library_of_another_distribution_is_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where onnxruntime came as onnxruntime-gpu, requirements.txt stays one that pip reads."""
    monkeypatch.setattr(
        "orita.models.package.requirements._installed", lambda name: None if name == "onnxruntime" else "1.0"
    )
    text = render_requirements()
    assert "onnxruntime" not in {each.name for each in read_requirements(text.encode(), "requirements.txt")}
    assert "None" not in text and "# onnxruntime, of another distribution" in text


@pytest.mark.parametrize("kind", ["numbers", "texts"])
def test_a_small_file_does_not_ask_for_gigabytes(kind: str, tmp_path: Path) -> None:
    """Ids that Parquet repeats in a few bytes are refused before they are spread out; dense ids of our own load."""
    file = tmp_path / "users.parquet"
    if kind == "numbers":
        said, ids = r"has 2,000,000 rows, allowed are ", pa.array(np.zeros(2_000_000, np.int64))
    else:
        text = np.random.default_rng(0).integers(33, 127, 100_000).astype(np.uint8).tobytes().decode()
        said = r"20,000,000,000 bytes of ids, allowed are 32 times as many"
        ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, np.int32)), pa.array([text]))
    pq.write_table(pa.table({"id": ids}), file, store_schema=kind == "numbers")
    assert file.stat().st_size < 200_000
    with pytest.raises(UserError, match=said):
        read_vocabulary(file.read_bytes(), "users.parquet")
    for dense in (np.arange(1, 300_001), np.array([f"user-{n:06d}" for n in range(50_000)], object), np.arange(0)):
        Vocabulary.of(dense).write(file)
        assert len(read_vocabulary(file.read_bytes(), "users.parquet")) == len(dense)


def test_a_package_names_what_its_own_type_was_trained_with(
    fitted: tuple[Ranker, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees trained in a process that knows PyTorch too do not name it; an own type names all that is loaded."""
    for module in ("torch", "lightgbm", "sklearn", "safetensors"):
        monkeypatch.setitem(sys.modules, module, sys.modules.get(module, sys))
    named = {
        type_: {each.name for each in read_requirements(render_requirements(ranker=type_).encode(), "it")}
        for type_ in (*MODEL_TYPES, "mine")
    }
    assert "lightgbm" in named["lightgbm"]
    assert not named["lightgbm"] & {"torch", "safetensors", "scikit-learn"}
    assert not named["two_tower"] & {"lightgbm", "scikit-learn"}
    assert not named["popularity"] & {"torch", "lightgbm"}
    assert named["mine"] >= {"torch", "lightgbm", "scikit-learn"}
    assert all(named[type_] < named["mine"] for type_ in MODEL_TYPES if type_ != "factor_blend"), "a type is not listed"


def test_a_version_has_three_numbers() -> None:
    """A card with another form of version cannot be made."""
    with pytest.raises(UserError, match=r"'1\.2'"):
        replace(CARD, model_version="1.2")


def test_serving_needs_no_training_library(package: Package) -> None:
    """Loading and scoring a package imports neither PyTorch nor LightGBM, onnx or MLflow, and works without pandas."""
    program = (
        "import sys, pathlib\n"
        "class Absent:\n"  # PyArrow takes pandas up where it is installed
        "    def find_spec(self, name, *more):\n"
        "        if name.partition('.')[0] == 'pandas': raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from orita.models.package import load_package\n"
        f"package = load_package(pathlib.Path({str(package.folder)!r}))\n"
        "package.check_sample()\n"
        "print(sorted({'torch', 'lightgbm', 'onnx', 'mlflow'} & set(sys.modules)))\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_graph_takes_one_user_for_all_rows(package: Package) -> None:
    """The two-tower graph declares that it takes one user, so a request runs the user tower once."""
    session = onnxruntime.InferenceSession((package.folder / "model.onnx").read_bytes())
    assert {given.name: given.shape[0] for given in session.get_inputs()}["users"] == "U"


def test_a_package_is_opened_in_small_pieces(package: Package) -> None:
    """Whoever opens one beside requests can rest at each operator of its graph, and once more for its request half."""
    operators, rests = len(onnx.load(package.folder / "model.onnx").graph.node), [0, 0]

    def rest(at: int) -> Callable[[], None]:
        def count() -> None:
            rests[at] += 1

        return count

    with checkpoints(rest(0)):
        opened = load_package(package.folder)
    with checkpoints(rest(1)):
        opened.check_sample()
    assert rests[0] >= operators
    assert rests[1] >= operators
