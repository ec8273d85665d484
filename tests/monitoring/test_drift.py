"""Drift: alarms at the rate asked for on unchanged data, alarms on change, fixed thresholds to the letter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom
from tests.monitoring.watched_system import SCHEMA, START, draw, reference_of, sample_of

from orita.core.errors import UserError
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.monitoring.config import DriftDetectionConfig, DriftTest
from orita.monitoring.drift import feature_drift, prediction_drift
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample, sample_rows
from orita.stats.psi import psi
from orita.stats.two_sample import ks_statistic

_EVERY_EFFECT = DriftDetectionConfig(feature_drift=DriftTest(min_effect=0), prediction_drift=DriftTest(min_effect=0))


@pytest.mark.parametrize(("n", "m", "rounds"), [(50, 50, 40), (500, 100, 20), (2000, 2000, 10)])
def test_unchanged_data_alarms_at_most_at_the_rate(n: int, m: int, rounds: int) -> None:
    """With no smallest effect to hide behind, reports on unchanged data alarm in at most 1.5 % within chance."""
    rng = np.random.default_rng(n * m)
    alarms = 0
    for _ in range(rounds):
        reference, recent = reference_of(draw(rng, n)), sample_of(draw(rng, m))
        alarms += bool(feature_drift(reference, recent, _EVERY_EFFECT).drifted)
        alarms += bool(prediction_drift(reference, recent, _EVERY_EFFECT).drifted)
    assert alarms <= binom.ppf(1 - 1e-4, rounds, 0.015)


def test_the_level_is_used() -> None:
    """At a rate of one half, unchanged continuous data does alarm: the rate is held, not merely undercut."""
    rng = np.random.default_rng(11)
    schema = FeatureSchema(tuple(FeatureColumn(f"f{i}", "user") for i in range(5)))
    config = _EVERY_EFFECT.model_copy(update={"false_alarm_rate": 0.5})
    alarms = 0
    for _ in range(100):
        before, now = rng.normal(size=(2, 300, 5)).astype(np.float32)
        ids_before, ids_now = rng.integers(0, 2**40, (2, 300))
        scores = np.zeros(300)
        reference = Reference.from_rows(
            schema, before, scores, users_N=ids_before, items_N=ids_before, model_version="v", made_at=START
        )
        recent = sample_rows(schema, now, scores, users_N=ids_now, items_N=ids_now)
        alarms += bool(feature_drift(reference, recent, config).drifted)
    # Holm at 0.4 over five independent tests: 34 % expected.
    assert binom.ppf(1e-4, 100, 0.30) <= alarms <= binom.ppf(1 - 1e-4, 100, 0.4)


def test_values_that_a_category_shares_are_evidence_of_its_members() -> None:
    """Click rates of 16 topics, each of which wanders for itself, alarm at the rate asked for, and taken for those of
    hundreds of items far above it; a rise of all topics is found."""
    schema = FeatureSchema((FeatureColumn("topic_ctr", "item"), FeatureColumn("item_topic", "item", "category", 16)))
    items_I = np.random.default_rng(5).integers(0, 16, 400)

    def drawn(rng: np.random.Generator, ctr_T: np.ndarray) -> RequestSample:
        items_N = rng.integers(0, 400, 600)
        topic_N = items_I[items_N]
        x_NF = np.column_stack([ctr_T[topic_N] + 0.001 * rng.normal(size=600), topic_N]).astype(np.float32)
        return sample_rows(schema, x_NF, np.zeros(600), users_N=np.arange(600), items_N=items_N)

    def alarms(rng: np.random.Generator, rise: float, shared: dict[str, str]) -> bool:
        before_T = rng.beta(20, 80, 16)
        now_T = before_T + rise + 0.02 * rng.normal(size=16)
        reference = Reference(drawn(rng, before_T), "v1.0.0", "before", START)
        return bool(feature_drift(reference, drawn(rng, now_T), _EVERY_EFFECT, shared=shared).alarming)

    by_topic, rounds = {"topic_ctr": "item_topic"}, 25
    wandering, by_item = (
        sum(alarms(np.random.default_rng(seed), 0.0, shared) for seed in range(rounds)) for shared in (by_topic, {})
    )
    assert wandering <= binom.ppf(1 - 1e-4, rounds, 0.015)
    assert by_item > rounds / 2
    assert alarms(np.random.default_rng(0), 0.1, by_topic)


def test_candidates_of_a_request_are_not_taken_for_evidence(reference: Reference) -> None:
    """A hundred candidates share a user and a device: 40 requests of 100 rows alarm no more than 40 rows do."""
    alarms = 0
    for seed in range(15):
        rows = draw(np.random.default_rng(seed), 40, per_request=100)
        report = feature_drift(reference, sample_of(rows), _EVERY_EFFECT)
        assert report.recent_requests == 40
        alarms += bool(report.drifted)
    assert alarms <= binom.ppf(1 - 1e-4, 15, 0.015)


@pytest.mark.parametrize(
    ("column", "change", "test"),
    [
        (0, lambda x, rng: x + 0.06, "ks"),
        (0, lambda x, rng: 0.2 + (x - 0.2) * 2, "ks"),
        (2, lambda x, rng: np.where(rng.random(len(x)) < 0.2, np.nan, x), "missing"),
        (2, lambda x, rng: np.full(len(x), np.nan), "missing"),
        (4, lambda x, rng: (rng.random(len(x)) < 0.8).astype(float), "categories"),
        (4, lambda x, rng: np.full(len(x), np.nan), "missing"),
    ],
    ids=["shift", "spread", "some missing", "all missing", "category mix", "flags all missing"],
)
def test_change_is_found_where_it_is(reference: Reference, column: int, change: object, test: str) -> None:
    """A shift, a wider spread, missing values and another mix alarm in the changed feature, and in no other."""
    rng = np.random.default_rng(21)
    rows = draw(rng, 1500)
    rows["x_NF"][:, column] = change(rows["x_NF"][:, column], rng)  # type: ignore[operator]
    report = feature_drift(reference, sample_of(rows), DriftDetectionConfig())
    assert [finding.name for finding in report.alarming] == [SCHEMA.names[column]]
    assert report.alarming[0].test == test
    assert SCHEMA.names[column] in report.alarming[0].sentence


def test_score_drift_is_found(reference: Reference) -> None:
    """Scores that moved alarm, unchanged ones do not, and the report says how often chance would."""
    rows = draw(np.random.default_rng(3), 1500)
    steady = prediction_drift(reference, sample_of(rows), DriftDetectionConfig())
    rows["scores_N"] = rows["scores_N"] * 0.8
    moved = prediction_drift(reference, sample_of(rows), DriftDetectionConfig())
    assert not steady.drifted
    assert [finding.name for finding in moved.alarming] == ["score"]
    assert "0.2 % of such reports" in moved.note


def test_small_certain_changes_do_not_alarm() -> None:
    """A change below the smallest effect that matters is no drift, however many rows make it certain."""
    rng = np.random.default_rng(5)
    rows = draw(rng, 20_000)
    reference, recent = reference_of(draw(rng, 20_000)), dict(rows)
    recent["x_NF"] = rows["x_NF"] + np.float32(0.006) * (np.arange(5) == 0)
    assert not feature_drift(reference, sample_of(recent), DriftDetectionConfig()).drifted
    assert [f.name for f in feature_drift(reference, sample_of(recent), _EVERY_EFFECT).drifted] == [
        "user_historical_ctr"
    ]


def test_fixed_methods_compare_the_bare_statistic(reference: Reference) -> None:
    """KS and PSI with a threshold drift exactly where the statistic exceeds it."""
    rows = draw(np.random.default_rng(6), 400)
    rows["x_NF"][:, 0] += 0.03
    recent, f = sample_of(rows), 0
    for method, statistic in (
        ("ks_test", ks_statistic(reference.sample.x_RF[:, f], recent.x_RF[:, f])),
        ("psi", psi(reference.sample.x_RF[:, f], recent.x_RF[:, f])),
    ):
        for threshold, drifted in ((statistic * 0.999, True), (statistic, False), (statistic * 1.001, False)):
            rule = DriftTest.model_validate({"method": method, "threshold": threshold})
            finding = feature_drift(reference, recent, DriftDetectionConfig(feature_drift=rule)).findings[f]
            assert finding.statistic == pytest.approx(statistic)
            assert finding.drifted is drifted
            assert finding.p_value is None


def test_what_comes_of_context_does_not_alarm_against_other_hours(reference: Reference) -> None:
    """Devices differ by the hour: another mix alarms against the same hours, and not against those of another time."""
    rows = draw(np.random.default_rng(12), 1500)
    rows["x_NF"][:, 4] = np.random.default_rng(13).random(1500) < 0.8
    found = {}
    for other_hours in (False, True):
        against = replace(reference, other_hours=other_hours)
        findings = feature_drift(against, sample_of(rows), DriftDetectionConfig()).findings
        found[other_hours] = {finding.name: finding for finding in findings}["device_mobile"]
    assert found[False].alarming
    assert found[True].drifted and not found[True].alarming
    assert "follows the clock" in found[True].sentence


def test_growth_and_the_clock_are_named_and_do_not_alarm(reference: Reference) -> None:
    """A count that rose and an hour that follows the window are drift by nature; a count that fell alarms."""
    rows = draw(np.random.default_rng(8), 1500)
    rows["x_NF"][:, 1] += 15
    rows["x_NF"][:, 3] = np.minimum(rows["x_NF"][:, 3], 9)
    by_name = {f.name: f for f in feature_drift(reference, sample_of(rows), DriftDetectionConfig()).findings}
    count, hour = by_name["user_interaction_count"], by_name["hour_of_day"]
    assert count.drifted and count.grows_by_nature and not count.alarming
    assert "grows as time passes" in count.sentence
    assert hour.drifted and not hour.alarming
    assert "follows the clock" in hour.sentence
    rows["x_NF"][:, 1] -= 30
    fallen = feature_drift(reference, sample_of(rows), DriftDetectionConfig())
    assert [finding.name for finding in fallen.alarming] == ["user_interaction_count"]


@pytest.mark.parametrize("method", ["calibrated", "ks_test", "psi"])
def test_few_requests_are_not_judged(reference: Reference, method: str) -> None:
    """With fewer requests than asked for, no method judges, and the report says so; none at all is no error."""
    config = DriftDetectionConfig.model_validate({"feature_drift": {"method": method}})
    for requests in (0, 5):
        report = feature_drift(reference, sample_of(draw(np.random.default_rng(1), requests)), config)
        assert not report.judged
        assert not report.drifted
        assert f"{requests} recent requests" in report.note


def test_constants_are_the_same(reference: Reference) -> None:
    """A feature that is one constant, or missing throughout, in both samples is no drift; a changed constant is."""
    rows, constant = draw(np.random.default_rng(2), 300), draw(np.random.default_rng(3), 300)
    for x_NF in (rows["x_NF"], constant["x_NF"]):
        x_NF[:, 0], x_NF[:, 2] = 0.5, np.nan
    assert not feature_drift(reference_of(rows), sample_of(constant), DriftDetectionConfig()).alarming
    constant["x_NF"][:, 0] = 0.6
    report = feature_drift(reference_of(rows), sample_of(constant), DriftDetectionConfig())
    assert [finding.name for finding in report.alarming] == ["user_historical_ctr"]


def test_other_features_are_refused(reference: Reference) -> None:
    """Samples of different schemas are not compared."""
    schema = FeatureSchema(SCHEMA.columns[:2])
    ids = np.arange(300)
    recent = sample_rows(schema, np.zeros((300, 2), np.float32), np.zeros(300), users_N=ids, items_N=ids)
    with pytest.raises(UserError, match="compare predictions of the model"):
        feature_drift(reference, recent, DriftDetectionConfig())
