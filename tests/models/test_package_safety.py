"""A package that anybody touched does not load, and nothing in it is ever executed."""

from __future__ import annotations

import json
import pickle
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.models.corruption import ATTACKS, Signed
from tests.models.packaged import fitted, package_of

from orita.core.errors import UserError
from orita.models.package import load_package
from orita.models.package.keys import SigningKey
from orita.models.package.manifest import write_manifest

CORRUPTIONS = 1000


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """Return a signed package."""
    folder = tmp_path_factory.mktemp("signed")
    return Signed(folder, package_of(folder / "whole", *fitted()).folder)


def test_a_thousand_corrupted_packages_do_not_load_and_do_not_execute(signed: Signed, tmp_path: Path) -> None:
    """Flipped bytes, swapped, cut, added, missing files, links, devices, path tricks, forged checksums, wrong
    signatures: each package is refused with a sentence, and no pickle in it is read."""
    assert load_package(signed.folder, trust=signed.trust).signer == signed.ours.public
    for number in range(CORRUPTIONS):
        choose = random.Random(number)
        attack = ATTACKS[number % len(ATTACKS)]
        attack(signed, folder := tmp_path / str(number), choose)
        with pytest.raises(UserError) as refused:
            pytest.fail(f"{number} ({attack.__name__}) loads: {load_package(folder, trust=signed.trust)}")
        assert str(refused.value).isprintable(), number
    assert not signed.marker.exists()
    pickle.loads(signed.pickle)  # it would have been noticed
    assert signed.marker.exists()
    signed.marker.rmdir()


def _forge(signed: Signed, folder: Path, name: str, content: bytes) -> Path:
    """Write the package without its signature, with *content* as *name*, under right checksums."""
    plain = {n: c for n, c in signed.files.items() if n != "signature.json"}
    signed.write(folder, {**plain, name: content})
    write_manifest(folder)
    return folder


def _changed_graph(content: bytes, change: Callable[[Any], None]) -> bytes:
    model = onnx.load_from_string(content)
    change(model)
    changed: bytes = model.SerializeToString()
    return changed


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _only_external_entry(model: Any) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="weights.bin")


def _custom(model: Any) -> None:
    model.graph.node[0].domain = "com.evil"


def _custom_opset(model: Any) -> None:
    model.opset_import.add(domain="com.microsoft", version=1)


def _function(model: Any) -> None:
    model.functions.add(name="f", domain="ai.onnx")


def _loop(model: Any) -> None:
    node = model.graph.node.add(op_type="Loop", input=["a", "b"], output=["c"])
    node.attribute.append(onnx.helper.make_attribute("body", onnx.helper.make_graph([], "body", [], [])))


def _huge(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [2**40, 2**20]


def _negative(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [-1]


def _sparse(model: Any) -> None:
    model.graph.sparse_initializer.add()


def _other_input(model: Any) -> None:
    model.graph.input[0].name = "files"
    for node in model.graph.node:
        node.input[:] = ["files" if name == "features" else name for name in node.input]


def _other_output(model: Any) -> None:
    model.graph.output[0].name = "answers"
    model.graph.node[-1].output[0] = "answers"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_external, "holds data in another file"),
        (_only_external_entry, "holds data in another file"),
        (_custom, "operators of the domain 'com.evil'"),
        (_custom_opset, "operators of the domain 'com.microsoft'"),
        (_function, "holds functions"),
        (_loop, "holds a graph within a node"),
        (_huge, r"says it has the shape \[1099511627776, 1048576\]"),
        (_negative, "says it has the shape"),
        (_sparse, "holds sparse tensors"),
        (_other_input, "asks for the inputs .*'files'"),
        (_other_output, "expected 'scores' as float32"),
    ],
)
def test_a_graph_that_does_more_than_compute_is_refused(
    change: Callable[[Any], None], sentence: str, signed: Signed, tmp_path: Path
) -> None:
    """Data in other files, operators of others, functions, loops, tensors without values: under no checksum."""
    content = _changed_graph(signed.files["model.onnx"], change)
    folder = _forge(signed, tmp_path / "package", "model.onnx", content)
    with pytest.raises(UserError, match=sentence):
        load_package(folder)


def _short(value: object) -> str:
    """Return what a case is called: bytes of megabytes have no place in the name of a test."""
    return value[:40] if isinstance(value, str) else type(value).__name__


def _tensors(header: Mapping[str, Any] | bytes, data: bytes = b"\0" * 16, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _tensor(shape: list[Any], offsets: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (_tensors({"a": _tensor([4], [0, 16])}, length=2**60), "header would be longer"),
        (b"\x80\x04", "header would be longer"),
        (_tensors({"a": _tensor([5], [0, 16])}), "says of 'a' cannot be"),
        (_tensors({"a": _tensor([2**62, 2**62], [0, 16])}), "says of 'a' cannot be"),
        (_tensors({"a": _tensor([-4], [0, -16])}), "says of 'a' cannot be"),
        (_tensors({"a": _tensor([True], [0, 4])}), "says of 'a' cannot be"),
        (_tensors({"a": _tensor([4], [0, 16], "PICKLE")}), "says of 'a' cannot be"),
        (_tensors({"a": _tensor([4], [4, 20])}), "says of 'a' cannot be"),
        (_tensors({"a": _tensor([2], [0, 8]), "b": _tensor([2], [4, 12])}), "says of 'b' cannot be"),
        (_tensors({"a": _tensor([2], [0, 8])}), "more or fewer bytes"),
        (_tensors({"a\x1b": [1]}), r"says of 'a\\x1b' cannot be"),
        (_tensors(b'{"a": 1, "a": 2}'), "the key 'a' is there twice"),
        (_tensors(b"[" * 40 + b"]" * 40), "nested deeper than 32"),
    ],
    ids=_short,
)
def test_tensors_that_are_not_there_are_refused(content: bytes, sentence: str, signed: Signed, tmp_path: Path) -> None:
    """A header that lies about places, shapes, kinds or its own length is refused before anything is read by it."""
    folder = _forge(signed, tmp_path / "package", "weights.safetensors", content)
    with pytest.raises(UserError, match=sentence):
        load_package(folder)


def _parquet(table: pa.Table, file: Path) -> bytes:
    pq.write_table(table, file)
    return file.read_bytes()


@pytest.mark.parametrize("name", ["users.parquet", "sample.parquet"])
def test_another_table_is_refused(name: str, signed: Signed, tmp_path: Path) -> None:
    """A Parquet file with other columns, or other types, is not what its name promises, nor is a pickle."""
    for number, content in enumerate(
        (
            _parquet(pa.table({"id": pa.array([1.5])}), tmp_path / "floats.parquet"),
            _parquet(pa.table({"id": pa.array([b"\x80"], pa.binary())}), tmp_path / "bytes.parquet"),
            _parquet(pa.table({"score": pa.array([[1, 2]])}), tmp_path / "lists.parquet"),
            _parquet(pa.table({"id": pa.array(["a"] * 99).dictionary_encode()}), tmp_path / "codes.parquet"),
            signed.pickle,
            signed.files["model.onnx"],
        )
    ):
        folder = _forge(signed, tmp_path / str(number), name, content)
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            load_package(folder)
    assert not signed.marker.exists()


def test_ids_that_are_not_sorted_or_missing_are_refused(signed: Signed, tmp_path: Path) -> None:
    """A vocabulary in which two ids have one place, or an id is null, is refused."""
    for number, (ids, sentence) in enumerate(
        (([1, 3, 2], "not sorted"), ([1, 1], "not sorted"), ([1, None], "1 missing"))
    ):
        table = pa.table({"id": pa.array(ids, pa.int64())})
        folder = _forge(signed, tmp_path / str(number), "users.parquet", _parquet(table, tmp_path / "ids.parquet"))
        with pytest.raises(UserError, match=sentence):
            load_package(folder)


_FORGERIES = (
    ("schema.json", b"\xff\xfe{\x00}\x00", "cannot be read as JSON"),
    ("schema.json", b'{"columns": NaN}', "NaN is no number"),
    ("schema.json", b'{"columns": 1e999}', "too large"),
    ("schema.json", b'{"columns": ' + b"9" * 5000 + b"}", "cannot be read as JSON"),
    ("schema.json", b'{"columns": "\\ud800"}', "cannot be read as JSON"),
    ("schema.json", b'{"columns": [{"name": 3, "side": "user"}]}', "not a feature schema"),
    ("schema.json", b'{"columns": [{"name": "a", "side": "moon"}]}', "not a feature schema"),
    ("package.json", b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", "nested deeper than 32"),
    ("package.json", b'{"format": 2, "format": 2}', "'format' is there twice"),
    ("package.json", b'{"a": "' + b'\\"' * 2_000_000, "cannot be read as JSON"),
    ("package.json", b" " * (2**22 + 1), "allowed are 4,194,304"),
    ("package.json", b'{"format": true, "extra": {}}', "has the format True"),
    ("model_metadata.json", b"{}", "missing or unknown keys"),
    ("model_card.md", b"\x1b]0;title\x07", r"model_card\.md is not text"),
    ("requirements.txt", b"-r /etc/passwd\n", "is not 'name==version'"),
    ("requirements.txt", b"numpy==2 --index-url=http://x\n", "is not 'name==version'"),
    ("other.onnx", b"", "belongs to nothing that package.json declares"),
    ("model.pkl", b"", r"names the file 'model\.pkl', which no package holds"),
    ("signature.json", b"{}", "is not a signature"),
)


@pytest.mark.parametrize(("name", "content", "sentence"), _FORGERIES, ids=_short)
def test_other_forgeries_under_right_checksums(
    name: str, content: bytes, sentence: str, signed: Signed, tmp_path: Path
) -> None:
    """JSON with two meanings or without bounds, text that moves a terminal, files of nobody: one sentence each."""
    folder = _forge(signed, tmp_path / "package", name, content)
    with pytest.raises(UserError, match=sentence):
        load_package(folder)


@pytest.mark.parametrize(
    ("post", "sentence"),
    [
        ({"kind": "python", "code": "1"}, "has the step .*python.*allowed are: calibration"),
        ({"kind": "temperature", "value": 0}, "has the step"),
        ({"kind": "clip", "low": 0.5, "high": 0.4}, "has the step"),
        ({"kind": "calibration", "method": "platt", "rows": 1, "slope": -1, "offset": 0}, "calibration has the value"),
        ({"kind": "calibration", "method": "isotonic", "rows": 1, "scores": [0, 1], "rates": [1, 0]}, "both rising"),
        ("clip", "has the step 'clip'"),
    ],
)
def test_a_step_that_cannot_be_is_refused(post: Any, sentence: str, signed: Signed, tmp_path: Path) -> None:
    """Only declared steps are carried out, and only those that keep scores probabilities."""
    described = {**json.loads(signed.files["package.json"]), "post": [post]}
    folder = _forge(signed, tmp_path / "package", "package.json", json.dumps(described).encode())
    with pytest.raises(UserError, match=sentence):
        load_package(folder)


def test_a_package_that_is_full_of_files_is_not_read(signed: Signed, tmp_path: Path) -> None:
    """More names than any package has end the reading of the folder."""
    folder = signed.write(tmp_path / "package", signed.files)
    for number in range(100):
        (folder / f"{number}.json").touch()
    with pytest.raises(UserError, match="more than 64 files"):
        load_package(folder)


@pytest.mark.slow
def test_a_forged_package_fails_with_a_sentence_or_only_scores(signed: Signed, tmp_path: Path) -> None:
    """Without a key, an attacker who changes a byte and writes the checksums again gets a sentence or a model that
    computes something else: no other error, and nothing is executed."""
    loaded = 0
    for number in range(CORRUPTIONS):
        choose = random.Random(number)
        name = choose.choice(sorted(set(signed.files) - {"manifest.json", "signature.json"}))
        content = bytearray(signed.files[name])
        content[choose.randrange(len(content))] ^= choose.randrange(1, 256)
        folder = _forge(signed, tmp_path / str(number), name, bytes(content))
        try:
            load_package(folder).check_sample()
            loaded += 1
        except UserError:
            pass
    assert 0 < loaded < CORRUPTIONS
    assert not signed.marker.exists()


def test_the_keys_of_a_fixture_are_two(signed: Signed) -> None:
    """The attacker's key is another than ours: otherwise the tests above would prove nothing."""
    assert isinstance(signed.ours, SigningKey)
    assert signed.ours.public.id != signed.theirs.public.id
