"""What was found about drift: one finding for each feature, and the report that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orita.features.schema import Side
from orita.monitoring.config import Method
from orita.monitoring.histogram import Histogram

__all__ = ["ByNature", "DriftFinding", "DriftReport", "FindingTest"]

ByNature = Literal["", "grows", "calendar"]
FindingTest = Literal["ks", "psi", "categories", "missing", "words", "vectors", "none"]


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """What became of one feature, or of the scores.

    Attributes:
        name: the feature, or ``score``; with ``where`` and the segment if only its requests were compared.
        side: whose feature it is; ``prediction`` for scores.
        test: what decided: ``ks``, ``psi``, ``categories``, ``missing``, ``words`` (of texts), ``vectors`` (of
            embeddings), or ``none`` where nothing could be judged.
        judged: there were enough requests to judge.
        statistic: distance (share of rows that moved, 0 … 1) or PSI (≥ 0); None where not judged.
        threshold: the statistic must exceed it to be drift; for method ``calibrated`` the smallest effect
            that matters.
        p_value: adjusted for all tests of the report (Benjamini and Hochberg); None for fixed thresholds, which do not
            know it.
        level: a p-value up to it is drift; None for fixed thresholds.
        visible_effect: a change of the distribution this large would have been called; None for fixed
            thresholds.
        drifted: the rule of the method says so.
        by_nature: ``grows`` (a count or an age, and it went up), ``calendar`` (follows the clock), or empty.
        design_effect: ≥ 1; repeated users or items make the samples worth this many times fewer rows.
        reference_rows, recent_rows: rows compared, missing values included.
        sentence: the finding in words.
        histogram: both samples; of texts how many words they have, of embeddings the direction of most variance.
        change: calibrated only: what changed most remarkably: ``location``, ``scale``, ``skew``, ``kurtosis``, ``ks``
            or ``shape`` (anything else of the distribution), ``spike`` (one value), ``extremes``, ``missing``,
            ``categories`` (the mix), ``new`` (or vanished categories or words), ``vectors``, ``share``; empty if
            nothing did.
        pages: the chance of such a finding in any feature of an unchanged report is at most *level*: family-wise,
            where ``drifted`` controls the share of false findings.
        impact: effect × importance of the feature, 0 … 1; None for fixed thresholds.
    """

    name: str
    side: Side | Literal["prediction"]
    test: FindingTest
    judged: bool
    statistic: float | None
    threshold: float
    p_value: float | None
    level: float | None
    visible_effect: float | None
    drifted: bool
    by_nature: ByNature
    design_effect: float
    reference_rows: int
    recent_rows: int
    sentence: str
    histogram: Histogram
    change: str = ""
    pages: bool = True
    impact: float | None = None

    @property
    def grows_by_nature(self) -> bool:
        """A count or an age that went up, as it does when nothing is wrong."""
        return self.by_nature == "grows"

    @property
    def alarming(self) -> bool:
        """Drifted beyond the doubt that waking someone asks for, and not because time passed."""
        return self.drifted and self.pages and not self.by_nature


@dataclass(frozen=True, slots=True)
class Together:
    """A test of several features at once.

    Attributes:
        name: ``all features together`` or ``correlations``.
        p_value: false-discovery adjusted, with the tests of the features.
        effect: 0 … 1; what a classifier gains over guessing, or half the change of a correlation.
        drifted: the rule of the method says so.
        sentence: the finding in words.
    """

    name: str
    p_value: float
    effect: float
    drifted: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All findings about features, or about predictions.

    Attributes:
        about: ``features`` or ``predictions``.
        method: how it was decided.
        false_alarm_rate: share of such reports that alarm when nothing changed; None for fixed thresholds.
        reference_requests, recent_requests: requests compared.
        reference_source: where the reference came from.
        findings: one for each feature, in schema order, then for segments, texts and embeddings.
        note: what the reader must know before believing it: how rows were drawn, or why nothing was judged.
        together: what was found of several features at once.
        visible_shift: a shift of a feature's mean by this many standard deviations would have been found in nine of ten
            such reports; None for fixed thresholds.
    """

    about: Literal["features", "predictions"]
    method: Method
    false_alarm_rate: float | None
    reference_requests: int
    recent_requests: int
    reference_source: str
    findings: tuple[DriftFinding, ...]
    note: str
    together: tuple[Together, ...] = ()
    visible_shift: float | None = None

    @property
    def drifted(self) -> tuple[DriftFinding, ...]:
        """Findings that drifted, the expected ones included."""
        return tuple(finding for finding in self.findings if finding.drifted)

    @property
    def alarming(self) -> tuple[DriftFinding, ...]:
        """Findings that someone should look at."""
        return tuple(finding for finding in self.findings if finding.alarming)

    @property
    def judged(self) -> bool:
        """At least one finding could be judged."""
        return any(finding.judged for finding in self.findings)
