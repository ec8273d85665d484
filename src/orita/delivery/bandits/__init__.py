"""Bandits: arms that are picked by what was learnt of them, with the probability of each pick.

A ``Bandit`` has a policy, declared as a value: `EpsilonGreedy`, `UCB1`, `BernoulliThompson`, `GaussianThompson`,
`StudentThompson` without features, `LinUCB` and `LinearThompson` with them. `SwapExploration` explores ranked lists.
"""

from orita.delivery.bandits.arm_policies import (
    UCB1,
    BernoulliThompson,
    EpsilonGreedy,
    GaussianThompson,
    StudentThompson,
)
from orita.delivery.bandits.bandit import Bandit
from orita.delivery.bandits.belief import Propensities
from orita.delivery.bandits.discount import Discount, HalfLife, PerUpdate
from orita.delivery.bandits.linear_policies import LinearThompson, LinUCB
from orita.delivery.bandits.policies import Policy
from orita.delivery.bandits.shares import ArmRewards, arm_shares, best_arm
from orita.delivery.bandits.simulation import simulated_regret
from orita.delivery.bandits.slate import Arm, Slate
from orita.delivery.bandits.swaps import ShownOrder, SwapExploration

__all__ = [
    "UCB1",
    "Arm",
    "ArmRewards",
    "Bandit",
    "BernoulliThompson",
    "Discount",
    "EpsilonGreedy",
    "GaussianThompson",
    "HalfLife",
    "LinUCB",
    "LinearThompson",
    "PerUpdate",
    "Policy",
    "Propensities",
    "ShownOrder",
    "Slate",
    "StudentThompson",
    "SwapExploration",
    "arm_shares",
    "best_arm",
    "simulated_regret",
]
