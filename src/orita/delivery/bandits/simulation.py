"""Which policy suits my arms? Regret by simulation, with rates that may drift and feedback that comes late.

Legend: A arms, T decisions, R runs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.bandits.bandit import Bandit
from orita.delivery.bandits.belief import FloatArray
from orita.delivery.bandits.discount import Discount
from orita.delivery.bandits.policies import Policy

__all__ = ["simulated_regret"]


def simulated_regret(
    policy: Policy,
    rates: npt.ArrayLike,
    *,
    decisions: int,
    runs: int,
    discount: Discount | None = None,
    delay: int = 0,
    batch: int = 1,
    seed: int = 0,
) -> FloatArray:
    """Return the cumulative regret of each run after each decision, [R, T]: rate of the best arm less that of the pick.

    Rewards are 0 or 1. Run r sees the same luck whatever the policy: differences of policies are best taken run by run.
    Its Monte Carlo error is the standard deviation over runs ÷ √R.

    Args:
        policy: one without features.
        rates: [A] of each arm, in [0, 1]; or [T, A] where they drift.
        decisions: T.
        runs: R ≥ 1, with seeds of their own from *seed* on.
        discount: how fast feedback is forgotten; one decision is one second for a half-life.
        delay: feedback comes after so many further decisions.
        batch: it comes together for so many decisions.
        seed: of the first run.
    """
    rates_TA = np.asarray(rates, np.float64)
    rates_TA = np.broadcast_to(rates_TA, (decisions, rates_TA.shape[-1]))
    if not ((rates_TA >= 0) & (rates_TA <= 1)).all():
        raise UserError("rates: must be 0 to 1, the probability of a reward")
    if batch < 1 or delay < 0 or runs < 1:
        raise UserError(f"runs {runs}, batch {batch}, delay {delay}: must be at least 1, 1 and 0")
    rows_T = np.arange(decisions)
    regret_RT = np.empty((runs, decisions))
    for run in range(runs):
        luck, rng = (np.random.default_rng([seed + run, part]) for part in range(2))
        rewards_TA = (luck.random(rates_TA.shape) < rates_TA).astype(np.float64)
        bandit = Bandit(policy, range(rates_TA.shape[1]), discount=discount, remembered=0)
        picked: list[int] = []
        learnt = 0
        for decision in range(decisions):
            picked.append(int(bandit.pick(rng)))
            if (known := decision + 1 - delay) - learnt >= batch:
                rows = rows_T[learnt:known]
                bandit.update_many(picked[learnt:known], rewards_TA[rows, picked[learnt:known]], at=rows)
                learnt = known
        regret_RT[run] = np.cumsum(rates_TA.max(axis=1) - rates_TA[rows_T, picked])
    return regret_RT
