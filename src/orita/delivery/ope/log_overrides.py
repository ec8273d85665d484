"""Whom an override gave the version that answered, among answers that the log has without a rollout's dice.

While a rollout is under way the log has an answer with its variant and without the rollout where no dice were thrown:
its audience or a holdout kept the request out, or a challenger was being loaded, and the answer is the champion's own;
or an override chose. The log does not say which, the declaration of the rollout does: an override chose where it gives
that variant as a challenger. One with the champion gives what others get who take no part.

Legend: S answers, R rollouts.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import to_micros
from orita.core.home import Home
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts

__all__ = ["LogOverrides"]

Flags = npt.NDArray[np.bool_]


class LogOverrides:
    """The overrides of all rollouts of a system, by when each rollout began.

    Args:
        home: whose control state.
        system: whose rollouts.
    """

    def __init__(self, home: Home, system: str) -> None:
        events = Rollouts(home.control, home.tenant).history(system)
        begun = (msgspec.json.decode(event.body, type=Rollout) for event in events if event.type == "started")
        routing = [each for each in begun if each.plan.routes]
        self._since_R = np.array([to_micros(each.started_at) for each in routing], np.int64)
        self._free = [_never_overridden(each) for each in routing]

    def may_have_chosen(self, answers: pa.Table) -> Flags:
        """Return for each answer whether an override may have chosen: it did, or no rollout is known that says.

        Args:
            answers: columns ``timestamp``, ``variant`` and ``rollout``, a row an answer.
        """
        without_dice_S = pc.and_(pc.is_valid(answers["variant"]), pc.is_null(answers["rollout"])).to_numpy()
        at_S = answers["timestamp"].cast(pa.int64()).to_numpy()
        rollout_S = np.searchsorted(self._since_R, at_S, side="right") - 1
        chosen_S = without_dice_S.copy()
        for rollout in np.unique(rollout_S[without_dice_S]):
            if rollout >= 0:
                free_S = pc.is_in(answers["variant"], pa.array(self._free[rollout], pa.string())).to_numpy()
                chosen_S &= ~(free_S & (rollout_S == rollout))
        return np.asarray(chosen_S, np.bool_)


def _never_overridden(rollout: Rollout) -> list[str]:
    """Return the versions that no override gives to somebody who would get another one."""
    given = {each.variant for each in rollout.plan.overrides} - {rollout.champion}
    return [version for version in (rollout.champion, *rollout.plan.versions) if version not in given]
