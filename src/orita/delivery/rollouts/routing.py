"""Which version answers a request, by the rollout under way: a compiled function of its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orita.core.clock import to_micros
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import experiment_of

__all__ = ["Route", "Router"]

_HEADER = "header."


@dataclass(frozen=True, slots=True)
class Route:
    """What a request gets.

    Attributes:
        version: which answers.
        rollout: the rollout whose dice said so; None where the request takes no part, or an override chose.
        split_micros: when the split began that the dice were held against, microseconds since the Unix epoch; None
            where none were thrown.
    """

    version: str
    rollout: str | None
    split_micros: int | None = None


class Router:
    """Routes the requests of one system while a rollout is under way.

    Args:
        rollout: that changes what users get.

    Attributes:
        rollout: as given.
        headers: the headers that its overrides look at, by the name that a server has them under, and the attribute's.
    """

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self._experiment = experiment_of(rollout)
        names = (rollout.champion, *rollout.plan.versions)
        since = to_micros(rollout.since)
        self._drawn = {version: Route(version, rollout.id, since) for version in names}
        self._set = {version: Route(version, None) for version in names}
        self._outside = self._set[rollout.champion]
        named = {each.attribute for each in rollout.plan.overrides if each.attribute.startswith(_HEADER)}
        self.headers = {name.removeprefix(_HEADER).lower().encode(): name for name in sorted(named)}

    def route(self, attributes: Mapping[str, object]) -> Route:
        """Return what a request of these attributes gets; nothing that they hold raises."""
        assigned = self._experiment.assign(attributes)
        if assigned.variant is None:
            return self._outside
        return (self._drawn if assigned.reason == "assigned" else self._set)[assigned.variant]
