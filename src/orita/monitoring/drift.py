"""Did what the model sees, or what it answers, change? Drift with a false-alarm rate that holds.

Method ``calibrated``: each test's p-value is computed at the actual sample sizes, with repeated users and
items taken into account, and adjusted over all tests of the report (Holm), so that a report on unchanged data
alarms at the configured rate. Methods ``ks_test`` and ``psi`` compare the bare statistic with a fixed
threshold, and know no rate.

User and context features repeat for all candidates of a request: every request is one row here (see
    `sample`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from orita.core.errors import UserError
from orita.monitoring.config import DriftDetectionConfig, DriftTest
from orita.monitoring.evidence import Evidence, Series, evidence_for
from orita.monitoring.findings import ByNature, DriftFinding, DriftReport
from orita.monitoring.histogram import histogram
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample
from orita.monitoring.wording import drift_note, drift_sentence
from orita.stats.multiplicity import holm
from orita.stats.psi import psi
from orita.stats.two_sample import ks_statistic, ks_test

__all__ = ["feature_drift", "prediction_drift"]

_FEATURES_SHARE = 0.8


def feature_drift(reference: Reference, recent: RequestSample, config: DriftDetectionConfig) -> DriftReport:
    """Compare each feature of *recent* requests with the *reference*.

    Raises:
        UserError: the two samples do not have the same features.
    """
    expected = reference.sample
    if expected.schema.version != recent.schema.version:
        raise UserError(
            f"the reference has feature schema {expected.schema.version} and the recent requests "
            f"{recent.schema.version}: compare predictions of the model that the reference was made for."
        )
    series = [
        Series(
            column.name,
            column.side,
            column.kind,
            expected.x_RF[:, f],
            recent.x_RF[:, f],
            expected.items_R if column.side == "item" else expected.users_R,
            recent.items_R if column.side == "item" else recent.users_R,
        )
        for f, column in enumerate(expected.schema.columns)
    ]
    return _report("features", series, reference, recent, config)


def prediction_drift(reference: Reference, recent: RequestSample, config: DriftDetectionConfig) -> DriftReport:
    """Compare the scores of *recent* requests with those of the *reference*."""
    expected = reference.sample
    scores = Series(
        "score", "prediction", "number", expected.scores_R, recent.scores_R, expected.users_R, recent.users_R
    )
    return _report("predictions", [scores], reference, recent, config)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The decision about one series, before it is put into words."""

    test: Literal["ks", "psi", "categories", "missing", "none"]
    judged: bool
    statistic: float | None
    drifted: bool
    p_value: float | None = None
    visible_effect: float | None = None
    design_effect: float = 1.0


def _report(
    about: Literal["features", "predictions"],
    series: list[Series],
    reference: Reference,
    recent: RequestSample,
    config: DriftDetectionConfig,
) -> DriftReport:
    rule = config.feature_drift if about == "features" else config.prediction_drift
    share = _FEATURES_SHARE if about == "features" else 1 - _FEATURES_SHARE
    level = config.false_alarm_rate * share if rule.method == "calibrated" else None
    enough = min(len(reference.sample), len(recent)) >= config.min_requests
    if not enough:
        verdicts = [_Verdict("none", False, None, False) for _ in series]
    elif level is not None:
        verdicts = _calibrated(series, rule, level, config.seed)
    else:
        verdicts = [_fixed(one, rule, config.min_requests) for one in series]
    return DriftReport(
        about=about,
        method=rule.method,
        false_alarm_rate=level,
        reference_requests=len(reference.sample),
        recent_requests=len(recent),
        reference_source=reference.source,
        findings=tuple(
            _finding(one, verdict, rule, level, config) for one, verdict in zip(series, verdicts, strict=True)
        ),
        note=drift_note(
            about,
            rule.method,
            level,
            reference_requests=len(reference.sample),
            recent_requests=len(recent),
            min_requests=config.min_requests,
        ),
    )


def _calibrated(series: list[Series], rule: DriftTest, level: float, seed: int) -> list[_Verdict]:
    found = [evidence_for(one, bins=rule.bins, seed=seed) for one in series]
    tests = [(s, evidence) for s, several in enumerate(found) for evidence in several]
    adjusted_K = holm(np.array([evidence.p_value for _, evidence in tests]))
    per_test = level / max(len(tests), 1)
    best: dict[int, tuple[float, Evidence]] = {}
    for (s, evidence), p_value in zip(tests, adjusted_K.tolist(), strict=True):
        # The test that alarms speaks for the feature; else the one that came closest.
        rank = (p_value > level or evidence.effect < rule.min_effect, p_value, -evidence.effect)
        known = best.get(s)
        if known is None or rank < (
            known[0] > level or known[1].effect < rule.min_effect,
            known[0],
            -known[1].effect,
        ):
            best[s] = (p_value, evidence)
    verdicts = []
    for s in range(len(series)):
        if s not in best:
            verdicts.append(_Verdict("none", True, 0.0, False, 1.0))
            continue
        p_value, evidence = best[s]
        drifted = p_value <= level and evidence.effect >= rule.min_effect
        visible = max(rule.min_effect, evidence.visible_at(per_test))
        verdicts.append(
            _Verdict(evidence.test, True, evidence.effect, drifted, p_value, visible, evidence.design_effect)
        )
    return verdicts


def _fixed(series: Series, rule: DriftTest, min_rows: int) -> _Verdict:
    if rule.method == "psi":
        statistic = psi(series.reference_N, series.recent_M, bins=rule.bins)
        return _Verdict("psi", True, statistic, statistic > rule.limit)
    present = [int((~np.isnan(values)).sum()) for values in (series.reference_N, series.recent_M)]
    if max(present) >= min_rows and min(present) == 0:
        # Values on one side only: nothing of the distribution is left.
        return _Verdict("ks", True, 1.0, True)
    if min(present) < min_rows:
        return _Verdict("none", False, None, False)
    statistic = ks_statistic(series.reference_N, series.recent_M)
    return _Verdict("ks", True, statistic, statistic > rule.limit)


def _by_nature(series: Series, config: DriftDetectionConfig) -> ByNature:
    if series.name in config.calendar_features:
        return "calendar"
    grows = series.kind == "count" or series.name in config.growing_features
    return "grows" if grows and ks_test(series.reference_N, series.recent_M).second_is_larger else ""


def _finding(
    series: Series, verdict: _Verdict, rule: DriftTest, level: float | None, config: DriftDetectionConfig
) -> DriftFinding:
    # A missing rate does not grow with time, nor does it follow the clock.
    nature = _by_nature(series, config) if verdict.drifted and verdict.test != "missing" else ""
    return DriftFinding(
        name=series.name,
        side=series.side,
        test=verdict.test,
        judged=verdict.judged,
        statistic=verdict.statistic,
        threshold=rule.limit,
        p_value=verdict.p_value,
        level=level,
        visible_effect=verdict.visible_effect,
        drifted=verdict.drifted,
        by_nature=nature,
        design_effect=verdict.design_effect,
        reference_rows=len(series.reference_N),
        recent_rows=len(series.recent_M),
        sentence=drift_sentence(
            series,
            verdict.test,
            verdict.statistic,
            rule=rule,
            p_value=verdict.p_value,
            drifted=verdict.drifted,
            nature=nature,
        ),
        histogram=histogram(series.reference_N, series.recent_M),
    )
