"""What a candidate's orders of logged pages would have earned, by all estimators of slates, and if that can be told.

The candidate is taken to explore as the log did, at the same positions, each swap as likely, but for orders that the
log never shows: so nothing is missing of it where its own order is one that exploration shows. On a page that it ranks
as the logging model did, the two policies are one, and what was shown counts as it was.

Legend: N pages, K positions, E orders that the candidate may show.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.progress import SILENT, Progress
from orita.delivery.ope.candidate_orders import candidate_order, falls
from orita.delivery.ope.diagnostics import Limits
from orita.delivery.ope.evaluation import SLATE_ESTIMATORS, PolicyEvaluation, evaluate_slates
from orita.delivery.ope.order_chances import OrderChances, groups_of
from orita.delivery.ope.page_rewards import PageRewards
from orita.delivery.ope.pages import LoggedPages, Swaps, swaps_of
from orita.delivery.ope.slates import LoggedSlates

__all__ = ["Agreement", "PagesEvaluation", "evaluate_pages"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.intp]

_AT_ONCE = 2_000_000  # chances that are worked on together
_OFF = 1e-4  # probabilities of the log are float32
# The model of pages is a control variate and no more: what leans on it would find that a champion gains over itself.
_ASKED = tuple(name for name in SLATE_ESTIMATORS if name not in ("cascade_dm", "blended_cascade_dr"))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near the candidate's orders are to the logged ones, in shares of the pages.

    Attributes:
        same: it ranks as the logging model did.
        one_swap: its order is one that exploration may show.
        further: no page shows its order, ever.
        by_score: the page stood in the order of the logging model's scores; on others rules or diversity moved items,
            and the candidate's order is that of the least that they must have done.
    """

    same: float
    one_swap: float
    further: float
    by_score: float


@dataclass(frozen=True, slots=True)
class PagesEvaluation:
    """What a log of pages tells of a candidate.

    Attributes:
        pages: that were evaluated.
        unread: pages that were left out as their probabilities are not those of swaps.
        agreement: how near the two are.
        evaluation: values, gains, diagnostics and the verdict.
    """

    pages: int
    unread: int
    agreement: Agreement
    evaluation: PolicyEvaluation

    def to_dict(self) -> dict[str, Any]:
        """Return a plain object for JSON."""
        told = {"pages": self.pages, "unread": self.unread, "agreement": asdict(self.agreement)}
        return {**told, **self.evaluation.to_dict()}


@dataclass(frozen=True, slots=True)
class _Seen:
    """The pages as the candidate sees them; arrays are filled group by group."""

    target_NK: Floats
    placed_NK: Floats
    logging_NE: Floats
    candidate_NE: Floats
    predicted_NK: Floats | None
    expected_NK: Floats | None


def evaluate_pages(
    pages: LoggedPages,
    *,
    confidence: float = 0.95,
    limits: Limits | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> PagesEvaluation | None:
    """Return what *pages* tell of the candidate that scored them; None where none of them was explored by swaps.

    Args:
        pages: what was shown, and both models' scores.
        confidence: of intervals.
        limits: what is enough.
        seed: of the folds of the reward model.
        progress: where to draw progress.
    """
    swaps = swaps_of(pages)
    read_N = swaps.read_N & _as_logged(pages, swaps)
    unread = int((~read_N).sum())
    if unread:
        pages, swaps = pages.take(read_N), _taken(swaps, read_N)
    if not len(pages):
        return None
    to_rank_NK, by_score_N = _orders(pages, swaps)
    unit_N = np.unique(pages.unit_N, return_inverse=True)[1].astype(np.int64)
    rewards = PageRewards(pages, unit_N, seed=seed) if PageRewards.possible(pages, unit_N) else None
    same_N = (to_rank_NK == np.arange(to_rank_NK.shape[1])).all(axis=1)
    seen = _seen(pages, swaps, to_rank_NK, same_N, rewards, progress)
    slates = LoggedSlates.of(
        pages.reward_NK,
        pages.propensity_NK,
        seen.target_NK,
        position_propensity_NK=pages.placement_NK,
        position_target_NK=seen.placed_NK,
        predicted_NK=seen.predicted_NK,
        expected_NK=seen.expected_NK,
        unit_N=unit_N,
    )
    found = evaluate_slates(
        slates,
        confidence=confidence,
        logging_NA=_whole(seen.logging_NE),
        target_NA=_whole(seen.candidate_NE),
        limits=limits,
        estimators=_ASKED,
    )
    one_swap_N = ~same_N & (seen.logging_NE[:, 0] > 0)
    shares = [float(each_N.mean()) for each_N in (same_N, one_swap_N, ~same_N & ~one_swap_N, by_score_N)]
    return PagesEvaluation(len(pages), unread, Agreement(*shares), found)


def _as_logged(pages: LoggedPages, swaps: Swaps) -> Flags:
    """Tell of each page whether swaps, as they were read from it, have the probabilities that it was logged with."""
    fits_N = np.zeros(len(pages), np.bool_)
    for orders_EK, rows in groups_of(swaps.movable_NK, swaps.any_N):
        for part in _parts(rows, orders_EK):
            chances = OrderChances.of(orders_EK, swaps.each_N[part], swaps.rank_NK[part])
            off_N = np.abs(chances.conditional() - pages.propensity_NK[part]).max(axis=1)
            off_N = np.maximum(off_N, np.abs(chances.marginal() - pages.placement_NK[part]).max(axis=1))
            fits_N[part] = (off_N <= _OFF) & (chances.chance_NE[:, 0] > 0.5)
    return fits_N


def _orders(pages: LoggedPages, swaps: Swaps) -> tuple[Ranks, Flags]:
    """Return the candidate's order of each page in logged ranks, and whether scores alone explain the logged one."""
    there_NK = pages.there()
    width = there_NK.shape[1]
    last_N = width - 1 - swaps.movable_NK[:, ::-1].argmax(axis=1)
    held_NK = ~swaps.movable_NK & (np.arange(width) < last_N[:, None])  # by a rule: those that move are further down
    # Two items changed places at most, so ranks are their own inverse.
    score_NK, candidate_NK = (
        np.take_along_axis(each, swaps.rank_NK, axis=1).astype(np.float64)
        for each in (pages.score_NK, pages.candidate_NK)
    )
    return candidate_order(score_NK, candidate_NK, there_NK, held_NK), falls(score_NK, there_NK & ~held_NK)


def _seen(
    pages: LoggedPages,
    swaps: Swaps,
    to_rank_NK: Ranks,
    same_N: Flags,
    rewards: PageRewards | None,
    progress: Progress,
) -> _Seen:
    shape = pages.reward_NK.shape
    groups = groups_of(swaps.movable_NK, swaps.any_N)
    most = max(len(orders_EK) for orders_EK, _ in groups)
    modelled = [np.zeros(shape) if rewards else None for _ in range(2)]
    seen = _Seen(np.empty(shape), np.empty(shape), *(np.zeros((len(pages), most)) for _ in range(2)), *modelled)
    own_NK = np.argsort(to_rank_NK, axis=1)  # by logged rank, the candidate's
    with progress.bar("Weigh pages", total=len(pages)) as bar:
        for orders_EK, rows in groups:
            for part in _parts(rows, orders_EK):
                shown_NK = np.take_along_axis(own_NK[part], swaps.rank_NK[part], axis=1)
                chances = OrderChances.of(orders_EK, swaps.each_N[part], shown_NK)
                logged_NE = _logged_chances(to_rank_NK[part], swaps, part, chances)
                chances = chances.only(logged_NE > 0)
                as_it_was = same_N[part, None]
                seen.target_NK[part] = np.where(as_it_was, pages.propensity_NK[part], chances.conditional())
                seen.placed_NK[part] = np.where(as_it_was, pages.placement_NK[part], chances.marginal())
                seen.candidate_NE[part, : len(orders_EK)] = chances.chance_NE
                seen.logging_NE[part, : len(orders_EK)] = logged_NE
                if rewards is not None and seen.predicted_NK is not None and seen.expected_NK is not None:
                    predicted_NK, expected_NK = _modelled(rewards.predict(pages, part), shown_NK, chances)
                    seen.predicted_NK[part] = predicted_NK
                    seen.expected_NK[part] = np.where(as_it_was, predicted_NK, expected_NK)
                bar.advance(len(part))
    return seen


def _logged_chances(to_rank_NK: Ranks, swaps: Swaps, part: Ranks, chances: OrderChances) -> Floats:
    """Return ``chance_NE``: with which probability logging shows each order that the candidate may show."""
    orders_NEK = to_rank_NK[:, chances.orders_EK]
    off_NEK = orders_NEK != np.arange(to_rank_NK.shape[1])
    off_NE = off_NEK.sum(axis=2)
    first_NE, second_NE = off_NEK.argmax(axis=2), off_NEK.shape[2] - 1 - off_NEK[:, :, ::-1].argmax(axis=2)
    movable_NK = swaps.movable_NK[part]
    place_NK = np.cumsum(movable_NK, axis=1)
    first_place_NE, second_place_NE = (np.take_along_axis(place_NK, each, axis=1) for each in (first_NE, second_NE))
    both_NE = np.take_along_axis(movable_NK, first_NE, axis=1) & np.take_along_axis(movable_NK, second_NE, axis=1)
    near_NE = swaps.any_N[part, None] | (second_place_NE - first_place_NE == 1)
    swapped_NE = (off_NE == 2) & both_NE & near_NE
    return np.where(off_NE == 0, chances.chance_NE[:, :1], np.where(swapped_NE, swaps.each_N[part, None], 0.0))


def _modelled(value_NKK: Floats, shown_NK: Ranks, chances: OrderChances) -> tuple[Floats, Floats]:
    """Return ``predicted_NK`` and ``expected_NK`` of `LoggedSlates`.

    Args:
        value_NKK: of the item shown at a position (axis 1) if it stood at another (axis 2).
        shown_NK: the candidate's ranks of the items shown.
        chances: of the candidate's orders.
    """
    value_NRK = np.empty_like(value_NKK)
    np.put_along_axis(value_NRK, shown_NK[:, :, None], value_NKK, axis=1)
    ranked_NK = np.einsum("nkk->nk", value_NRK)
    below_NK = np.cumsum(ranked_NK[:, ::-1], axis=1)[:, ::-1] - ranked_NK  # as the candidate ranks what comes below
    return np.einsum("nkk->nk", value_NKK) + below_NK, chances.expected(value_NRK) + below_NK


def _parts(rows: Ranks, orders_EK: Ranks) -> list[Ranks]:
    most = max(1, _AT_ONCE // (orders_EK.size + orders_EK.shape[1] ** 2))
    return [rows[start : start + most] for start in range(0, len(rows), most)]


def _taken(swaps: Swaps, chosen_N: Flags) -> Swaps:
    return replace(swaps, **{name: getattr(swaps, name)[chosen_N] for name in Swaps.__slots__})


def _whole(chance_NE: Floats) -> Floats:
    """Return the chances with one column more: of all other orders together."""
    return np.column_stack([chance_NE, np.maximum(0.0, 1 - chance_NE.sum(axis=1))])
