"""Which features, and which scores, drifted? Evidence of every series, decided together.

Method ``calibrated``: each series has one p-value for any kind of change, at the actual sample sizes, with repeated
users and items, and days that differ by nature, taken into account. Findings control the share of false ones, alarms
the chance of any, over all tests of the report. Methods ``ks_test`` and ``psi`` compare the bare statistic with a fixed
threshold, and know no rate.

User and context features repeat for all candidates of a request: every request is one row here (see `sample`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureColumn
from orita.monitoring.config import DriftDetectionConfig, DriftTest
from orita.monitoring.drift.evidence import Evidence, Series, evidence_for
from orita.monitoring.drift.segments import segment_series
from orita.monitoring.drift.together import Together, tests_together
from orita.monitoring.drift.wording import drift_note, drift_sentence
from orita.monitoring.findings import ByNature, DriftFinding, DriftReport, FindingTest
from orita.monitoring.histogram import histogram
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample
from orita.stats.drift.family import decide, visible_effect, visible_shift
from orita.stats.psi import psi
from orita.stats.two_sample import ks_statistic, ks_test

__all__ = ["feature_drift", "prediction_drift"]

_FEATURES_SHARE = 0.8


def feature_drift(
    reference: Reference,
    recent: RequestSample,
    config: DriftDetectionConfig,
    contents: Sequence[Series] = (),
    *,
    shared: Mapping[str, str] = MappingProxyType({}),
) -> DriftReport:
    """Compare each feature of *recent* requests, and all of them together, with the *reference*.

    Args:
        reference, recent: the samples.
        config: how.
        contents: texts and embeddings of the same requests (`content_series`); they share the level of the report.
        shared: by feature, the category whose members share its value, such as the topic of a click rate by topic:
            its evidence is so many topics, however many items there are.

    Raises:
        UserError: the two samples do not have the same features, or a segment is no feature.
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
            _clusters(expected, column, shared),
            _clusters(recent, column, shared),
            reference.slices_R,
        )
        for f, column in enumerate(expected.schema.columns)
    ]
    series += list(segment_series(series, config.segments, min_requests=config.min_requests))
    series += contents
    return _report("features", series, reference, recent, config)


def _clusters(sample: RequestSample, column: FeatureColumn, shared: Mapping[str, str]) -> npt.NDArray[np.int64]:
    """Return what each row repeats: a member of the category that shares the value, else the item, else the user."""
    category = shared.get(column.name)
    if category is not None:
        codes_R = sample.x_RF[:, sample.schema.index(category)]
        return np.where(np.isnan(codes_R), -1, codes_R).astype(np.int64)
    return sample.items_R if column.side == "item" else sample.users_R


def prediction_drift(reference: Reference, recent: RequestSample, config: DriftDetectionConfig) -> DriftReport:
    """Compare the scores of *recent* requests with those of the *reference*."""
    expected = reference.sample
    users = expected.users_R, recent.users_R
    scores = Series("score", "prediction", "number", expected.scores_R, recent.scores_R, *users, reference.slices_R)
    return _report("predictions", [scores], reference, recent, config)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The decision about one series, before it is put into words."""

    test: FindingTest
    judged: bool
    statistic: float | None
    drifted: bool
    pages: bool
    p_value: float | None = None
    change: str = ""
    visible_effect: float | None = None
    design_effect: float = 1.0
    impact: float | None = None


_NOT_JUDGED = _Verdict("none", False, None, False, False)


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
    together: tuple[Together, ...] = ()
    shift = None
    if min(len(reference.sample), len(recent)) < config.min_requests:
        verdicts = [_NOT_JUDGED for _ in series]
    elif level is not None:
        if about == "features" and reference.slices_R is None:
            together = tests_together(reference.sample, recent, config)
        verdicts, together = _calibrated(series, together, rule, level, config)
        effect = float(np.median([verdict.design_effect for verdict in verdicts])) if verdicts else 1.0
        sizes = len(reference.sample), len(recent)
        shift = visible_shift(*sizes, level=level, tests=len(series) + len(together), design_effect=effect)
    else:
        verdicts = [_fixed(one, rule, config.min_requests) for one in series]
    verdicts = _told_once(series, verdicts)
    return DriftReport(
        about=about,
        method=rule.method,
        false_alarm_rate=level,
        reference_requests=len(reference.sample),
        recent_requests=len(recent),
        reference_source=reference.source,
        findings=tuple(
            _finding(one, verdict, rule, level, _by_nature(one, verdict, reference, config))
            for one, verdict in zip(series, verdicts, strict=True)
        ),
        note=drift_note(
            about,
            rule.method,
            level,
            reference_requests=len(reference.sample),
            recent_requests=len(recent),
            min_requests=config.min_requests,
            visible_shift=shift,
        ),
        together=together,
        visible_shift=shift,
    )


def _told_once(series: list[Series], verdicts: list[_Verdict]) -> list[_Verdict]:
    """Return the verdicts without alarms of segments of what alarms as a whole."""
    whole = {one.name for one, verdict in zip(series, verdicts, strict=True) if verdict.pages and not one.segment}
    return [
        replace(verdict, pages=False) if one.segment and one.name in whole else verdict
        for one, verdict in zip(series, verdicts, strict=True)
    ]


def _calibrated(
    series: list[Series], together: tuple[Together, ...], rule: DriftTest, level: float, config: DriftDetectionConfig
) -> tuple[list[_Verdict], tuple[Together, ...]]:
    found = [None if one.between_weeks else evidence_for(one, seed=config.seed) for one in series]
    tested = [s for s, evidence in enumerate(found) if evidence is not None]
    evidence = [one for one in found if one is not None]
    decision = decide(
        np.array([one.p_value for one in evidence] + [one.p_value for one in together]),
        np.array([one.effect for one in evidence] + [one.effect for one in together]),
        level=level,
        min_effect=rule.min_effect,
        importance_K=np.array([config.importance.get(series[s].name, 1.0) for s in tested] + [0.0] * len(together)),
    )
    same = _Verdict("none", True, 0.0, False, False, 1.0)
    verdicts = [_NOT_JUDGED if one.between_weeks else same for one in series]
    tests = len(evidence) + len(together)
    for k, s in enumerate(tested):
        verdicts[s] = _verdict(
            evidence[k],
            drifted=bool(decision.reported_K[k]),
            pages=bool(decision.paged_K[k]),
            p_value=float(decision.discovery_p_K[k]),
            impact=float(decision.impact_K[k]),
            visible=_visible(series[s], evidence[k], rule, level, tests),
        )
    judged = tuple(
        replace(one, p_value=float(decision.discovery_p_K[k]), drifted=bool(decision.reported_K[k]))
        for k, one in enumerate(together, start=len(evidence))
    )
    return verdicts, judged


def _verdict(
    evidence: Evidence, *, drifted: bool, pages: bool, p_value: float, impact: float, visible: float
) -> _Verdict:
    return _Verdict(
        evidence.test,
        True,
        evidence.effect,
        drifted,
        pages,
        p_value,
        evidence.change,
        visible,
        evidence.design_effect,
        impact,
    )


def _visible(series: Series, evidence: Evidence, rule: DriftTest, level: float, tests: int) -> float:
    n, m = (int((~np.isnan(values)).sum()) for values in (series.reference_N, series.recent_M))
    seen = visible_effect(n, m, level=level, tests=tests, design_effect=evidence.design_effect)
    return max(rule.min_effect, seen)


def _fixed(series: Series, rule: DriftTest, min_rows: int) -> _Verdict:
    if rule.method == "psi":
        statistic = psi(series.reference_N, series.recent_M, bins=rule.bins)
        return _Verdict("psi", True, statistic, statistic > rule.limit, statistic > rule.limit)
    present = [int((~np.isnan(values)).sum()) for values in (series.reference_N, series.recent_M)]
    if max(present) >= min_rows and min(present) == 0:
        # Values on one side only: nothing of the distribution is left.
        return _Verdict("ks", True, 1.0, True, True)
    if min(present) < min_rows:
        return _NOT_JUDGED
    statistic = ks_statistic(series.reference_N, series.recent_M)
    return _Verdict("ks", True, statistic, statistic > rule.limit, statistic > rule.limit)


def _by_nature(series: Series, verdict: _Verdict, reference: Reference, config: DriftDetectionConfig) -> ByNature:
    # A missing rate does not grow with time, nor does it follow the clock.
    if not verdict.drifted or verdict.test == "missing":
        return ""
    # Who asks, and with which device, is another at night: the other half of a window is no reference of it.
    if series.name in config.calendar_features or (reference.other_hours and series.side == "context"):
        return "calendar"
    grows = series.kind == "count" or series.name in config.growing_features
    return "grows" if grows and ks_test(series.reference_N, series.recent_M).second_is_larger else ""


def _finding(series: Series, verdict: _Verdict, rule: DriftTest, level: float | None, nature: ByNature) -> DriftFinding:
    return DriftFinding(
        name=series.label,
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
            change=verdict.change,
        ),
        histogram=histogram(series.reference_N, series.recent_M),
        change=verdict.change,
        pages=verdict.pages,
        impact=verdict.impact,
    )
