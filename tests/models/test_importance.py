"""Importance is what a model loses when a feature is shuffled: nothing for one that it does not look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from orita.core.errors import NotFound, UserError
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.evaluation import importance as module
from orita.models.evaluation import permutation_importance
from orita.models.evaluation.importance import one_hot_groups
from orita.models.examples import Examples
from orita.stats.metrics import auc, log_loss

SCHEMA = FeatureSchema(
    (
        FeatureColumn("strong", "item"),
        FeatureColumn("weak", "item"),
        FeatureColumn("idle", "item"),
        FeatureColumn("device_mobile", "context", "flag"),
        FeatureColumn("device_tablet", "context", "flag"),
        FeatureColumn("is_new", "item", "flag"),
        FeatureColumn("is_free", "item", "flag"),
    )
)
TRUTH = np.array([1.0, 0.3, 0.0, 0.8, -0.8, 0.0, 0.0])


def score(rows: Examples) -> npt.NDArray[np.float32]:
    """Return the true probabilities."""
    logit_N = rows.x_NF @ TRUTH + 0.3 * (rows.items_N.astype(np.int64) % 3 - 1)
    return np.asarray(1 / (1 + np.exp(-logit_N)), np.float32)


def sample(seed: int, count: int = 2000, users: int = 200) -> Examples:
    """Return rows labelled by those probabilities."""
    random = np.random.default_rng(seed)
    device_N = random.integers(0, 3, count)
    flags = random.integers(0, 2, (count, 2))
    x_NF = np.column_stack([random.normal(size=(count, 3)), device_N == 1, device_N == 2, flags]).astype(np.float32)
    users_N, items_N = random.integers(0, users, count), random.integers(0, 50, count)
    rows = Examples(SCHEMA, users_N, items_N, x_NF, np.zeros(count, np.float32), np.arange(count))
    return replace(rows, y_N=(random.random(count) < score(rows)).astype(np.float32))


@pytest.mark.parametrize("metric", ["auc", "log_loss"])
@pytest.mark.parametrize("block", [2000, 200_000])
def test_it_is_the_mean_loss_over_shuffles(metric: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drop equals a plain loop over the same shuffles, however many of them are scored in one call."""
    monkeypatch.setattr(module, "_BLOCK_ROWS", block)
    rows, random = sample(0), np.random.default_rng(3)
    found = {i.name: i for i in permutation_importance(score, rows, metric=metric, repeats=3, seed=3)}  # type: ignore[arg-type]

    def loss(scores_N: npt.NDArray[np.float32]) -> float:
        return 1 - auc(rows.y_N, scores_N) if metric == "auc" else log_loss(rows.y_N, scores_N)

    for name in ("device", "strong", "weak", "idle", "is_new", "is_free", "user_id", "item_id"):
        places = [p for p, column in enumerate(SCHEMA.names) if column == name or column.startswith(f"{name}_")]
        drops = []
        for _ in range(3):
            order = random.permutation(len(rows))
            x_NF = rows.x_NF.copy()
            x_NF[:, places] = x_NF[order][:, places]
            items_N = rows.items_N[order] if name == "item_id" else rows.items_N
            drops.append(loss(score(replace(rows, x_NF=x_NF, items_N=items_N))) - loss(score(rows)))
        assert found[name].drop == pytest.approx(np.mean(drops), abs=1e-6)
        assert found[name].low <= found[name].drop <= found[name].high
    assert list(found)[:2] == ["strong", "device"]
    for name in ("idle", "is_new", "user_id"):
        assert (found[name].low, found[name].drop, found[name].high) == (0.0, 0.0, 0.0)


def test_one_hot_flags_go_together() -> None:
    """Flags of one word of which no row has two are one feature; flags that occur together are not."""
    assert one_hot_groups(sample(0)) == {"device": ["device_mobile", "device_tablet"]}
    found = permutation_importance(score, sample(0), groups={"both": ["strong", "weak"]}, ids=False, repeats=2)
    assert {i.name for i in found} == {"both", *SCHEMA.names[2:]}
    assert found[0].columns == ("strong", "weak")


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of 40 intervals of 90 % about 36 hold the importance that very many rows show."""
    truth = {i.name: i.drop for i in permutation_importance(score, sample(99, 60_000), at_most=60_000, repeats=2)}
    held = 0
    for seed in range(40):
        found = permutation_importance(score, sample(seed, 600), repeats=3, confidence=0.9, seed=seed)
        held += next(i.low <= truth["weak"] <= i.high for i in found if i.name == "weak")
    assert 30 <= held <= 40


def test_of_many_rows_some_are_drawn() -> None:
    """No more than *at_most* rows are scored at a time for each shuffle, the same ones for the same seed."""
    sizes = []

    def counted(rows: Examples) -> npt.NDArray[np.float32]:
        sizes.append(len(rows))
        return score(rows)

    first, again = (permutation_importance(counted, sample(0), at_most=500, repeats=2, seed=1) for _ in range(2))
    assert set(sizes) == {500, 1000}
    assert first == again


def test_wrong_input_is_one_sentence() -> None:
    """One shuffle, a column that is not there, and rows of one kind are refused."""
    rows = sample(0, 50)
    with pytest.raises(UserError, match="repeats is 1"):
        permutation_importance(score, rows, repeats=1)
    with pytest.raises(NotFound, match="'stronk'"):
        permutation_importance(score, rows, groups={"g": ["stronk"]})
    with pytest.raises(UserError, match="only one kind"):
        permutation_importance(score, rows.take(np.flatnonzero(rows.y_N > 0)))
