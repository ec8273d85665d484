"""Packages of every kind are safe: touched ones do not load, none executes; what only rankers have is tested beside."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.corruption import ATTACKS, Signed
from tests.models.packaged import CARD, fitted, package_of
from tests.models.retrieval.tastes import interactions
from tests.models.tasks.tasks_world import CONTEXT, section_of, table, texts

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.kinds import verify_any
from orita.models.package import Trust, load_package
from orita.models.package.manifest import read_contents, write_manifest
from orita.models.ranker import FitContext
from orita.models.retrieval.build import build_retriever
from orita.models.retrieval.config import EaseSection, RetrieverSection, TwoTowerRetrievalSection
from orita.models.retrieval.package import load_retriever, write_retriever
from orita.models.tasks.build import build_table_predictor, build_text_predictor
from orita.models.tasks.load import load_predictor
from orita.models.tasks.write import write_predictor

Load = Callable[..., Any]
_QUICK, _MANY = 200, 1000


def _table(folder: Path) -> Path:
    pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
    predictor, rows = build_table_predictor(section_of("multiclass", "linear")), table("multiclass", 100)
    predictor.fit(rows, rows, CONTEXT)
    return write_predictor(folder, predictor, CARD, rows).folder


def _text(folder: Path) -> Path:
    pytest.importorskip("sklearn", reason="scikit-learn, which trains text models, is not installed")
    predictor, rows = build_text_predictor(section_of("text")), texts(60)
    predictor.fit(rows, rows, CONTEXT)
    return write_predictor(folder, predictor, CARD, rows).folder


def _retriever(folder: Path) -> Path:
    retriever, rows = build_retriever(RetrieverSection(ease=EaseSection(l2=20.0))), interactions(300)
    retriever.fit(rows, FitContext(SILENT))
    return write_retriever(folder, retriever, CARD, rows.users_N).folder


def _towers(folder: Path) -> Path:
    pytest.importorskip("torch", reason="PyTorch, which trains towers, is not installed")
    section = TwoTowerRetrievalSection(embedding_dim=4, hidden_dim=4, epochs=1, batch_size=64)
    retriever, rows = build_retriever(RetrieverSection(type="two_tower", two_tower=section)), interactions(300)
    retriever.fit(rows, FitContext(SILENT))
    return write_retriever(folder, retriever, CARD, rows.users_N).folder


def _ranker(folder: Path) -> Path:
    return package_of(folder, *fitted("popularity")).folder


_KINDS: dict[str, tuple[Callable[[Path], Path], Load]] = {
    "table": (_table, load_predictor),
    "text": (_text, load_predictor),
    "ease": (_retriever, load_retriever),
    "two_tower": (_towers, load_retriever),
}
_EVERY = {**_KINDS, "ranker": (_ranker, load_package)}


@pytest.fixture(scope="module")
def signed_package(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Signed, Load]]:
    """Return what gives a signed package of a kind, made once, and what loads it."""

    @cache
    def made(name: str) -> tuple[Signed, Load]:
        write, load = _EVERY[name]
        folder = tmp_path_factory.mktemp(name)
        return Signed(folder, write(folder / "whole")), load

    return made


@pytest.fixture(params=sorted(_KINDS))
def kind(request: pytest.FixtureRequest, signed_package: Callable[[str], tuple[Signed, Load]]) -> tuple[Signed, Load]:
    """Return a signed package of a predictor or a retriever, and what loads it."""
    return signed_package(request.param)


@pytest.fixture(params=sorted(_EVERY))
def every_kind(
    request: pytest.FixtureRequest, signed_package: Callable[[str], tuple[Signed, Load]]
) -> tuple[Signed, Load]:
    """Return a signed package, also of a ranker, and what loads it."""
    return signed_package(request.param)


@pytest.mark.parametrize("count", [_QUICK, pytest.param(_MANY, marks=pytest.mark.slow)])
def test_corrupted_packages_do_not_load_and_do_not_execute(
    kind: tuple[Signed, Load], count: int, tmp_path: Path
) -> None:
    """Flipped bytes, swapped, cut, added, missing files, links, devices, path tricks, forged checksums, wrong
    signatures: each package is refused with a sentence, and no pickle in it is read."""
    signed, load = kind
    assert load(signed.folder, trust=signed.trust).signer == signed.ours.public
    for number in range(count):
        choose = random.Random(number)
        attack = ATTACKS[number % len(ATTACKS)]
        attack(signed, folder := tmp_path / str(number), choose)
        with pytest.raises(UserError) as refused:
            pytest.fail(f"{number} ({attack.__name__}) loads: {load(folder, trust=signed.trust)}")
        assert str(refused.value).isprintable(), number
    assert not signed.marker.exists()


def test_one_changed_byte_is_refused_without_any_key(every_kind: tuple[Signed, Load], tmp_path: Path) -> None:
    """Checksums alone find a changed byte in every file but the signature, also in the manifest itself."""
    signed, load = every_kind
    plain = {name: content for name, content in signed.files.items() if name != "signature.json"}
    folder, choose = signed.write(tmp_path / "package", plain), random.Random(0)
    load(folder)
    places = [("manifest.json", at) for at in range(0, len(plain["manifest.json"]), 7)]
    places += [(name, choose.randrange(len(content))) for name, content in plain.items() for _ in range(5)]
    for name, at in places:
        changed = bytearray(plain[name])
        changed[at] ^= choose.randrange(1, 256)
        (folder / name).write_bytes(changed)
        with pytest.raises(UserError):
            pytest.fail(f"{name} with byte {at} changed loads: {load(folder)}")
        (folder / name).write_bytes(plain[name])
    load(folder)


@pytest.mark.parametrize("count", [_QUICK, pytest.param(_MANY, marks=pytest.mark.slow)])
def test_a_forged_package_fails_with_a_sentence_or_only_answers(
    kind: tuple[Signed, Load], count: int, tmp_path: Path
) -> None:
    """Without a key, an attacker who changes a byte, or brings a pickle, and writes the checksums again gets a sentence
    or a model that answers something else: no other error, and nothing is executed."""
    signed, load = kind
    plain = {name: content for name, content in signed.files.items() if name != "signature.json"}
    for number in range(count):
        choose = random.Random(number)
        name = choose.choice(sorted(set(plain) - {"manifest.json"}))
        content = bytearray(plain[name])
        content[choose.randrange(len(content))] ^= choose.randrange(1, 256)
        forged = signed.pickle if choose.random() < 0.1 else bytes(content)
        folder = signed.write(tmp_path / str(number), {**plain, name: forged})
        write_manifest(folder)
        try:
            load(folder)
        except UserError as refused:
            assert str(refused).isprintable(), number
    assert not signed.marker.exists()
    pickle.loads(signed.pickle)  # it would have been noticed
    assert signed.marker.exists()
    signed.marker.rmdir()


def test_what_nothing_declares_is_refused(kind: tuple[Signed, Load], tmp_path: Path) -> None:
    """A file of an allowed ending that no declaration names, a card that is none, requirements that are options."""
    signed, load = kind
    plain = {name: content for name, content in signed.files.items() if name != "signature.json"}
    for number, (name, content, sentence) in enumerate(
        (
            ("other.onnx", b"", "belongs to nothing that the package declares"),
            ("notes.json", b"{}", "belongs to nothing that the package declares"),
            ("model_card.md", b"\x1b]0;title\x07", r"model_card\.md is not text"),
            ("requirements.txt", b"-r /etc/passwd\n", "is not 'name==version'"),
            ("model_metadata.json", b"{}", "missing or unknown keys"),
            ("model_metadata.json", b'{"a": 1, "a": 2}', "'a' is there twice"),
            ("sample.parquet", b"PAR1", r"sample\.parquet is not a Parquet file"),
            ("signature.json", b"{}", "is not a signature"),
        )
    ):
        folder = signed.write(tmp_path / str(number), {**plain, name: content})
        write_manifest(folder)
        with pytest.raises(UserError, match=sentence):
            load(folder)


def test_a_signature_can_be_required(kind: tuple[Signed, Load], tmp_path: Path) -> None:
    """Who trusts certain keys loads neither what nobody signed nor what a stranger signed; the checks say the same."""
    signed, load = kind
    plain = {name: content for name, content in signed.files.items() if name != "signature.json"}
    folder = signed.write(tmp_path / "package", plain)
    with pytest.raises(UserError, match="is not signed"):
        load(folder, trust=signed.trust)
    with pytest.raises(UserError, match="unknown key"):
        load(signed.folder, trust=Trust.of([signed.theirs.public]))
    assert [check.outcome for check in verify_any(signed.folder, signed.trust)] == ["right"] * 5
    found = {check.name: check for check in verify_any(folder, signed.trust)}
    assert found["signature"].outcome == "wrong"
    assert found["form"].outcome == "not reached"


def test_a_file_that_changes_while_it_is_loaded_is_what_was_hashed(
    every_kind: tuple[Signed, Load], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is parsed are the bytes that were hashed: a file changed after its checksum has no effect."""
    signed, load = every_kind
    folder = signed.write(tmp_path / "package", signed.files)

    def and_then_change(package: Path) -> Any:
        contents = read_contents(package)
        for name in signed.files:
            (package / name).write_bytes(signed.pickle)
        return contents

    for module in ("envelope", "load"):
        monkeypatch.setattr(f"orita.models.package.{module}.read_contents", and_then_change)
    loaded = load(folder, trust=signed.trust)
    loaded.check_sample()
    assert not signed.marker.exists()


def test_a_sample_without_rows_is_refused(kind: tuple[Signed, Load], tmp_path: Path) -> None:
    """A package proves itself by the answers to its sample: no rows prove nothing."""
    import pyarrow.parquet as pq

    signed, load = kind
    plain = {name: content for name, content in signed.files.items() if name != "signature.json"}
    folder = signed.write(tmp_path / "package", plain)
    pq.write_table(pq.read_table(folder / "sample.parquet").slice(0, 0), folder / "sample.parquet")
    write_manifest(folder)
    with pytest.raises(UserError, match=r"sample\.parquet has 0 rows"):
        load(folder)


def test_answers_of_a_package_that_was_written_for_other_rows_are_refused(
    kind: tuple[Signed, Load], tmp_path: Path
) -> None:
    """A sample whose answers are not the model's is found by the load itself, not only by a check that is asked for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    signed, load = kind
    plain = {name: content for name, content in signed.files.items() if name != "signature.json"}
    folder = signed.write(tmp_path / "package", plain)
    kept = pq.read_table(folder / "sample.parquet")
    at = next(i for i, name in enumerate(kept.column_names) if name in ("answer_0", "score"))
    changed = pa.array(np.asarray(kept.column(at).to_numpy()) * np.float32(0.9), pa.float32())
    pq.write_table(kept.set_column(at, kept.column_names[at], changed), folder / "sample.parquet")
    write_manifest(folder)
    with pytest.raises(UserError, match="its own sample"):
        load(folder)
    assert {check.name: check.outcome for check in verify_any(folder, Trust(required=False))}["sample"] == "wrong"
