"""The figures of a shadow as tables and pages write them."""

from __future__ import annotations

from orita.delivery.shadow.told import CandidateSummary, Figure, Quantiles

__all__ = ["NAMES", "TIMED", "counted", "figure_rows", "latency_rows"]

NAMES = {
    "tau": "Kendall's tau-b",
    "rho": "Spearman's rho",
    "top1": "same first item",
    "overlap5": "overlap of the first 5",
    "overlap10": "overlap of the first 10",
    "rbo": "rank-biased overlap",
    "mean_shift": "mean shift of scores",
    "mean_absolute_shift": "mean absolute shift",
    "largest_shift": "largest shift of a request",
}

TIMED = {
    "candidate_ms": "candidate, scoring",
    "candidate_cpu_ms": "candidate, processor time",
    "champion_ms": "champion, whole answer",
}


def counted(found: CandidateSummary) -> dict[str, object]:
    """Return what became of the champion's answers, by name."""
    counts = found.counts
    share = f" ({counts.scored / counts.seen:.1%})" if counts.seen else ""
    told: dict[str, object] = {
        "answers of the champion": f"{counts.seen:,}",
        "chosen to be mirrored": f"{counts.chosen:,}",
        "scored": f"{counts.scored:,}{share}, of {found.users:,} users",
        "failed": f"{counts.failed:,}",
        "features not read": f"{counts.unread:,}",
        "dropped, no time for them": f"{counts.dropped:,}",
    }
    if found.features_from:
        told["features from"] = ", ".join(f"{name} {count:,}" for name, count in found.features_from.items())
    if found.distance is not None:
        told["distance of scores (KS)"] = f"{found.distance:.3f}"
    return told


def figure_rows(found: CandidateSummary) -> list[list[str]]:
    """Return name, mean, interval and number of requests of each figure."""
    return [
        [
            name,
            _value(key, found.figures[key].mean),
            _interval(key, found.figures[key]),
            f"{found.figures[key].requests:,}",
        ]
        for key, name in NAMES.items()
        if key in found.figures
    ]


def latency_rows(found: CandidateSummary) -> list[list[str]]:
    """Return name and quantiles of what was timed."""
    timed = {name: getattr(found, name) for name in TIMED}
    return [[TIMED[name], *_quantiles(each)] for name, each in timed.items() if each is not None]


def _value(key: str, value: float) -> str:
    return f"{value:+.4f}" if key == "mean_shift" else f"{value:.4f}"


def _interval(key: str, figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return "of one user"
    return f"{_value(key, figure.low)} to {_value(key, figure.high)}"


def _quantiles(found: Quantiles) -> list[str]:
    return [f"{value:.2f}" for value in (found.p50, found.p95, found.p99)]
