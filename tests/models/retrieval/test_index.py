"""Exact and approximate search keep one contract, and a broken index file is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orita.core.errors import UserError
from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import write_arrays
from orita.models.retrieval.config import SearchSection
from orita.models.retrieval.exact import ExactIndex
from orita.models.retrieval.index import Floats, Index
from orita.models.retrieval.inverted_file import InvertedFile
from orita.models.retrieval.two_tower import build_index

_READ: dict[str, Callable[[Contents, str], Index]] = {
    "exact": ExactIndex.read,
    "approximate": InvertedFile.read,
    "approximate, all lists": InvertedFile.read,
}


def _opened(file: Path) -> tuple[Contents, str]:
    """Return a file as a package holds it: its bytes, and its name."""
    content = file.read_bytes()
    return Contents(file.parent, b"", None, {file.name: content}, {file.name: len(content)}), file.name


def _vectors(count: int = 3000, width: int = 16, clusters: int = 40, seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(clusters, width))
    return (centres[random.integers(0, clusters, count)] + 0.4 * random.normal(size=(count, width))).astype(np.float32)


def _index(name: str, vectors_IE: Floats) -> Index:
    if name == "exact":
        return ExactIndex(vectors_IE)
    probes = 10 if name == "approximate" else 10_000
    return InvertedFile.build(vectors_IE, SearchSection(probes=probes))


@pytest.mark.parametrize("name", sorted(_READ))
def test_every_search_keeps_the_contract(name: str, tmp_path: Path) -> None:
    """Scores are true inner products, fall, and belong to distinct rows; many equal one by one; files answer alike."""
    vectors_IE, queries_QE = _vectors(), _vectors(20, seed=5)
    index = _index(name, vectors_IE)
    rows_QK, scores_QK = index.search(queries_QE, 30)
    assert len(index) == len(vectors_IE)
    assert np.isfinite(scores_QK).all()
    assert np.all(np.diff(scores_QK, axis=1) <= 0)
    assert all(len(set(rows)) == 30 for rows in rows_QK.tolist())
    np.testing.assert_allclose(
        scores_QK, np.einsum("qe,qke->qk", queries_QE, vectors_IE[rows_QK]), rtol=1e-4, atol=1e-4
    )
    alone = np.concatenate([index.search(queries_QE[q : q + 1], 30)[1] for q in range(20)])
    np.testing.assert_allclose(alone, scores_QK, rtol=1e-4, atol=1e-4)
    index.write(tmp_path / "index.npz")
    again_QK, scores_again_QK = _READ[name](*_opened(tmp_path / "index.npz")).search(queries_QE, 30)
    assert np.array_equal(again_QK, rows_QK)
    assert np.array_equal(scores_again_QK, scores_QK)


@pytest.mark.parametrize("name", sorted(_READ))
def test_fewer_vectors_than_asked_for_and_none(name: str) -> None:
    """What is not there is −inf after all that is; an empty index finds nothing; no queries get no answers."""
    few = _index(name, _vectors(5))
    _, scores_QK = few.search(_vectors(3), 9)
    assert np.isfinite(scores_QK[:, :5]).all() or name == "approximate"
    assert np.all(scores_QK[:, 5:] == -np.inf)
    assert few.search(_vectors(0), 4)[0].shape == (0, 4)
    assert np.all(_index(name, _vectors(0)).search(_vectors(3), 4)[1] == -np.inf)


def test_the_approximate_search_finds_nearly_all_near_vectors() -> None:
    """On clustered vectors 10 of 110 lists hold more than 95 % of the 30 nearest; all lists hold all of them."""
    vectors_IE, queries_QE = _vectors(), _vectors(100, seed=5)
    truth_QK, _ = ExactIndex(vectors_IE).search(queries_QE, 30)
    for name, least in (("approximate", 0.95), ("approximate, all lists", 1.0)):
        rows_QK, _ = _index(name, vectors_IE).search(queries_QE, 30)
        shared = [len(set(a) & set(b)) / 30 for a, b in zip(rows_QK.tolist(), truth_QK.tolist(), strict=True)]
        assert np.mean(shared) >= least


def test_the_same_seed_builds_the_same_index() -> None:
    """Building is random only by the seed."""
    a, b = (_index("approximate", _vectors()).search(_vectors(9, seed=3), 9)[0] for _ in range(2))
    assert np.array_equal(a, b)


@pytest.mark.parametrize("name", sorted(_READ))
def test_wrong_queries_are_refused(name: str) -> None:
    """Queries of another width, or none asked for, are one sentence each."""
    index = _index(name, _vectors())
    with pytest.raises(UserError, match="rows of 16 numbers"):
        index.search(_vectors(2, width=8), 5)
    with pytest.raises(UserError, match="k has the value 0"):
        index.search(_vectors(2), 0)


def test_auto_is_exact_until_there_are_many_vectors() -> None:
    """``auto`` looks at all vectors as long as that is quick; each method can be asked for."""
    assert isinstance(build_index(_vectors(500), SearchSection(), 0), ExactIndex)
    assert isinstance(build_index(_vectors(100_001, width=2), SearchSection(lists=20), 0), InvertedFile)
    assert isinstance(build_index(_vectors(500), SearchSection(method="approximate"), 0), InvertedFile)


@pytest.mark.parametrize("name", ["exact", "approximate"])
def test_a_damaged_index_file_is_refused(name: str, tmp_path: Path) -> None:
    """Every cut and every flipped byte of the file is refused, or changes nothing; none executes or crashes."""
    index, file = _index(name, _vectors(200, width=4)), tmp_path / "index.npz"
    queries_QE = _vectors(5, width=4, seed=2)
    index.write(file)
    whole, random, refused = file.read_bytes(), np.random.default_rng(0), 0
    for _ in range(60):
        at = int(random.integers(len(whole)))
        cut = random.random() < 0.3
        file.write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            rows_QK, _ = _READ[name](*_opened(file)).search(queries_QE, 5)
            assert not cut
            assert rows_QK.max() < 200
        except UserError:
            refused += 1
    assert refused > 30


def test_a_file_whose_parts_disagree_and_one_with_objects_are_refused(tmp_path: Path) -> None:
    """Lists that do not cover the vectors, vectors that are not finite, and a pickle inside are refused."""
    index = _index("approximate", _vectors(200, width=4))
    index.write(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as content:
        parts = dict(content)
    file = tmp_path / "bad.npz"
    for name, wrong in (
        ("starts", parts["starts"] + 1),
        ("rows", np.zeros_like(parts["rows"])),
        ("centres", parts["centres"][:, :2]),
        ("probes", np.array([0])),
        ("vectors", parts["vectors"] * np.float32(np.nan)),
        ("vectors", parts["vectors"].astype(np.int64)),
    ):
        write_arrays(file, **{**parts, name: wrong})
        with pytest.raises(UserError, match=r"bad\.npz"):
            InvertedFile.read(*_opened(file))
    np.savez(file, **{**parts, "vectors": np.array([print, None], object)})
    with pytest.raises(UserError, match="cannot be read as arrays"):
        InvertedFile.read(*_opened(file))
