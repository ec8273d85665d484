"""Do versions have the users that the dice gave them? Where they do not, no comparison can be believed.

A mismatch says that routing, logging or a filter loses users of one version: a sample-ratio mismatch
(`orita.stats.sequential.sample_ratio`). It proves no harm, so it holds the rollout for somebody to look, and takes
nothing back. Only users whom the rollout sees for the first time count: who comes back may be the version's doing. Each
split is a test of its own. Its first seconds are left out: servers take it up within one, and until then some go by the
one of before.
"""

from __future__ import annotations

from orita.delivery.rollouts.findings import CheckFinding, Says, period_level
from orita.delivery.rollouts.looks import SPLIT_SETTLES, Look
from orita.delivery.rollouts.plan import RolloutPlan
from orita.stats.sequential.sample_ratio import SampleRatioTest

__all__ = ["SplitCheck"]

_LEVEL = 0.001


class SplitCheck:
    """Whether users are split as declared; of a plan that splits something else than users, nothing is said.

    Args:
        plan: of the rollout.
    """

    def __init__(self, plan: RolloutPlan) -> None:
        self._counts_users = plan.counts_users
        self._test: SampleRatioTest | None = None
        self._versions: tuple[str, ...] = ()
        self._stage = -1
        self._found: str | None = None

    def take(self, look: Look) -> None:
        """Count the new users of a look."""
        if not self._counts_users or look.at - look.stage.since < SPLIT_SETTLES:
            return
        if look.stage.number != self._stage:
            self._stage = look.stage.number
            shares = {version: share for version, share in look.stage.shares.items() if share > 0}
            self._versions = tuple(shares)
            level = period_level(_LEVEL, self._stage)
            self._test = SampleRatioTest.start(list(shares.values()), level=level) if len(shares) > 1 else None
        if self._test is None:
            return
        self._test = self._test.updated([look.newcomers.get(version, 0) for version in self._versions])
        if self._test.rejected and self._found is None:
            self._found = self._told(self._test)

    @property
    def finding(self) -> CheckFinding | None:
        """What it says now, None where it says nothing."""
        if self._test is None and self._found is None:
            return None
        says: Says = "beyond" if self._found else "fine"
        evidence = {} if self._test is None else self._test.to_dict() | {"versions": list(self._versions)}
        why = self._found or "users are split as declared"
        return CheckFinding(check="split", version="all versions", says=says, why=why, evidence=evidence)

    def _told(self, test: SampleRatioTest) -> str:
        total = sum(test.counts)
        each = ", ".join(
            f"{version} has {100 * count / total:.2f} % of them instead of {100 * share:.2f} %"
            for version, count, share in zip(self._versions, test.counts, test.shares, strict=True)
        )
        return f"of {total:,.0f} users {each} (p {test.p_value:.1g}): routing or logging loses users of one version"
