"""The policies there are; a tagged union, so that any is read from JSON, YAML or bytes by its ``type``."""

from __future__ import annotations

from orita.delivery.bandits.arm_policies import (
    UCB1,
    BernoulliThompson,
    EpsilonGreedy,
    GaussianThompson,
    StudentThompson,
)
from orita.delivery.bandits.linear_policies import LinearThompson, LinUCB

__all__ = ["Policy"]

Policy = EpsilonGreedy | UCB1 | BernoulliThompson | GaussianThompson | StudentThompson | LinUCB | LinearThompson
