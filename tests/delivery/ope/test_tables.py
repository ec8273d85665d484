"""A table says what its arrays say: rows in any order, slates of any length, and names of what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orita.core.errors import UserError
from orita.delivery.ope import (
    ESTIMATORS,
    SLATE_ESTIMATORS,
    LoggedDecisions,
    LoggedSlates,
    Verdict,
    evaluate,
    evaluate_decisions,
    evaluate_slates,
    slates_of,
)
from orita.delivery.ope.page import write_evaluation_page


def table(rows: int = 300) -> pa.Table:
    """Return a log of single decisions as a prediction log joined with clicks has it: float32 propensities."""
    random = np.random.default_rng(0)
    propensity = random.uniform(0.2, 0.9, rows).astype(np.float32)
    return pa.table(
        {
            "user_id": [f"u{n % 40}" for n in range(rows)],
            "click": (random.random(rows) < 0.3).astype(np.int64),
            "propensity": propensity,
            "candidate": np.minimum(propensity * random.uniform(0.5, 1.5, rows), 1),
            "q": random.random(rows),
            "v": random.random(rows),
        }
    )


def test_a_table_is_its_arrays() -> None:
    """Every figure equals that of the arrays; all estimators are there, with a model and without."""
    rows = table()
    found = evaluate(rows, reward="click", target="candidate", predicted="q", expected="v", unit="user_id")
    arrays = [rows[name].to_numpy() for name in ("click", "propensity", "candidate", "q", "v", "user_id")]
    reward, propensity, target, predicted, expected, unit = arrays
    logged = LoggedDecisions.of(
        reward, propensity, target, predicted_N=predicted, expected_N=expected, unit_N=unit.astype(str)
    )
    wanted = evaluate_decisions(logged)
    assert [each.estimator for each in found.estimates] == list(ESTIMATORS)
    for one, two in zip((*found.estimates, *found.gains), (*wanted.estimates, *wanted.gains), strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high))
    assert found.logged.units == 40
    bare = evaluate(rows, reward="click", target="candidate")
    assert [each.estimator for each in bare.estimates] == ["ips", "clipped_ips", "snips"]


def test_a_policy_may_be_a_function() -> None:
    """A callable is given the table and gives the target's probabilities."""
    rows = table()
    called = evaluate(rows, reward="click", target=lambda given: given["candidate"].to_numpy())
    assert called["ips"] == evaluate(rows, reward="click", target="candidate")["ips"]
    with pytest.raises(UserError, match=r"values of shape \(2,\), one of each of 300 rows"):
        evaluate(rows, reward="click", target=lambda _: [0.5, 0.5])


def test_slates_are_gathered_from_shuffled_rows() -> None:
    """Rows in any order, positions with gaps and slates of one to three rows make the arrays that they mean."""
    rows = pa.table(
        {
            "request_id": ["b", "a", "a", "c", "b", "a"],
            "position": [5, 3, 1, 1, 2, 2],
            "reward": [5.0, 3.0, 1.0, 6.0, 4.0, 2.0],
            "propensity": [0.5, 0.3, 0.1, 0.6, 0.4, 0.2],
            "target": [0.55, 0.33, 0.11, 0.66, 0.44, 0.22],
            "user_id": [2, 1, 1, 1, 2, 1],
        }
    )
    found = slates_of(rows, slate="request_id", unit="user_id")
    assert found.reward_NK.tolist() == [[4, 5, 0], [1, 2, 3], [6, 0, 0]]
    assert found.propensity_NK.tolist() == [[0.4, 0.5, 1], [0.1, 0.2, 0.3], [0.6, 1, 1]]
    assert found.unit_N is not None
    assert found.unit_N.tolist() == [0, 1, 1]
    wanted = evaluate_slates(
        LoggedSlates.of(found.reward_NK, found.propensity_NK, found.target_NK, unit_N=np.array([0, 1, 1]))
    )
    told = evaluate(rows, slate="request_id", unit="user_id")
    assert told.to_dict() == wanted.to_dict()
    assert [each.estimator for each in told.estimates] == [name for name in SLATE_ESTIMATORS if "ips" in name]


def test_slates_by_the_estimators_that_are_wanted() -> None:
    """Those that are named, in the order of all; a name that is none is told with the closest."""
    random = np.random.default_rng(1)
    logged = LoggedSlates.of(random.random((20, 2)), random.uniform(0.2, 1, (20, 2)), random.random((20, 2)))
    found = evaluate_slates(logged, estimators=["reward_interaction_ips", "slate_ips", "cascade_dr"])
    assert [each.estimator for each in found.estimates] == ["slate_ips", "reward_interaction_ips"]
    with pytest.raises(UserError, match=r"'cascade_dn' is no estimator of slates\. Did you mean 'cascade_d"):
        evaluate_slates(logged, estimators=["cascade_dn"])


def test_a_page_names_every_estimator(tmp_path: Path) -> None:
    """Values of decisions and of slates with a model are drawn, each by a name for people."""
    random = np.random.default_rng(2)
    slates = LoggedSlates.of(
        random.random((20, 2)),
        random.uniform(0.2, 1, (20, 2)),
        random.random((20, 2)),
        predicted_NK=random.random((20, 2)),
        expected_NK=random.random((20, 2)),
    )
    decisions = evaluate(table(), reward="click", target="candidate", predicted="q", expected="v")
    for found, name in ((decisions, "blended DR"), (evaluate_slates(slates), "cascade direct method")):
        write_evaluation_page(tmp_path / "page.html", "A candidate", Verdict(True, ()), found)
        assert name in (tmp_path / "page.html").read_text()


def test_a_report_is_json_and_text() -> None:
    """Both forms have every estimator, what is not a number is null, and the verdict stands below."""
    found = evaluate(table(), reward="click", target="candidate", predicted="q", expected="v")
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [each["estimator"] for each in told["estimates"]] == list(ESTIMATORS)
    assert told["diagnostics"]["verdict"] == {"enough": True, "reasons": []}
    lines = found.to_text().splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["logged", *ESTIMATORS]
    assert lines[-1] == "enough to decide by"
    still = evaluate(pa.table({"reward": [0.0] * 9, "propensity": [0.5] * 9, "target": [0.5] * 9}))
    text = still.to_text()
    assert "unknown" in text and "not enough to decide by:\n- the weights are worth 9 rows" in text
    assert still.to_dict()["estimates"][0]["low"] is None


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("propensity", [0.5, None], "column 'propensity' has 1 nulls in 2 rows"),
        ("reward", ["a", "b"], "column 'reward' is string, numbers are needed"),
        ("position", [1, 1], "request_id 'r' has position 1 twice"),
        ("user_id", [1, 2], "request_id 'r' has rows of two values of user_id"),
    ],
)
def test_wrong_columns_are_named(column: str, values: list[object], sentence: str) -> None:
    """Nulls, texts, a position that is there twice and a slate of two users are told with the column and the row."""
    columns = {
        "request_id": ["r", "r"],
        "position": [1, 2],
        "reward": [1.0, 0.0],
        "propensity": [0.5, 0.5],
        "target": [0.5, 0.5],
        "user_id": [1, 1],
    }
    with pytest.raises(UserError, match=sentence):
        evaluate(pa.table(columns | {column: values}), slate="request_id", unit="user_id")
    with pytest.raises(UserError, match="Did you mean 'reward'"):
        evaluate(pa.table(columns), reward="rewards")
    twice = pa.table(columns).append_column(column, pa.table(columns)[column])
    with pytest.raises(UserError, match=f"column '{column}' is 2 times in the table: rename or leave out"):
        evaluate(twice, slate="request_id", unit="user_id")
