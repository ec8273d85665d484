"""Samples and references: one row a request, bounded, the same after a round trip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.monitoring.watched_system import SCHEMA, draw, logged, reference_of, sample_of

from orita.core.errors import NotFound, UserError
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.monitoring.reference import Reference
from orita.monitoring.sample import hashed_ids, sample_predictions, sample_rows


def test_each_request_is_one_row_of_its_own() -> None:
    """Every request gives one row, drawn from all its candidates, with features, score and ids of that row."""
    rows = draw(np.random.default_rng(0), 200, per_request=20)
    rows["scores_N"] = np.linspace(0, 1, 4000)
    sample = sample_of(rows)
    assert (len(sample), sample.requests_seen, sample.rows_seen) == (200, 200, 4000)
    places = [int(np.flatnonzero(rows["scores_N"] == score)[0]) for score in sample.scores_R]
    assert (rows["requests_N"][places] == np.arange(200)).all()
    assert np.array_equal(rows["x_NF"][places], sample.x_RF, equal_nan=True)
    assert (hashed_ids(rows["items_N"][places]) == sample.items_R).all()
    # A uniform draw of 20 candidates: neither always the first nor always the last.
    assert 5 < np.mean(np.array(places) % 20) < 14


def test_the_log_and_the_rows_give_one_sample() -> None:
    """The prediction log, with ids as text and nulls for missing, gives the sample that the rows give."""
    rows = draw(np.random.default_rng(1), 150)
    from_rows, from_log = sample_of(rows), sample_predictions(SCHEMA, logged(rows))
    assert np.array_equal(from_rows.x_RF, from_log.x_RF, equal_nan=True)
    assert from_log.scores_R == pytest.approx(from_rows.scores_R, abs=1e-6)
    assert (from_rows.users_R == from_log.users_R).all()
    assert (from_rows.items_R == from_log.items_R).all()


def test_samples_are_bounded_and_seeded() -> None:
    """More requests than the bound are drawn at random, the same ones for the same seed."""
    rows = draw(np.random.default_rng(2), 500)
    one, again, other = (sample_rows(SCHEMA, **rows, max_requests=100, seed=seed) for seed in (1, 1, 2))
    assert (len(one), one.requests_seen) == (100, 500)
    assert np.array_equal(one.scores_R, again.scores_R)
    assert not np.array_equal(one.scores_R, other.scores_R)


def test_an_empty_log_is_an_empty_sample() -> None:
    """No predictions are no error."""
    assert len(sample_predictions(SCHEMA, logged(draw(np.random.default_rng(0), 3)).slice(0, 0))) == 0


def test_what_is_absent_is_named() -> None:
    """A column or a feature that the log lacks is named, with what is nearest."""
    log = logged(draw(np.random.default_rng(0), 3))
    with pytest.raises(NotFound, match="no column 'score'"):
        sample_predictions(SCHEMA, log.drop_columns(["score"]))
    with pytest.raises(NotFound, match=r"'item_cpr' was not logged.*'item_ctr'"):
        sample_predictions(FeatureSchema((FeatureColumn("item_cpr", "item"),)), log)


def test_rows_of_other_lengths_are_refused() -> None:
    """Arrays that disagree on the number of rows are refused by name."""
    rows = draw(np.random.default_rng(0), 10)
    with pytest.raises(UserError, match="scores has 9 rows where the features have 10"):
        sample_rows(SCHEMA, **(rows | {"scores_N": rows["scores_N"][:9]}))  # type: ignore[arg-type]


def test_a_reference_survives_its_file(tmp_path: Path) -> None:
    """What is loaded is what was saved: values, missing values, ids, labels' rate and origin."""
    rows = draw(np.random.default_rng(3), 300)
    saved = reference_of(rows, labels_N=np.r_[np.ones(100), np.zeros(150), np.full(50, np.nan)], source="test split")
    saved.save(tmp_path / "deep" / "reference.parquet")
    loaded = Reference.load(tmp_path / "deep" / "reference.parquet")
    for name in ("x_RF", "scores_R", "users_R", "items_R"):
        assert np.array_equal(getattr(saved.sample, name), getattr(loaded.sample, name), equal_nan=True)
    assert loaded.sample.schema == SCHEMA
    assert loaded.label_rate == pytest.approx(0.4)
    assert (loaded.model_version, loaded.source, loaded.made_at) == ("v1.0.0", "test split", saved.made_at)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["reference.parquet"]


def test_a_reference_keeps_no_ids(tmp_path: Path) -> None:
    """The file holds digests, not the users and items themselves."""
    rows = draw(np.random.default_rng(3), 50) | {"users_N": np.array([f"user-name-{i}" for i in range(50)])}
    reference_of(rows).save(tmp_path / "reference.parquet")
    assert b"user-name" not in (tmp_path / "reference.parquet").read_bytes()


def test_unusable_references_say_so(tmp_path: Path) -> None:
    """An absent file, a file of another kind and a reference of no rows are one sentence each."""
    with pytest.raises(NotFound, match="no reference at"):
        Reference.load(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(UserError, match="is not a Parquet file"):
        Reference.load(tmp_path / "text.parquet")
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(UserError, match="not a reference of format 1"):
        Reference.load(tmp_path / "other.parquet")
    with pytest.raises(UserError, match="0 rows"):
        reference_of(draw(np.random.default_rng(0), 0))
    with pytest.raises(UserError, match="0 rows in this window"):
        log = logged(draw(np.random.default_rng(0), 1)).slice(0, 0)
        Reference.from_predictions(
            SCHEMA, log, model_version="v", made_at=reference_of(draw(np.random.default_rng(0), 2)).made_at
        )
