"""Features are prepared alike in arrays and in the graph, and nothing that arrives can break a network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.compose import Composer
from orita.models.graph import open_graph, run_graph
from orita.models.preparation import Preparation

SCHEMA = FeatureSchema(
    (
        FeatureColumn("rate", "user"),
        FeatureColumn("topic", "item", "category", 4),
        FeatureColumn("count", "item", "count"),
        FeatureColumn("flag", "context", "flag"),
    )
)
TRAIN = np.array([[0.1, 0, 0, 0], [0.5, 3, 10, 1], [np.nan, 2, 1000, 1], [0.9, np.nan, np.nan, 0]], np.float32)
FITTED = Preparation.fit(SCHEMA, TRAIN)
ROUNDED = Preparation.fit(SCHEMA, TRAIN, ["item"])


def test_training_rows_are_standardised_and_flagged() -> None:
    """Known values have mean 0 and deviation 1, a missing one is 0 with its flag, and only seen gaps have flags."""
    prepared = FITTED.apply(TRAIN)
    assert FITTED.sides == ("user", "item", "context", "user", "item")
    np.testing.assert_allclose(prepared.dense_ND[[0, 1, 3], 0].mean(), 0, atol=1e-6)
    np.testing.assert_allclose(prepared.dense_ND[[0, 1, 3], 0].std(), 1, atol=1e-5)
    logged = np.log1p([0, 10, 1000])
    np.testing.assert_allclose(prepared.dense_ND[:3, 1], (logged - logged.mean()) / logged.std(), atol=1e-5)
    assert prepared.dense_ND[2, 0] == prepared.dense_ND[3, 1] == 0
    assert prepared.dense_ND[:, 3].tolist() == [0, 0, 1, 0]
    assert prepared.dense_ND[:, 4].tolist() == [0, 0, 0, 1]
    assert prepared.categories_NC[:, 0].tolist() == [1, 4, 3, 0]


FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@pytest.fixture(scope="module", params=[FITTED, ROUNDED], ids=["exactly", "rounded"])
def preparation(request: pytest.FixtureRequest) -> Preparation:
    """Return a preparation that rounds nothing, and one that rounds what belongs to items."""
    fitted: Preparation = request.param
    return fitted


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory, preparation: Preparation) -> list[object]:
    """Return sessions of the graph for each dense input and for the category."""
    sessions: list[object] = []
    for column in range(6):
        graph, folder = Composer(), tmp_path_factory.mktemp("graph")
        prepared = preparation.compose(graph, graph.features(4))
        if column < 5:
            value = graph.column(prepared.select(np.array([column], np.int64)))
        else:
            value = graph.add("Cast", prepared.category(0), to="float32")
        graph.write(folder / "model.onnx", value)
        sessions.append(open_graph(folder / "model.onnx"))
    return sessions


@given(x_NF=arrays.arrays(np.float32, (5, 4), elements=FLOATS))
def test_the_graph_prepares_as_the_arrays_do(
    preparation: Preparation, graphs: list[object], x_NF: npt.NDArray[np.float32]
) -> None:
    """Any float32 at all, NaN and infinities too, becomes the same finite inputs in both."""
    prepared = preparation.apply(x_NF)
    assert np.isfinite(prepared.dense_ND).all()
    assert prepared.categories_NC.min() >= 0
    assert prepared.categories_NC.max() <= 4
    for column, session in enumerate(graphs):
        found_N = run_graph(session, {"features": x_NF})
        expected_N = prepared.dense_ND[:, column] if column < 5 else prepared.categories_NC[:, 0]
        np.testing.assert_allclose(found_N, expected_N, atol=2e-6)


def test_numbers_of_a_side_are_rounded() -> None:
    """A count of an item is read to eight bits, as another one is; a category, and what is the user's, exactly."""
    x_NF = np.array([[0.123456, 3, 1000, 1], [0.123457, 3, 1001, 1]], np.float32)
    coarse = ROUNDED.apply(x_NF)
    assert coarse.dense_ND[0, 1] == coarse.dense_ND[1, 1]
    assert coarse.dense_ND[0, 0] != coarse.dense_ND[1, 0]
    assert coarse.categories_NC.tolist() == [[4], [4]]
    exact = FITTED.apply(x_NF)
    assert exact.dense_ND[0, 1] != exact.dense_ND[1, 1]


def test_a_feature_without_a_single_value_is_harmless() -> None:
    """A column that is all missing, or all the same, in training gives finite inputs."""
    empty = np.full((3, 4), np.nan, np.float32)
    assert np.isfinite(Preparation.fit(SCHEMA, empty).apply(TRAIN).dense_ND).all()
    same = np.ones((3, 4), np.float32)
    assert np.isfinite(Preparation.fit(SCHEMA, same).apply(TRAIN).dense_ND).all()
