"""How a choice and its rewards are made of what is asked; neither is answered before it is durable."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from orita.core.clock import Clock, to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.core.ids import millis_of, uuid7
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.learner import Learner
from orita.delivery.bandits.open_choices import OpenChoice
from orita.delivery.bandits.records import Choice, Rewards
from orita.delivery.bandits.served import ServedBandit
from orita.serving.bandits.messages import ChooseRequest, Chosen, Rewarded, RewardRequest
from orita.serving.bandits.writing import RecordWriter
from orita.serving.http.refusal import Refused

__all__ = ["DECISION", "BanditAnswers"]

DECISION = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DECISION = re.compile(DECISION)
_CLOCKS_DIFFER = 60.0
"""Seconds by which the clocks of machines that share a log may be apart."""


class BanditAnswers:
    """Answers for all bandits of a tenant; called by the thread of the event loop.

    Args:
        learner: has the bandits to pick by.
        writer: logs.
        clock: the time.
    """

    def __init__(self, learner: Learner, writer: RecordWriter, clock: Clock) -> None:
        self._learner, self._writer, self._clock = learner, writer, clock
        self._random: dict[tuple[str, int | None], np.random.Generator] = {}
        self._chosen: Counter[str] = Counter()
        self._rewarded: Counter[str] = Counter()

    def metrics(self) -> Iterator[Metric]:
        """Yield what this process counted."""
        for name, told, counts in (
            ("bandit_choices", "Choices that were made and logged.", self._chosen),
            (
                "bandit_rewards",
                "Rewards that were taken and logged, also again.",
                self._rewarded,
            ),
        ):
            family = CounterMetricFamily(name, told, labels=["bandit"])
            for key, count in sorted(counts.items()):
                family.add_metric([key], count)
            yield family

    async def choose(self, key: str, asked: ChooseRequest) -> Chosen:
        """Pick.

        Raises:
            Refused: 404 there is no such bandit; 422 the context or the arms are wrong; 503 as of the log.
        """
        bandit = self._bandit(key)
        declared = bandit.declaration
        try:
            context_D = bandit.context(asked.context)
            slate = bandit.slate(self._rng(key, declared.seed), asked.k, context_D, asked.arms)
        except (NotFound, UserError) as error:
            raise Refused(422, "invalid_value", str(error)) from None
        if not np.isfinite(slate.propensities_K).all():  # of no use to anybody: neither answered nor logged
            raise ArithmeticError(f"the propensities of bandit {key!r} are not finite")
        chosen = Chosen(
            uuid7(self._clock),
            key,
            [str(arm) for arm in slate.arms],
            slate.propensities_K.tolist(),
            slate.errors_K.tolist(),
            bandit.version,
        )
        await self._writer.written(
            Choice(
                key,
                chosen.decision_id,
                to_micros(self._clock.now()),
                chosen.arms,
                list(asked.arms or declared.arms),
                chosen.propensities,
                chosen.errors,
                None if context_D is None else context_D.tolist(),
                None if asked.unit is None else str(asked.unit),
                declared.learning,
                bandit.version,
            )
        )
        self._chosen[key] += 1
        return chosen

    async def reward(self, key: str, told: RewardRequest) -> Rewarded:
        """Take rewards; those that are told twice count once.

        Raises:
            Refused: 404 there is no such bandit; 410 the choice takes no rewards any more; 422 a reward is wrong; 503
                as of the log.
        """
        bandit = self._bandit(key)
        if not _DECISION.fullmatch(told.decision_id):
            message = f"decision_id has the value {told.decision_id[:80]!r}, expected that of the answer to a choice."
            raise Refused(422, "invalid_value", message)
        choice = self._learner.choice(key, told.decision_id)
        if choice is None:  # of another worker, and not known here yet; or closed; or not its own
            self._check_owner(key, told.decision_id)
        names = list(told.rewards) if isinstance(told.rewards, dict) else None
        values = list(told.rewards.values()) if isinstance(told.rewards, dict) else told.rewards
        _check_arms(names, len(values), choice)
        _check_values(names or [f"position {place}" for place in range(1, len(values) + 1)], values, bandit.declaration)
        self._check_age(told.decision_id, bandit.declaration.wait_seconds)
        at = to_micros(self._clock.now())
        await self._writer.written(Rewards(key, told.decision_id, at, names, values))
        self._rewarded[key] += len(values)
        return Rewarded(told.decision_id, len(values))

    def _bandit(self, key: str) -> ServedBandit:
        served = self._learner.served
        if served is None:
            raise Refused(503, "bandits_not_read", "the bandits could not be read yet: ask again.", retry_after=1)
        if key not in served:
            raise Refused(404, "bandit_not_found", f"there is no bandit {key[:80]!r}. {closest(key[:80], served)}")
        return served[key]

    def _rng(self, key: str, seed: int | None) -> np.random.Generator:
        found = self._random.get((key, seed))
        if found is None:
            found = self._random[key, seed] = np.random.default_rng(seed)
        return found

    def _check_owner(self, key: str, decision: str) -> None:
        owner = self._learner.bandit_of(decision)
        if owner not in (None, key):
            message = f"decision_id {decision!r} is of the bandit {owner!r}, not of {key!r}: tell it to that one."
            raise Refused(422, "invalid_value", message)

    def _check_age(self, decision: str, wait_seconds: float) -> None:
        age = self._clock.now().timestamp() - millis_of(decision) / 1000
        if age < -_CLOCKS_DIFFER:
            message = f"decision_id {decision!r} is of {-age:,.0f} s from now: give that of the answer to a choice."
            raise Refused(422, "invalid_value", message)
        if age > wait_seconds:
            raise Refused(
                410,
                "choice_closed",
                f"decision_id {decision!r} is of {age:,.0f} s ago, and this bandit waits {wait_seconds:,.0f} s for "
                "rewards (wait_seconds): they do not count any more.",
            )


def _check_arms(names: list[str] | None, count: int, choice: OpenChoice | None) -> None:
    if not count:
        raise Refused(422, "invalid_value", "rewards has none: give one by arm, or a list by position.")
    if choice is None:
        return
    for name in names or ():
        if name not in choice.arms:
            known = closest(name, choice.arms)
            raise Refused(422, "invalid_value", f"rewards has {name!r}, which was not chosen. {known}")
    if count > len(choice.arms):
        most = len(choice.arms)
        raise Refused(
            422, "invalid_value", f"rewards has {count} values, and {most} arms were chosen: give at most so."
        )


def _check_values(names: list[str], values: list[float], declared: BanditDeclaration) -> None:
    low, high = declared.range
    for name, value in zip(names, values, strict=True):
        if not (math.isfinite(value) and low <= value <= high):
            raise Refused(
                422,
                "invalid_value",
                f"rewards has {value:g} for {name!r}, allowed are finite numbers from {low:g} to {high:g}.",
            )
