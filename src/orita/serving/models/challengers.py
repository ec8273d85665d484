"""What answers beside the champion: the challengers of the rollout under way, loaded, and who gets them.

The thread that follows the deployment reads the rollout before it and loads afterwards. A request sees one value of
`ChallengerFollower.current`: the router and what it may choose from change together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import structlog
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from orita.core.errors import Unavailable
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts
from orita.delivery.rollouts.routing import Router
from orita.serving.background.told_once import ToldOnce
from orita.serving.http.reply import Headers
from orita.serving.predict.question import LoadedModel
from orita.serving.predict.requests import Asked

__all__ = ["ChallengerFollower", "Challengers", "Chosen"]

_log = structlog.stdlib.get_logger("orita.serving")

_RETRY_LOOKS = 10
"""Looks at the rollout between two attempts to load a challenger that failed."""
_EVERY = 20
"""Looks after which all is read again, whatever the position says: what is kept may have been made anew."""

Load = Callable[[str], LoadedModel]
"""Loads a version."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What answers a request.

    Attributes:
        model: a loaded model.
        rollout: the rollout whose dice chose; None where the request takes no part, or an override chose.
        variant: the version that was chosen; None where no rollout is under way.
        split_micros: when the split of the dice began, microseconds since the Unix epoch; None where none chose.
    """

    model: LoadedModel
    rollout: str | None = None
    variant: str | None = None
    split_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Challengers:
    """The challengers of a rollout.

    Attributes:
        router: who gets which.
        loaded: those that can answer, by version.
        failed: those that cannot be loaded.
        requests: counts them, by the version that was chosen.
        complete: whether each challenger was loaded, or cannot be.
    """

    router: Router
    loaded: Mapping[str, LoadedModel]
    failed: frozenset[str] = frozenset()
    requests: dict[str, int] = field(default_factory=dict)
    complete: bool = field(init=False)

    def __post_init__(self) -> None:
        versions = self.router.rollout.plan.versions
        object.__setattr__(self, "complete", all(each in self.loaded or each in self.failed for each in versions))

    def preview(self, headers: Headers) -> dict[str, str] | None:
        """Return the attributes that *headers* are to the overrides of the rollout, None where they are none."""
        names = self.router.headers
        if not names:
            return None
        found = {names[name]: value.decode("latin-1") for name, value in headers if name in names}
        return found or None

    def choose(self, asked: Asked, champion: LoadedModel, extra: Mapping[str, object] | None = None) -> Chosen:
        """Return what answers a request.

        While a challenger is being loaded its requests go to the champion, and no request takes part: versions are
        compared over the same time. Where one cannot be loaded its requests go to the champion too, and count as its
        failures: the log says the variant, and the version that answered. What it needs may be away: that is no failure
        of its own, and nobody takes part meanwhile.

        Args:
            asked: the request.
            champion: what is deployed.
            extra: attributes beside those of the request, such as headers.
        """
        deployed = champion.package.version
        if self.router.rollout.champion != deployed:
            return Chosen(champion)  # somebody deployed another version: the rollout is over
        attributes: dict[str, object] = dict(asked.attributes or ())
        for header in self.router.headers.values():
            attributes.pop(header, None)  # a body cannot say what a header says: a proxy may have stripped it
        attributes |= {**asked.context, **(extra or {}), "user_id": asked.user_id}
        route = self.router.route(attributes)
        self.requests[route.version] = self.requests.get(route.version, 0) + 1
        rollout, split = (route.rollout, route.split_micros) if self.complete else (None, None)
        if route.version == deployed:
            return Chosen(champion, rollout, deployed, split)
        found = self.loaded.get(route.version)
        if found is not None:
            return Chosen(found, rollout, route.version, split)
        return Chosen(champion, rollout, route.version if route.version in self.failed else deployed, split)


class ChallengerFollower:
    """Keeps `current` what the rollouts of *system* say, as far as challengers can be loaded.

    Args:
        system: whose.
        rollouts: where they are kept.

    Attributes:
        current: None while no rollout changes what users get.
        requests: of rollouts, by the version that was chosen, since the server began.
    """

    def __init__(self, system: str, rollouts: Rollouts) -> None:
        self._system, self._rollouts = system, rollouts
        self._seen: Rollout | None = None
        self._looks, self._position = 0, -1
        self._looks_since, self._away = 0, False
        self._told = ToldOnce(system=system)
        self.current: Challengers | None = None
        self.requests: dict[str, int] = {}

    def metrics(self) -> Iterator[Metric]:
        """Yield what is counted."""
        counted = CounterMetricFamily(
            "rollout_requests", "Requests under a rollout, by the version that was chosen.", labels=["version"]
        )
        for version, count in sorted(self.requests.items()):
            counted.add_metric([version], count)
        yield counted

    @property
    def loaded(self) -> Mapping[str, LoadedModel]:
        """The challengers that can answer, by version."""
        return self.current.loaded if self.current is not None else MappingProxyType({})

    def read(self) -> bool:
        """Read the rollout under way; return whether control state has news, or might have.

        While control state cannot be read, the rollout of before goes on.
        """
        self._looks += 1
        try:
            position = self._rollouts.log.position()
            if position == self._position and self._looks % _EVERY:
                return False
            self._seen = self._rollouts.current(self._system).routing
            self._position = position
            self._told.over("rollout_not_read")
        except Exception as error:  # a busy or broken database, or what a later Orita wrote
            self._position = -1
            self._told.tell("rollout_not_read", error)
        return True

    def follow(self, champion: LoadedModel, load: Load) -> None:
        """Let `current` be what was read: at most one challenger is loaded, so that the champion is not kept waiting.

        Args:
            champion: what is deployed.
            load: loads a version.
        """
        rollout, before = self._seen, self.current
        if rollout is None or rollout.champion != champion.package.version:
            self.current = None
            return
        same = before is not None and before.router.rollout.id == rollout.id
        loaded, failed = (dict(before.loaded), before.failed) if before is not None and same else ({}, frozenset[str]())
        missing = self._missing(rollout, loaded, failed)
        if before is not None and same and before.router.rollout == rollout and missing is None:
            return
        router = before.router if before is not None and before.router.rollout == rollout else Router(rollout)
        self.current = Challengers(router, MappingProxyType(loaded), failed, self.requests)
        if missing is None:
            return
        made = self._made(missing, load)
        if made is None and not self._away:
            failed |= {missing}
        elif made is not None:
            failed -= {missing}
            loaded[missing] = made
        self.current = Challengers(router, MappingProxyType(loaded), failed, self.requests)

    def _missing(self, rollout: Rollout, loaded: Mapping[str, LoadedModel], failed: frozenset[str]) -> str | None:
        """Return a challenger that is to be loaded now; one that failed comes again after a while."""
        missing = [version for version in rollout.plan.versions if version not in loaded]
        fresh = [version for version in missing if version not in failed]
        if fresh or not missing:
            self._looks_since = 0
            return fresh[0] if fresh else None
        self._looks_since += 1
        if self._looks_since < _RETRY_LOOKS:
            return None
        self._looks_since = 0
        return missing[0]

    def _made(self, version: str, load: Load) -> LoadedModel | None:
        try:
            made = load(version)
        except Exception as error:  # a broken package may fail in any way; none may stop the server
            self._away = isinstance(error, Unavailable)
            self._told.tell("challenger_not_loaded", error, of=version, version=version)
            return None
        self._away = False
        self._told.over("challenger_not_loaded")
        _log.info("challenger_loaded", system=self._system, version=version)
        return made
