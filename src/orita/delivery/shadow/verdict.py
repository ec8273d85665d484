"""What the differences mean, in words: held against what the rollout declares in its checks.

Nothing here decides anything: a shadow shows what a candidate does, not what users do about it.
"""

from __future__ import annotations

from collections.abc import Iterator

from orita.delivery.rollouts.checks import Checks
from orita.delivery.shadow.kept import Counts
from orita.delivery.shadow.told import Figure, Quantiles, Verdict, VerdictState

__all__ = ["LEAST_REQUESTS", "judged"]

LEAST_REQUESTS = 200
"""Fewer scored requests are described and not judged; of failures, fewer that it was asked to score."""

_SAME = 0.9995
_MUCH, _SOME = 0.9, 0.6


def judged(
    checks: Checks,
    *,
    counts: Counts,
    failed: Figure | None,
    candidate_cpu_ms: Quantiles | None,
    champion_ms: Quantiles | None,
    distance: float | None,
    ranking: Figure | None,
    trouble: str | None,
) -> Verdict:
    """Return what is to be said of a candidate.

    Args:
        checks: where the rollout draws lines.
        counts: what became of the champion's answers.
        failed: share of requests that it failed to score.
        candidate_cpu_ms: processor time of its scoring, which does not depend on what else the machine does.
        champion_ms: of whole answers.
        distance: of the distributions of scores.
        ranking: rank-biased overlap.
        trouble: why it is not loaded.
    """
    if not counts.scored and not counts.failed:
        return Verdict("nothing_scored", trouble or _nothing(counts))
    of_tried = list(_failures(checks, failed))
    of_scored = [*_slowness(checks, candidate_cpu_ms, champion_ms), *_distance(checks, distance)]
    findings = tuple(sentence for _, sentence in (*of_tried, *of_scored))
    if trouble is not None:
        findings = (trouble, *findings)
    breaches = [
        *(of_tried if counts.scored + counts.failed >= LEAST_REQUESTS else ()),
        *(of_scored if counts.scored >= LEAST_REQUESTS else ()),
    ]
    if breaches:
        state = breaches[0][0]
        return Verdict(state, f"{_HEADS[state]} {_ranks(ranking)}".strip(), findings)
    if trouble is not None:
        return Verdict("fails", f"It cannot be loaded any more. {_ranks(ranking)}".strip(), findings)
    if counts.scored < LEAST_REQUESTS:
        also = f" and {counts.failed:,} failed" if counts.failed else ""
        few = f"Too few to judge: {counts.scored:,} requests scored{also}, {LEAST_REQUESTS} are needed."
        return Verdict("too_few", f"{few} {_ranks(ranking)}".strip(), findings)
    return Verdict("fits", f"Nothing speaks against it. {_ranks(ranking)}".strip(), findings)


_HEADS: dict[VerdictState, str] = {
    "fails": "It fails too often.",
    "slow": "It is too slow.",
    "differs": "Its scores are distributed otherwise.",
}


def _nothing(counts: Counts) -> str:
    if counts.unread:
        return f"Nothing was scored: the features of {counts.unread:,} requests could not be read."
    if counts.dropped:
        return f"Nothing was scored yet: there was no time for {counts.dropped:,} requests; allow more cpu_percent."
    return "Nothing was mirrored yet: the champion has not answered, or nobody follows ('orita shadow run')."


def _failures(checks: Checks, failed: Figure | None) -> Iterator[tuple[VerdictState, str]]:
    if checks.errors is None or failed is None or not failed.mean:
        return
    least = failed.mean if failed.low is None else failed.low
    interval = "" if failed.low is None or failed.high is None else f" ({failed.low:.2%} to {failed.high:.2%})"
    told = f"It failed on {failed.mean:.2%}{interval} of {failed.requests:,} requests, allowed are "
    if least > checks.errors.most_more:
        yield "fails", f"{told}{checks.errors.most_more:.2%}."


def _slowness(
    checks: Checks, candidate: Quantiles | None, champion: Quantiles | None
) -> Iterator[tuple[VerdictState, str]]:
    if not checks.latencies or candidate is None or champion is None:
        return
    check = min(checks.latencies, key=lambda each: abs(each.quantile - 0.95))
    most = champion.p95 + check.most_more_ms
    if candidate.p95 > most:
        yield (
            "slow",
            f"Scoring alone takes {candidate.p95:.1f} ms of a processor (95th percentile); whole answers take "
            f"{champion.p95:.1f} ms, "
            f"and {check.most_more_ms:g} ms more are allowed.",
        )


def _distance(checks: Checks, distance: float | None) -> Iterator[tuple[VerdictState, str]]:
    if checks.scores is not None and distance is not None and distance > checks.scores.most_distance:
        yield (
            "differs",
            f"The distributions of scores are {distance:.2f} apart, allowed are {checks.scores.most_distance:g}.",
        )


def _ranks(ranking: Figure | None) -> str:
    if ranking is None:
        return ""
    told = f"rank-biased overlap {ranking.mean:.3f}"
    if ranking.mean >= _SAME:
        return f"It ranks as the champion does ({told})."
    if ranking.mean >= _MUCH:
        return f"It ranks much as the champion does ({told})."
    if ranking.mean >= _SOME:
        return f"It ranks some items otherwise ({told})."
    return f"It ranks quite otherwise ({told})."
