"""How is a finding said? Plain sentences for people who did not run the test."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from orita.monitoring.config import DriftTest, Method
from orita.monitoring.drift.contents import Texts
from orita.monitoring.drift.evidence import Series
from orita.monitoring.findings import ByNature, FindingTest
from orita.stats.drift.text import changed_word

__all__ = ["drift_note", "drift_sentence"]

_NATURE: dict[ByNature, str] = {
    "": "",
    "grows": " It counts or ages, so it grows as time passes: expected, no alarm.",
    "calendar": " It follows the clock, and a window of other hours or days moves it: no alarm.",
}


_CHANGES = {
    "location": "its level",
    "scale": "its spread",
    "skew": "its skew",
    "kurtosis": "the weight of its tails",
    "shape": "its shape",
    "spike": "the share of one value or a narrow range",
    "extremes": "its extreme values",
    "new": "new or vanished values",
}


def drift_sentence(
    series: Series,
    test: FindingTest,
    statistic: float | None,
    *,
    rule: DriftTest,
    p_value: float | None,
    drifted: bool,
    nature: ByNature,
    change: str = "",
) -> str:
    """Return one finding in words: what moved, from where to where, and how sure that is."""
    if statistic is None and series.between_weeks:
        return f"{series.label} was not judged: with the weeks of a season, only single numbers are compared."
    if statistic is None:
        return f"{series.label} was not judged: too few requests have a value."
    if test == "none":
        return f"{series.label} is the same in every request, before and now."
    verb = "changed" if drifted else "shows no alarming change"
    sure = f", p {_chance(p_value)}" if p_value is not None else ""
    if rule.method == "psi" and test == "psi":
        amount = f"PSI {statistic:.3f}, limit {rule.limit:g}"
    else:
        amount = f"{_percent(statistic)} of requests moved, limit {_percent(rule.limit)}"
    what = f"; most of all {_CHANGES[change]}" if drifted and change in _CHANGES else ""
    return f"{series.label} {verb}: {_from_to(series, test, statistic)} ({amount}{sure}{what}).{_NATURE[nature]}"


def drift_note(
    about: Literal["features", "predictions"],
    method: Method,
    level: float | None,
    *,
    reference_requests: int,
    recent_requests: int,
    min_requests: int,
    visible_shift: float | None = None,
) -> str:
    """Return what a reader must know before believing a drift report."""
    if min(reference_requests, recent_requests) < min_requests:
        return (
            f"Not judged: {reference_requests:,} reference and {recent_requests:,} recent requests, and "
            f"{min_requests:,} of each are needed."
        )
    rows = "One random candidate stands for each request: the others share its user and context."
    if level is None:
        return f"{rows} The threshold of {method} is fixed; with few requests chance alone can exceed it."
    seen = ""
    if visible_shift is not None and np.isfinite(visible_shift):
        seen = (
            f" A shift of a mean by {visible_shift:.2g} standard deviations would have been found in 9 of 10 reports."
        )
    return f"{rows} If nothing changed, {_percent(level)} of such reports about {about} alarm by chance.{seen}"


def _from_to(series: Series, test: FindingTest, statistic: float) -> str:
    reference_N, recent_M = series.reference_N, series.recent_M
    missing = np.isnan(reference_N).mean(), np.isnan(recent_M).mean()
    if test == "missing" or np.isnan(reference_N).all() or np.isnan(recent_M).all():
        return f"missing in {_percent(missing[0])} of requests before and {_percent(missing[1])} now"
    if isinstance(series.content, Texts):
        word, before, now = changed_word(series.content.reference, series.content.recent)
        return f"the word {word!r} in {_percent(before)} of texts before and {_percent(now)} now"
    if test == "vectors":
        return f"a classifier places {_percent(statistic)} more of the vectors right than a guess"
    if test == "categories" or series.kind in {"flag", "category"}:
        return _category_from_to(reference_N, recent_M)
    return f"median {np.nanmedian(reference_N):.4g} before and {np.nanmedian(recent_M):.4g} now"


def _category_from_to(reference_N: npt.NDArray[np.floating], recent_M: npt.NDArray[np.floating]) -> str:
    values, codes = np.unique(np.concatenate([reference_N, recent_M]), return_inverse=True, equal_nan=True)
    before_K = np.bincount(codes[: len(reference_N)], minlength=len(values)) / len(reference_N)
    now_K = np.bincount(codes[len(reference_N) :], minlength=len(values)) / len(recent_M)
    most = int(np.argmax(np.abs(now_K - before_K)))
    name = "missing" if np.isnan(values[most]) else f"value {values[most]:g}"
    return f"{name} in {_percent(before_K[most])} of requests before and {_percent(now_K[most])} now"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _chance(p_value: float) -> str:
    return "< 0.0001" if p_value < 0.0001 else f"= {p_value:.2g}"
