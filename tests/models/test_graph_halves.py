"""Graphs in two halves, and the rounding that both see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.packaged import fitted

from orita.models.compose import Composer
from orita.models.graph import ITEM_VECTORS, MODEL_FILE, ROUNDED_FEATURES, open_graph
from orita.models.graph_form import check_graph
from orita.models.graph_halves import halves
from orita.models.rounding import rounded


def test_both_halves_give_what_the_whole_gives(tmp_path: Path) -> None:
    """Each half is a graph that may be served; what the first gives the second takes."""
    ranker, rows = fitted()
    ranker.export(tmp_path)
    content = (tmp_path / MODEL_FILE).read_bytes()
    both = halves(content)
    assert both is not None
    for half in (both.items, both.rest):
        check_graph(half, "a half")
    whole, items, rest = (open_graph(tmp_path, graph) for graph in (content, both.items, both.rest))
    x_NF = rows.x_NF[:50]
    numbers_F = np.array([column.side == "item" and column.kind != "category" for column in rows.schema.columns])
    users_N, items_N = np.arange(50) % 9, np.arange(50) % 7
    coarse_NF = rounded(x_NF, numbers_F)
    (vector_NP,) = items.run([ITEM_VECTORS], {ROUNDED_FEATURES: coarse_NF, "items": items_N})
    feeds = {ROUNDED_FEATURES: coarse_NF, "users": users_N, ITEM_VECTORS: vector_NP}
    (scores_N,) = rest.run(["scores"], feeds)
    (expected_N,) = whole.run(["scores"], {"features": x_NF, "users": users_N, "items": items_N})
    np.testing.assert_allclose(scores_N, expected_N, atol=1e-6)
    assert {given.name for given in items.get_inputs()} == {ROUNDED_FEATURES, "items"}
    assert {given.name for given in rest.get_inputs()} == {*feeds}
    assert len(both.items) + len(both.rest) < 1.2 * len(content)  # the constants of each half alone


@pytest.mark.parametrize("type_", ["deep_mlp", "lightgbm", "popularity"])
def test_other_graphs_stay_whole(type_: str, tmp_path: Path) -> None:
    """A graph that makes nothing of an item alone has no halves."""
    ranker, _ = fitted(type_)
    ranker.export(tmp_path)
    assert halves((tmp_path / MODEL_FILE).read_bytes()) is None


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a session that casts its features to bfloat16 and back."""
    file = tmp_path_factory.mktemp("cast") / MODEL_FILE
    graph = Composer()
    coarse = graph.add("Cast", graph.add("Cast", graph.features(1), to="bfloat16"), to="float32")
    graph.write(file, graph.column(coarse))
    return open_graph(file)


@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
def test_rounding_is_that_of_the_standard(cast: Any, bits: list[int]) -> None:
    """Numbers of every kind are rounded as ONNX's cast to bfloat16 rounds them: ties, the smallest and largest, too."""
    x_N1 = np.array(bits + [b & 0xFFFF0000 | 0x8000 for b in bits], np.uint32).view(np.float32)[:, None]
    x_N1[np.isnan(x_N1)] = np.nan
    (expected_N,) = cast.run(["scores"], {"features": x_N1})
    np.testing.assert_array_equal(rounded(x_N1, np.array([True]))[:, 0], expected_N)
    np.testing.assert_array_equal(rounded(x_N1, np.array([False])), x_N1)
