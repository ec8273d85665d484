"""What was found of skew: a finding a feature, and the file that a server and a person read it from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orita.core.errors import OritaError
from orita.core.files import atomic_file
from orita.core.home import Home

__all__ = ["FeatureSkew", "SkewReport", "newest_skew_file", "read_skew", "write_skew"]

_FOLDER = "skew"
_KEPT = 100


@dataclass(frozen=True, slots=True)
class FeatureSkew:
    """How one feature fared.

    Attributes:
        name: the feature.
        rows: rows in which it was compared.
        mismatches: those where served and recomputed value differ by more than float32 rounding, or one is missing.
        share: mismatches ÷ rows.
        largest: the largest absolute difference of two values.
        example: user, item, time, served and recomputed value of one mismatch; None without any.
    """

    name: str
    rows: int
    mismatches: int
    share: float
    largest: float
    example: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class SkewReport:
    """One look at what was served.

    Attributes:
        rows: how many served rows were compared.
        features: from worst to best.
        left_out: features that could not be compared, with the reason.
        system, model_version: whose rows.
        at: when it was measured, ISO 8601.
        start, end: of the rows that could be drawn, ISO 8601.
    """

    rows: int
    features: tuple[FeatureSkew, ...]
    left_out: Mapping[str, str]
    system: str = ""
    model_version: str = ""
    at: str = ""
    start: str = ""
    end: str = ""

    @property
    def share(self) -> float:
        """Mismatches ÷ values compared."""
        compared = sum(feature.rows for feature in self.features)
        return sum(feature.mismatches for feature in self.features) / compared if compared else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "share": self.share}


def write_skew(home: Home, report: SkewReport) -> Path:
    """Keep *report* below the home's reports and return its file; only the 100 newest of a system stay."""
    stamp = datetime.fromisoformat(report.at).strftime("%Y%m%dT%H%M%S%f")
    path = home.reports / _FOLDER / f"{report.system}-{stamp}.json"
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for old in _files(home, report.system)[:-_KEPT]:
        old.unlink(missing_ok=True)
    return path


def newest_skew_file(home: Home, system: str) -> Path | None:
    """Return the file of the newest report of *system*, None before the first."""
    return max(_files(home, system), default=None)


def read_skew(path: Path) -> SkewReport:
    """Return the report in *path*.

    Raises:
        OritaError: it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["share"]
        features = tuple(FeatureSkew(**feature) for feature in content.pop("features"))
        return SkewReport(features=features, **content)
    except (ValueError, KeyError, TypeError) as error:
        raise OritaError(f"{path} is not a skew report ({error}): delete it, and run 'orita features skew'.") from error


def _files(home: Home, system: str) -> list[Path]:
    return sorted((home.reports / _FOLDER).glob(f"{system}-[0-9]*T[0-9]*.json"))
