"""What a model makes of items alone is made once, and never used where an item is another one by now."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.models.clicks import MODEL, SCHEMA, TRAINING, clicks
from tests.models.outcomes import headed_package
from tests.models.packaged import CARD, fitted

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.features.schema import FeatureSchema, Side
from orita.models.build import build_ranker
from orita.models.examples import Examples, Ids
from orita.models.layers import Folded, Inputs
from orita.models.package import Package, load_package, write_package
from orita.models.package import item_vectors as module
from orita.models.package.item_vectors import ItemVectors
from orita.models.ranker import FitContext

ITEM_CTR, TOPIC, PAIRS = (SCHEMA.index(name) for name in ("item_ctr", "topic", "pair_count"))
Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Examples]:
    """Return a package of two towers, and rows that it did not learn from."""
    ranker, rows = fitted()
    folder = tmp_path_factory.mktemp("packages") / "v1.2.3"
    write_package(folder, ranker, CARD, SCHEMA, rows)
    return folder, rows


@pytest.fixture
def package(written: tuple[Path, Examples]) -> Package:
    """Return the package, with nothing kept yet."""
    return load_package(written[0])


@pytest.fixture
def asked(written: tuple[Path, Examples]) -> Examples:
    """Return rows of as many different items."""
    rows = written[1]
    _, first = np.unique(rows.items_N, return_index=True)
    return rows.take(np.sort(first))


def whole(package: Package, user: int, items_N: Ids, x_NF: Floats) -> Floats:
    """Return the scores of the graph as one."""
    return package.score(np.full(len(x_NF), user), items_N, x_NF)


def of_one_user(x_NF: Floats) -> Floats:
    """Return rows whose features of user and context are those of the first."""
    x_NF = x_NF.copy()
    its = SCHEMA.of_side("user", "context")
    x_NF[:, its] = x_NF[0, its]
    return x_NF


def check(package: Package, user: int, items_N: Ids, x_NF: Floats) -> None:
    """Compare the scores of a request, all of one user in one context, with those of the graph as one."""
    x_NF = of_one_user(x_NF)
    np.testing.assert_allclose(package.score_user(user, items_N, x_NF), whole(package, user, items_N, x_NF), atol=1e-6)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Return how many vectors were made at a time, as they are."""
    counts: list[int] = []
    make = ItemVectors._make

    def counted(self: ItemVectors, row_M: npt.NDArray[np.int64], number_MI: npt.NDArray[np.uint32]) -> Floats:
        if hasattr(self, "_kept"):  # before that, one is made to learn how long they are
            counts.append(len(row_M))
        return make(self, row_M, number_MI)

    monkeypatch.setattr(ItemVectors, "_make", counted)
    yield counts


def test_a_vector_is_made_once(package: Package, asked: Examples, made: list[int]) -> None:
    """Other users, other pairs and a hardly other item need none; an item that changed needs one."""
    items_N, x_NF = asked.items_N, asked.x_NF
    for user in (7, 8, 10_000):
        x_NF[:, PAIRS] += 1
        check(package, user, items_N, x_NF)
    assert made == [len(items_N)]
    nudged = x_NF.copy()
    nudged[:, ITEM_CTR] *= np.float32(1.00001)
    check(package, 7, items_N, nudged)
    few = sum(made[1:])
    assert few < len(items_N) / 4  # those that were next to a border
    changed = nudged.copy()
    changed[3, ITEM_CTR], changed[5, TOPIC] = 0.9, np.nan
    check(package, 7, items_N, changed)
    assert sum(made[1:]) == few + 2
    check(package, 7, items_N[::-1].copy(), changed[::-1].copy())
    assert sum(made[1:]) == few + 2


def test_items_that_the_model_does_not_know_are_kept_too(
    package: Package, asked: Examples, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them has a place of its own, as it has features of its own; where there are too many, they begin anew."""
    count = len(asked.items_N)
    strange_N = np.arange(1, 3 * count, 3)
    assert not package.known(np.full(count, 7), strange_N)["items"].any()
    monkeypatch.setattr(module, "_UNKNOWN", count + 5)
    for _ in range(2):
        check(package, 7, strange_N, asked.x_NF)
    assert made == [count]
    check(package, 7, strange_N + 1, asked.x_NF)
    check(package, 7, strange_N, asked.x_NF)
    assert made == [count] * 3
    monkeypatch.setattr(module, "_UNKNOWN", 3)
    for _ in range(2):
        check(package, 7, strange_N + 3 * count, asked.x_NF)
    assert made == [count] * 5


def test_an_id_of_any_kind_has_its_place(package: Package, asked: Examples, made: list[int]) -> None:
    """Unknown ids are found again whether they are small numbers, large or negative ones, or texts."""
    beyond = [1, 0, -5, 4_194_303, 4_194_304, 2**62, -(2**63), 2**63 - 1, "new", "1x"]
    for ids in (beyond[:8], beyond, [2**80, "new", 1, -5]):
        given: Any = ids
        x_NF = asked.x_NF[: len(ids)]
        first = package.score_user(7, given, of_one_user(x_NF))
        before = len(made)
        np.testing.assert_array_equal(package.score_user(7, given, of_one_user(x_NF)), first)
        assert len(made) == before


def test_an_item_twice_in_a_request_has_the_features_of_each_row(package: Package, asked: Examples) -> None:
    """Two rows of one item may differ; each is scored by its own."""
    items_N = np.full(4, asked.items_N[0], np.int64)
    x_NF = np.repeat(asked.x_NF[:1], 4, axis=0)
    x_NF[:, ITEM_CTR] = [0.1, 0.9, 0.1, np.nan]
    for _ in range(3):
        check(package, 7, items_N, x_NF)
    assert len(set(package.score_user(7, items_N, x_NF).tolist())) == 3


def test_without_room_each_request_makes_its_own(
    package: Package, asked: Examples, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of very many items is served all the same."""
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    for _ in range(2):
        check(package, 7, asked.items_N, asked.x_NF)
    assert made == [len(asked.items_N)] * 2


def test_threads_share_what_is_kept(package: Package, asked: Examples) -> None:
    """Requests of several threads, with items that change all the time, are answered as if each were alone."""
    wrong: list[str] = []

    def ask(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(60):
            chosen = random.permutation(len(asked.items_N))[:20]
            x_NF = of_one_user(asked.x_NF[chosen])
            x_NF[:, ITEM_CTR] = random.choice(np.array([0.1, 0.4, 0.8], np.float32), 20)
            scores_N = package.score_user(7, asked.items_N[chosen], x_NF)
            if not np.allclose(scores_N, whole(package, 7, asked.items_N[chosen], x_NF), atol=1e-6):
                wrong.append(f"{seed}")

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_several_heads(tmp_path: Path) -> None:
    """A model of several outcomes makes one vector of an item for all of them."""
    package, _, rows = headed_package(tmp_path / "v1", click=1.0, like=2.0)
    for _ in range(2):
        check(package, 7, rows.items_N[:50], rows.x_NF[:50])


@pytest.mark.parametrize("type_", ["two_tower", "deep_mlp", "dcn_v2", "linear"])
def test_categories_of_many_values(type_: str, tmp_path: Path) -> None:
    """A category with more values than are compared one by one is looked up, of every side; unknown values too."""
    names = ("topic", "device")
    columns = tuple(replace(c, cardinality=200) if c.name in names else c for c in SCHEMA.columns)
    rows = clicks(800)
    x_NF = rows.x_NF.copy()
    for name in names:
        x_NF[:, SCHEMA.index(name)] = np.random.default_rng(1).integers(-1, 201, len(rows))
    rows = replace(rows, schema=FeatureSchema(columns), x_NF=x_NF)
    ranker = build_ranker(type_, MODEL, TRAINING.model_copy(update={"epochs": 1}))
    ranker.fit(rows.take(slice(0, 500)), rows.take(slice(500, 700)), FitContext(SILENT))
    package = write_package(tmp_path / "v1", ranker, CARD, rows.schema, rows)
    np.testing.assert_allclose(package.score(rows.users_N, rows.items_N, x_NF), ranker.score(rows), atol=1e-5)
    check(package, 7, rows.items_N[:50], x_NF[:50])


def test_a_half_that_needs_more_than_the_item_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that calls something a vector of the item which is none fails by the package's own sample."""
    fold = Inputs.fold

    def of_pairs_too(self: Inputs, weight_OI: Floats, sides: Sequence[Side]) -> Folded:
        return fold(self, weight_OI, {"item": ("item", "pair"), "pair": ()}.get(sides[0], sides))  # type: ignore[arg-type]

    ranker, rows = fitted()
    monkeypatch.setattr(Inputs, "fold", of_pairs_too)
    with pytest.raises(UserError, match="scores its own sample"):
        write_package(tmp_path / "v1", ranker, CARD, SCHEMA, rows)
    monkeypatch.setattr(ItemVectors, "of", None)  # what fails is the way of requests alone
    monkeypatch.setattr(Package, "_outputs_as_asked", lambda self, rows: self._sample.outputs)
    write_package(tmp_path / "v1", ranker, CARD, SCHEMA, rows)
