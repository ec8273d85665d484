"""Pages of the prediction log with what they earned: read part by part, so that memory is bounded by the sample.

A page's reward is joined by request and item: an item without an event of its own within the window earned nothing, and
answers whose window is not over are left out, as nothing says yet that they earned nothing.

Legend: N rows of the log, one an item; S answers of one stretch of the log; K positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import Clock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.delivery.ope.log_overrides import LogOverrides
from orita.delivery.ope.log_policies import LogPolicy
from orita.delivery.ope.log_rewards import LogWindow, Rewards
from orita.delivery.ope.page_sample import PageSample
from orita.delivery.ope.pages import LoggedPages
from orita.events.logged_request import TAIL
from orita.events.prediction_files import prediction_parts
from orita.features.system import System
from orita.monitoring.sample import hashed_ids

__all__ = ["AnswerCounts", "LogWindow", "read_pages"]

Flags = npt.NDArray[np.bool_]

_COLUMNS = (
    "prediction_id",
    "timestamp",
    "user_id",
    "item_id",
    "score",
    "request_id",
    "position",
    "propensity",
    "as_of",
    "level",
    "objective",
    "rollout",
    "variant",
    "placement_propensity",
)
_STRETCH_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """What became of the answers of the version; each is counted once.

    Attributes:
        answered: all of them.
        fallback: below level 1: the model did not make them.
        overridden: an override of a rollout chose the version, or may have (`LogOverrides`).
        weighed: the request weighed the objective.
        late: their window is not over, as far as events are known.
        certain: nothing could be swapped: later pages, ``POST /predict``, exploration that is off.
        repeated: another answer has the same request id.
        sampled_out: left out by the bound on answers.
        used: the rest.
        rewarded: items of those that earned something.
    """

    answered: int
    fallback: int
    overridden: int
    weighed: int
    late: int
    certain: int
    repeated: int
    sampled_out: int
    used: int
    rewarded: int

    def to_dict(self) -> dict[str, int]:
        """Return a plain object for JSON."""
        return asdict(self)


def read_pages(
    home: Home,
    system: System,
    policy: LogPolicy,
    window: LogWindow,
    *,
    clock: Clock,
    memory_mb: int = 1024,
    progress: Progress = SILENT,
) -> tuple[LoggedPages | None, AnswerCounts]:
    """Return the explored pages of the log, None where there are none, and what became of all answers.

    Raises:
        UserError: the version answered nothing in this time, events do not tell which answer they are of, or have no
            such reward; or as the policy.
    """
    events, overrides = Rewards(home, system, window, memory_mb, clock), LogOverrides(home, system.name)
    sample, counted = PageSample(window.most), dict.fromkeys((f.name for f in fields(AnswerCounts)), 0)
    for rows in _stretches(home, system.name, policy, window, progress):
        kept = _answers(rows, events.known_until, overrides, counted)
        kept = sample.wanted(kept)
        if len(kept):
            sample.add(_paged(kept, policy.scores(kept), events.of(kept)))
    if not counted["answered"]:
        raise UserError(
            f"{window.version} has answered nothing in this time: see 'orita predictions list --model "
            f"{window.version}', and give other times or another version."
        )
    pages, counted["repeated"] = sample.pages()
    counted["used"] = 0 if pages is None else len(pages)
    counted["rewarded"] = 0 if pages is None else int(np.count_nonzero(pages.reward_NK))
    left = sum(counted[name] for name in counted if name not in ("answered", "sampled_out", "rewarded"))
    counted["sampled_out"] = counted["answered"] - left
    return pages, AnswerCounts(**counted)


def _stretches(home: Home, system: str, policy: LogPolicy, window: LogWindow, progress: Progress) -> Iterator[pa.Table]:
    """Yield the rows of the version, some parts of the log at a time, whole answers each."""
    columns = _COLUMNS if policy.features == () else (*_COLUMNS, "features")
    wanted = (pc.field("system") == system) & (pc.field("model_version") == window.version)
    for end, compared in ((window.start, "greater_equal"), (window.end, "less")):
        if end is not None:
            limit = pa.scalar(end, pa.timestamp("us", tz="UTC"))
            wanted &= getattr(pc, compared)(pc.field("timestamp"), limit)
    parts = prediction_parts(home, window.start, window.end)
    held: list[pa.Table] = []
    with progress.bar("Read the prediction log", total=len(parts)) as bar:
        for part in parts:
            if part.model_version in (None, window.version):
                rows = part.read(columns, wanted, features=policy.features)
                if len(rows):
                    held.append(rows)
            if sum(map(len, held)) >= _STRETCH_ROWS:
                yield _alike(held)
                held = []
            bar.advance()
        if held:
            yield _alike(held)


def _alike(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="permissive")


def _answers(rows: pa.Table, known_until: datetime, overrides: LogOverrides, counted: dict[str, int]) -> pa.Table:
    """Return the rows of answers that can be evaluated, in order of answer and position; count all others."""
    tails = pc.utf8_slice_codeunits(rows["prediction_id"], TAIL).combine_chunks()
    answer_N = _codes(tails)
    answers = int(answer_N.max()) + 1
    first_S = np.zeros(answers, np.int64)
    first_S[answer_N[::-1]] = np.arange(len(rows))[::-1]
    heads = rows.select(["level", "variant", "rollout", "objective", "timestamp"]).take(pa.array(first_S))
    movable_N = rows["placement_propensity"].to_numpy() < 1
    reasons: dict[str, Flags] = {
        "fallback": _flags(pc.not_equal(heads["level"], 1)),
        "overridden": overrides.may_have_chosen(heads),
        "weighed": _flags(pc.is_valid(heads["objective"])),
        "late": _flags(pc.greater_equal(heads["timestamp"], pa.scalar(known_until, pa.timestamp("us", tz="UTC")))),
        "certain": np.bincount(answer_N, weights=movable_N, minlength=answers) == 0,
    }
    left_S = np.ones(answers, np.bool_)
    counted["answered"] += answers
    for name, out_S in reasons.items():
        counted[name] += int((left_S & out_S).sum())
        left_S &= ~out_S
    order_N = np.lexsort((rows["position"].to_numpy(), answer_N))
    return rows.take(pa.array(order_N[left_S[answer_N[order_N]]]))


def _paged(rows: pa.Table, scores_N: npt.NDArray[np.float32], rewards_N: npt.NDArray[np.float32]) -> LoggedPages:
    """Return rows, in order of answer and position, as pages."""
    answer_N = _codes(pc.utf8_slice_codeunits(rows["prediction_id"], TAIL).combine_chunks())
    starts_S = np.flatnonzero(np.r_[True, answer_N[1:] != answer_N[:-1]])
    length_S = np.diff(np.r_[starts_S, len(rows)])
    page_N = np.repeat(np.arange(len(starts_S)), length_S)
    place_N = np.arange(len(rows)) - starts_S[page_N]

    def laid(values_N: npt.NDArray[Any], filling: float) -> npt.NDArray[np.float32]:
        values_SK = np.full((len(starts_S), int(length_S.max())), filling, np.float32)
        values_SK[page_N, place_N] = values_N
        return values_SK

    heads = rows.select(["request_id", "user_id"]).take(pa.array(starts_S))
    return LoggedPages(
        hashed_ids(heads["request_id"]).astype(np.uint64),
        hashed_ids(heads["user_id"]).astype(np.uint64),
        length_S,
        laid(rewards_N, 0.0),
        laid(rows["score"].to_numpy(), 0.0),
        laid(scores_N, 0.0),
        laid(rows["propensity"].to_numpy(), 1.0),
        laid(rows["placement_propensity"].to_numpy(), 1.0),
    )


def _codes(texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return 0 … for the texts, in order of their first."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    encoded: Any = whole.dictionary_encode()
    codes_N: npt.NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes_N


def _flags(values: pa.ChunkedArray) -> Flags:
    return np.asarray(pc.fill_null(values, False).to_numpy(), np.bool_)
