"""What a shadow has found, out of the rows that are kept.

Intervals are of the mean over requests; as users return, the requests of one user count as dependent (sandwich
variance, Liang and Zeger 1986). They are for one look: whoever looks until something shows will see something.

Legend: R requests, U users.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import Clock
from orita.core.errors import NotFound, closest
from orita.core.home import Home
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts
from orita.delivery.shadow.comparison import MEASURES
from orita.delivery.shadow.differences import furthest_items, furthest_requests, kinds_of_errors
from orita.delivery.shadow.kept import Counts, ShadowState, read_shadow, shadow_folder
from orita.delivery.shadow.told import CandidateSummary, Distribution, Figure, Quantiles, ShadowSummary
from orita.delivery.shadow.verdict import judged
from orita.delivery.shadow.wording import TIMED
from orita.stats.clusters import clustered_rate
from orita.stats.two_sample import ks_statistic

__all__ = ["mean_figure", "shadow_summary"]

_MOST_ROWS = 500_000
_TAIL = 0.025
_BINS = 30

Floats = npt.NDArray[np.float64]


def shadow_summary(home: Home, system: str, rollout_id: str, *, clock: Clock | None = None) -> ShadowSummary:
    """Return what the shadow *rollout_id* of *system* has found, up to the last commit of who follows it.

    Figures rest on the latest rows, about half a million; counts on all.

    Raises:
        NotFound: the system has no such shadow.
        OritaError: what is kept of it is damaged.
    """
    current = Rollouts(home.control, home.tenant, clock).current(system)
    rollout = current.find(rollout_id)
    if rollout is None or rollout.plan.routes:
        known = [each.id for each in (*current.live, *current.ended) if not each.plan.routes]
        raise NotFound(f"system {system!r} has no shadow {rollout_id!r}. {closest(rollout_id, known)}")
    state, rows = read_shadow(shadow_folder(home, system, rollout.id), most_rows=_MOST_ROWS)
    ends = pc.min_max(rows["timestamp"]).as_py() if len(rows) else {"min": None, "max": None}
    return ShadowSummary(
        rollout=rollout.id,
        system=system,
        champion=rollout.champion,
        state=rollout.state,
        mirrored_percent=rollout.plan.mirrored,
        first=ends["min"],
        last=ends["max"],
        cpu_percent=100 * state.cpu_seconds / state.followed_seconds if state.followed_seconds else 0.0,
        most_cpu_percent=rollout.plan.cpu_percent,
        followed_seconds=state.followed_seconds,
        candidates=tuple(_candidate(rollout, version, state, rows) for version in rollout.plan.versions),
    )


def _candidate(rollout: Rollout, version: str, state: ShadowState, all_rows: pa.Table) -> CandidateSummary:
    rows = _once(all_rows.filter(pc.equal(all_rows["candidate"], version)))
    scored = rows.filter(pc.is_null(rows["error"]))
    counts = state.counts.get(version, Counts())
    figures = _figures(scored)
    failed = _failed(rows)
    cpu_ms, champion_ms = _quantiles(scored["candidate_cpu_ms"]), _quantiles(rows["champion_ms"])
    champion, candidate = (_values(scored[name]) for name in ("champion_scores", "candidate_scores"))
    distance = ks_statistic(champion, candidate) if len(champion) else None
    trouble = state.trouble.get(version)
    return CandidateSummary(
        version=version,
        counts=counts,
        rows=len(rows),
        users=pc.count_distinct(rows["user_id"]).as_py(),
        figures=figures,
        errors=kinds_of_errors(rows),
        failed=failed,
        candidate_ms=_quantiles(scored["candidate_ms"]),
        candidate_cpu_ms=cpu_ms,
        champion_ms=champion_ms,
        timings=_timings(scored),
        distance=distance,
        scores=_scores(champion, candidate) if len(champion) else None,
        taus=_taus(scored),
        features_from=_counted(scored["features_from"]),
        furthest=furthest_requests(scored),
        items=furthest_items(scored),
        starts=state.starts.get(version, 0),
        trouble=trouble,
        verdict=judged(
            rollout.plan.checks,
            counts=counts,
            failed=failed,
            candidate_cpu_ms=cpu_ms,
            champion_ms=champion_ms,
            distance=distance,
            ranking=figures.get("rbo"),
            trouble=trouble,
        ),
    )


def _once(rows: pa.Table) -> pa.Table:
    """Return each answer once: the log writes one again that it could not make durable, and it may have been seen."""
    if not len(rows):
        return rows
    keys = rows.select(["request_id", "answer"]).append_column("row", pa.array(np.arange(len(rows))))
    firsts = keys.group_by(["request_id", "answer"]).aggregate([("row", "min")])["row_min"]
    return rows if len(firsts) == len(rows) else rows.take(firsts)


def _figures(scored: pa.Table) -> dict[str, Figure]:
    user_R = _users(scored)
    found = {name: mean_figure(_values(scored[name], missing=True), user_R) for name in MEASURES}
    return {name: figure for name, figure in found.items() if figure is not None}


def _failed(rows: pa.Table) -> Figure | None:
    """Return the share of requests without scores, of those whose features could be read."""
    asked = rows.filter(pc.not_equal(pc.fill_null(rows["error"], ""), "features_not_read"))
    failed_R = pc.is_valid(asked["error"]).to_numpy().astype(np.float64)
    return mean_figure(failed_R, _users(asked))


def mean_figure(values_R: Floats, user_R: npt.NDArray[np.int64]) -> Figure | None:
    """Return the mean with its interval, within the range of the values; None where there are none."""
    kept_R = np.isfinite(values_R)
    values_R, user_R = values_R[kept_R], user_R[kept_R]
    if not len(values_R):
        return None
    low, high = float(values_R.min()), float(values_R.max())
    width = high - low
    if width == 0:
        return Figure(low, low, high, len(values_R))
    found = clustered_rate((values_R - low) / width, user_R, tail=_TAIL)
    ends = [None if np.isnan(end) else low + width * end for end in (found.low, found.high)]
    return Figure(low + width * found.value, ends[0], ends[1], len(values_R))


def _users(rows: pa.Table) -> npt.NDArray[np.int64]:
    users = rows["user_id"].combine_chunks().dictionary_encode()
    return np.asarray(users.indices.to_numpy(zero_copy_only=False), np.int64)


def _values(column: pa.ChunkedArray, *, missing: bool = False) -> Floats:
    """Return a column, or all of the lists of one, as float64; *missing*: null as NaN."""
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    filled = pc.fill_null(column.cast(pa.float64()), np.nan) if missing else column.drop_null().cast(pa.float64())
    return np.asarray(filled.to_numpy(), np.float64)


def _quantiles(column: pa.ChunkedArray) -> Quantiles | None:
    values_R = _values(column)
    if not len(values_R):
        return None
    return Quantiles(*np.quantile(values_R, [0.5, 0.95, 0.99], method="inverted_cdf").tolist())


def _timings(scored: pa.Table) -> dict[str, tuple[float, ...]]:
    if not len(scored):
        return {}
    levels = np.arange(1, 100) / 100
    return {name: tuple(np.quantile(_values(scored[name]), levels).tolist()) for name in TIMED}


def _scores(champion: Floats, candidate: Floats) -> Distribution:
    ends = float(min(champion.min(), candidate.min())), float(max(champion.max(), candidate.max()))
    edges = np.linspace(ends[0], max(ends[1], ends[0] + 1e-6), _BINS + 1)
    heights = [np.histogram(values, edges)[0] / len(values) for values in (champion, candidate)]
    return Distribution(tuple(edges.tolist()), *(tuple(each.tolist()) for each in heights))


def _taus(scored: pa.Table) -> Distribution | None:
    values_R = _values(scored["tau"])
    if not len(values_R):
        return None
    edges = np.linspace(-1.0, 1.0, 41)
    heights = np.histogram(np.clip(values_R, -1, 1), edges)[0] / len(values_R)
    return Distribution(tuple(edges.tolist()), (), tuple(heights.tolist()))


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    found: Mapping[str, int] = {each["values"]: each["counts"] for each in pc.value_counts(column).to_pylist()}
    return dict(sorted(found.items()))
