"""What a shadow found worth a closer look: kinds of errors, and the requests and items that differ most."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from orita.delivery.shadow.told import ErrorKind, FurthestItem, FurthestRequest

__all__ = ["furthest_items", "furthest_requests", "kinds_of_errors"]

_MOST_REQUESTS, _MOST_ITEMS = 10, 10


def kinds_of_errors(rows: pa.Table) -> tuple[ErrorKind, ...]:
    """Return what went wrong, the most frequent first, each with the last request of its kind."""
    failed = rows.filter(pc.is_valid(rows["error"])).sort_by("timestamp")
    found = []
    for each in pc.value_counts(failed["error"]).to_pylist():
        of_kind = failed.filter(pc.equal(failed["error"], each["values"]))
        last = of_kind.select(["message", "request_id", "timestamp"]).slice(len(of_kind) - 1).to_pylist()[0]
        found.append(ErrorKind(each["values"], each["counts"], **last))
    return tuple(sorted(found, key=lambda kind: -kind.count))


def furthest_requests(scored: pa.Table) -> tuple[FurthestRequest, ...]:
    """Return the requests that are ranked most differently by rank-biased overlap, where it says something."""
    differing = scored.filter(pc.greater(scored["largest_shift"], 0))
    if not len(differing):
        return ()
    order = [("rbo", "ascending"), ("largest_shift", "descending")]
    at = pc.select_k_unstable(differing, min(_MOST_REQUESTS, len(differing)), order)
    return tuple(
        FurthestRequest(
            request_id=row["request_id"],
            timestamp=row["timestamp"],
            items=row["items"],
            tau=row["tau"],
            rbo=row["rbo"],
            largest_shift=row["largest_shift"],
            item=row["furthest_item"],
            champion_score=row["furthest_champion_score"],
            candidate_score=row["furthest_candidate_score"],
            champion_rank=row["furthest_champion_rank"],
            candidate_rank=row["furthest_candidate_rank"],
        )
        for row in differing.take(at).to_pylist()
    )


def furthest_items(scored: pa.Table) -> tuple[FurthestItem, ...]:
    """Return the items that most often are the furthest of their request."""
    differing = scored.filter(pc.greater(scored["largest_shift"], 0))
    shift = pc.subtract(differing["furthest_candidate_score"], differing["furthest_champion_score"])
    by_item = pa.table({"item": differing["furthest_item"], "shift": shift}).group_by("item")
    found = by_item.aggregate([("shift", "count"), ("shift", "mean")])
    order = [("shift_count", "descending"), ("item", "ascending")]
    at = pc.select_k_unstable(found, min(_MOST_ITEMS, len(found)), order) if len(found) else []
    return tuple(
        FurthestItem(row["item"], row["shift_count"], row["shift_mean"])
        for row in found.take(pa.array(at, pa.int64())).to_pylist()
    )
