"""Guardrails: what users do besides must not get worse by more than is tolerated. Each at every look.

A rate is tested as the metric is (`orita.delivery.rollouts.rates_of_users`), a mean value of users' sums asymptotically
(`orita.delivery.rollouts.means_of_users`). A guardrail moves no step: what is not proven keeps nobody.
"""

from __future__ import annotations

import math

from orita.delivery.rollouts.checks import GuardrailCheck
from orita.delivery.rollouts.findings import CheckFinding, Says
from orita.delivery.rollouts.looks import MetricBatch
from orita.delivery.rollouts.means_of_users import MeansOfUsers
from orita.delivery.rollouts.rates_of_users import RatesOfUsers

__all__ = ["Guardrail"]


class Guardrail:
    """One guardrail of one challenger.

    Args:
        check: as declared.
        champion, version: whose users.
        level: of "it is worse by more than is tolerated", over all looks.
        takes_back: whether that is harm that the rollout is rolled back for.
    """

    def __init__(self, check: GuardrailCheck, champion: str, version: str, *, level: float, takes_back: bool) -> None:
        self._check, self.version, self._level, self._takes_back = check, version, level, takes_back
        self._lower = check.direction == "up"
        self._users: RatesOfUsers | MeansOfUsers = (
            RatesOfUsers(champion, version, [check.null], lower=self._lower)
            if check.kind == "rate"
            else MeansOfUsers(champion, version, check.null, lower=self._lower)
        )
        self._harm: str | None = None

    @property
    def name(self) -> str:
        """Its column."""
        return self._check.name

    def take(self, batch: MetricBatch) -> None:
        """Count users whose outcomes are known now."""
        self._users.take(batch)
        if self._takes_back and self._harm is None and self._users.p_worse <= self._level:
            self._harm = self._told()

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        check, ratio = self._check, self._users.ratio
        control, treated = self._users.control, self._users.treated
        says: Says = "harm" if self._harm else "waiting" if self._users.waits else "fine"
        evidence = {
            "metric": check.name,
            "kind": check.kind,
            "direction": check.direction,
            "users": treated.users,
            "shown": treated.shown,
            "outcomes": treated.outcomes,
            "champion_users": control.users,
            "champion_shown": control.shown,
            "champion_outcomes": control.outcomes,
            "ratio": None if math.isnan(ratio) else ratio,
            "most_loss": check.most_loss,
            "p_worse": self._users.p_worse,
            "level": self._level,
        }
        return CheckFinding(
            check=f"guardrail {check.name}",
            version=self.version,
            says=says,
            why=self._harm or self._told(),
            evidence=evidence,
        )

    def _told(self) -> str:
        check, users = self._check, self._users
        what = check.name if check.kind == "rate" else f"mean {check.name}"
        if users.waits:
            return f"{what}: too few users of {self.version} and of the champion are counted yet"
        change = f"{100 * (users.ratio - 1):+.1f} % against the champion"
        if math.isnan(users.ratio):
            change = f"{users.treated.outcomes:,.6g} by {users.treated.shown:,.0f} shown items, the champion none"
        beyond = f" beyond the {100 * check.most_loss:g} % that are tolerated" if check.most_loss else ""
        return (
            f"{what}: {self.version} has {change}, by {users.treated.users:,.0f} and {users.control.users:,.0f} users "
            f"({'less' if self._lower else 'more'} is worse; p of a {'loss' if self._lower else 'rise'}{beyond} "
            f"{users.p_worse:.2g})"
        )
