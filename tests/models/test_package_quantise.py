"""Int8 weights make a package smaller, and what that costs is measured, bounded and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models.clicks import SCHEMA, clicks
from tests.models.packaged import CARD, fitted, package_of

from orita.core.errors import UserError
from orita.models.examples import Examples
from orita.models.package import Package, load_package, write_package
from orita.models.package.quantise import quantise

LARGE = {"user_tower_dims": (64,), "item_tower_dims": (64,), "hidden_dims": (64, 32), "id_embedding_dim": 32}


@pytest.fixture(scope="module", params=["two_tower", "deep_mlp", "dcn_v2"])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Examples]:
    """Return a package with layers and tables worth quantising, and rows."""
    ranker, rows = fitted(request.param, **LARGE)
    return package_of(tmp_path_factory.mktemp("package") / "float", ranker, rows), rows


def test_int8_is_smaller_and_scores_nearly_the_same(package: tuple[Package, Examples], tmp_path: Path) -> None:
    """The graph halves at least, scores stay near, the sample is the new one's, and the card tells the loss."""
    before, rows = package
    after = quantise(before.folder, tmp_path / "int8", rows, max_auc_loss=0.01)
    after.check_sample()
    told = after.description.card["quantisation"]
    old_N, new_N = (p.score(rows.users_N, rows.items_N, rows.x_NF) for p in (before, after))
    assert told["bytes_after"] < told["bytes_before"] / 2
    assert told["bytes_after"] == (after.folder / "model.onnx").stat().st_size
    assert 0 < told["largest_difference"] == pytest.approx(float(np.max(np.abs(new_N - old_N))))
    assert told["largest_difference"] < 0.05
    assert after.description.post == before.description.post
    card = (after.folder / "model_card.md").read_text()
    assert f"| auc loss | {told['auc_loss']:.4g} |" in card
    assert not (after.folder / "weights.safetensors").exists()
    load_package(before.folder).check_sample()


def test_a_score_does_not_depend_on_the_rows_beside_it(package: tuple[Package, Examples], tmp_path: Path) -> None:
    """With int8 weights as without them, a row alone scores as it does among others."""
    before, rows = package
    after = quantise(before.folder, tmp_path / "int8", rows, max_auc_loss=0.01)
    alone = [
        after.score(one.users_N, one.items_N, one.x_NF)[0] for i in range(10) for one in [rows.take(slice(i, i + 1))]
    ]
    together_N = after.score(rows.users_N, rows.items_N, rows.x_NF)[:10]
    np.testing.assert_allclose(together_N, np.array(alone), atol=1e-5)


def test_a_loss_over_the_bound_is_refused(package: tuple[Package, Examples], tmp_path: Path) -> None:
    """A bound that the measured loss is over leaves nothing behind and is told with both figures."""
    before, rows = package
    backwards = replace(rows, y_N=_labels_against(before, rows, tmp_path))
    with pytest.raises(UserError, match=r"int8 weights cost 0\.\d+ of AUC on 400 rows, max_auc_loss allows 0:"):
        quantise(before.folder, tmp_path / "int8", backwards, max_auc_loss=0.0)
    assert not (tmp_path / "int8").exists()


def _labels_against(before: Package, rows: Examples, folder: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return labels by which the float package is perfect, and the int8 one is not."""
    after = quantise(before.folder, folder / "any", rows, max_auc_loss=1.0)
    old_N, new_N = (p.score(rows.users_N, rows.items_N, rows.x_NF) for p in (before, after))
    order = np.argsort(old_N, kind="stable")
    for cut in range(1, len(rows)):
        labels_N = np.zeros(len(rows), np.float32)
        labels_N[order[cut:]] = 1
        if new_N[labels_N == 0].max() > new_N[labels_N == 1].min() and old_N[order[cut - 1]] < old_N[order[cut]]:
            return labels_N
    raise AssertionError("int8 keeps the order of all rows, so no labels tell the two apart")


def test_trees_have_no_weights_to_quantise(tmp_path: Path) -> None:
    """A model without layers or tables says so, and rows of one label measure nothing."""
    ranker, rows = fitted("popularity")
    package = write_package(tmp_path / "float", ranker, CARD, SCHEMA, rows)
    with pytest.raises(UserError, match="has no weights of 1,024 values or more"):
        quantise(package.folder, tmp_path / "int8", rows)
    with pytest.raises(UserError, match="rows of one label"):
        quantise(package.folder, tmp_path / "int8", clicks(10).take(slice(0, 0)))
