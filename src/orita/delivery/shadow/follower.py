"""Which shadows there are to be: those of control state, begun, paused and ended as it says.

    follower = ShadowFollower(home, "feed", open_candidate)
    while not stopping.wait(1.0):
        follower.look()
    follower.close()

It is for one thread, which need have nothing else to do: `look` takes as long as its *seconds* say, or the time until
an answer of a candidate that hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import structlog

from orita.core.clock import Clock, SystemClock
from orita.core.errors import OritaError
from orita.core.home import Home
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts
from orita.delivery.shadow.candidate import OpenCandidate
from orita.delivery.shadow.scoring import Limits
from orita.delivery.shadow.shadow import Shadow

__all__ = ["ShadowFollower"]

_log = structlog.stdlib.get_logger("orita.shadow")

_RETENTION_SECONDS = 3600.0


class ShadowFollower:
    """Keeps a shadow for each live rollout of the strategy ``shadow`` of *system*.

    Args:
        home: whose control state and log.
        system: whose rollouts.
        open_: opens a candidate, in a process of its own.
        clock: the time.
        limits: what a candidate may take.
        retention_days: whole days of differences that are kept beside the present one; None: all.

    Attributes:
        troubles: what is wrong with shadows, by the id of the rollout.
    """

    def __init__(
        self,
        home: Home,
        system: str,
        open_: OpenCandidate,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        retention_days: int | None = None,
    ) -> None:
        self._home, self._system, self._open = home, system, open_
        self._clock = clock or SystemClock()
        self._limits = limits or Limits()
        self._days = retention_days
        self._rollouts = Rollouts(home.control, home.tenant, self._clock)
        self._shadows: dict[str, Shadow] = {}
        self._let_go = float("-inf")
        self.troubles: dict[str, str] = {}

    @property
    def shadows(self) -> Mapping[str, Shadow]:
        """Those that are followed now, by the id of their rollout."""
        return self._shadows

    def look(self, seconds: float = 1.0) -> None:
        """Follow control state, then mirror what was answered, for so many seconds a shadow at most.

        Raises:
            OritaError: control state cannot be read; what is followed is followed on by the next look.
        """
        self._follow()
        for id_, shadow in self._shadows.items():
            self._guarded(id_, partial(_looked, shadow, seconds))
        now = self._clock.monotonic()
        if self._days is not None and now - self._let_go > _RETENTION_SECONDS:
            self._let_go = now
            for shadow in self._shadows.values():
                shadow.let_go(self._days)

    def catch_up(self, tell: Callable[[int], None] = lambda _: None) -> None:
        """Mirror all that was answered and not mirrored yet, as fast as budgets let it.

        Raises:
            OSError, OritaError: something cannot be read or written.
        """
        self._follow()
        for id_, shadow in self._shadows.items():
            shadow.catch_up(tell)
            self._say(id_, shadow.trouble)

    def close(self) -> None:
        """End all shadows; what was scored counts."""
        for id_ in list(self._shadows):
            self._end(id_)

    def _follow(self) -> None:
        live = {each.id: each for each in self._rollouts.current(self._system).shadows}
        for id_ in [id_ for id_ in self._shadows if id_ not in live]:
            self._end(id_)
        for id_, rollout in live.items():
            if id_ in self._shadows:
                self._shadows[id_].rollout = rollout
            else:
                self._guarded(id_, partial(self._begin, rollout))

    def _begin(self, rollout: Rollout) -> None:
        shadow = Shadow(self._home, rollout, self._open, clock=self._clock, limits=self._limits)
        self._shadows[rollout.id] = shadow
        _log.info("shadow_begun", system=self._system, rollout=rollout.id, versions=list(rollout.plan.versions))

    def _end(self, id_: str) -> None:
        shadow = self._shadows.pop(id_)
        self._guarded(id_, shadow.close)
        self.troubles.pop(id_, None)
        _log.info("shadow_ended", system=self._system, rollout=id_)

    def _guarded(self, id_: str, act: Callable[[], str | None]) -> None:
        """Do something for a shadow, which returns its trouble; what goes wrong with one leaves the others alone."""
        try:
            trouble = act()
        except (OSError, OritaError, ValueError) as error:
            trouble = str(error)
        self._say(id_, trouble)

    def _say(self, id_: str, trouble: str | None) -> None:
        """Keep the trouble of a shadow, and tell it once."""
        if trouble is None:
            self.troubles.pop(id_, None)
        elif self.troubles.get(id_) != trouble:
            _log.error("shadow_in_trouble", alert=True, system=self._system, rollout=id_, reason=trouble)
            self.troubles[id_] = trouble


def _looked(shadow: Shadow, seconds: float) -> str | None:
    shadow.look(seconds)
    return shadow.trouble
