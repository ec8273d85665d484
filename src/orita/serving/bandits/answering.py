"""How a choice and its rewards are made of what is asked; neither is answered before it is durable."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import structlog
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from orita.core.clock import Clock, to_micros
from orita.core.errors import NotFound, OritaError, UserError, closest
from orita.core.ids import millis_of, uuid7
from orita.delivery.bandits.belief import FloatArray
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.given import CLOCKS_DIFFER, GIVEN_WITHIN, NotKept, given_choice
from orita.delivery.bandits.learner import Learner
from orita.delivery.bandits.records import Choice, Rewards
from orita.delivery.bandits.served import ServedBandit
from orita.delivery.bandits.slate import Slate
from orita.events.log.log import EventLog
from orita.serving.bandits.messages import ChooseRequest, Chosen, Rewarded, RewardRequest
from orita.serving.bandits.writing import RecordWriter
from orita.serving.features.jobs import BoundedWork
from orita.serving.http.refusal import Refused

__all__ = ["DECISION", "BanditAnswers"]

_log = structlog.stdlib.get_logger("orita.serving")

DECISION = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DECISION = re.compile(DECISION)
_FINDING = 256  # rewards of choices that are looked for in the log, which wait for one thread
_PICKING = 64  # picks of one bandit that wait for its thread


class BanditAnswers:
    """Answers for all bandits of a tenant; called by the thread of the event loop.

    Args:
        learner: has the bandits to pick by.
        writer: logs.
        log: to which it logs.
        clock: the time.
    """

    def __init__(self, learner: Learner, writer: RecordWriter, log: EventLog, clock: Clock) -> None:
        self._learner, self._writer, self._log, self._clock = learner, writer, log, clock
        self._picking: dict[str, BoundedWork] = {}
        self._finding = BoundedWork(1, _FINDING, "bandit_busy")
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
            slate = await self._slate(key, bandit, asked, context_D)
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
        if self._clock.now().timestamp() - millis_of(chosen.decision_id) / 1000 > GIVEN_WITHIN:
            message = f"the choice took more than {GIVEN_WITHIN:g} s to be logged: ask again."
            raise Refused(503, "bandit_log_unavailable", message, retry_after=1)
        self._chosen[key] += 1
        return chosen

    async def reward(self, key: str, told: RewardRequest) -> Rewarded:
        """Take rewards; those that are told twice count once.

        Raises:
            Refused: 404 there is no such bandit, or no such choice; 410 the choice takes no rewards any more; 422 a
                reward is wrong; 503 as of the log.
        """
        bandit = self._bandit(key)
        if not _DECISION.fullmatch(told.decision_id):
            message = f"decision_id has the value {told.decision_id[:80]!r}, expected that of the answer to a choice."
            raise Refused(422, "invalid_value", message)
        choice = self._learner.choice(key, told.decision_id)
        owner = self._learner.bandit_of(told.decision_id) if choice is None else key  # it may be learnt just now: key
        if owner is not None and owner != key:
            raise _of_another(told.decision_id, owner, key)
        names = list(told.rewards) if isinstance(told.rewards, dict) else None
        values = list(told.rewards.values()) if isinstance(told.rewards, dict) else told.rewards
        _check_arms(names, len(values), None if choice is None else choice.arms)
        _check_values(names or [f"position {place}" for place in range(1, len(values) + 1)], values, bandit.declaration)
        self._check_age(told.decision_id, bandit.declaration.wait_seconds)
        if choice is None:  # of another worker, and not known here yet; or closed; or nobody's
            _check_arms(names, len(values), await self._logged_arms(key, told.decision_id))
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

    async def _slate(self, key: str, bandit: ServedBandit, asked: ChooseRequest, context_D: FloatArray | None) -> Slate:
        """Return arms with their propensities; what computes these does so in a thread, one pick of a bandit a time."""
        rng = self._rng(key, bandit.declaration.seed)
        line = self._picking.get(key)
        if line is None:
            line = self._picking[key] = BoundedWork(1, _PICKING, "bandit_busy")
        if bandit.computed(asked.k, asked.arms) and not line.under_way:  # else both would draw from one generator
            return bandit.slate(rng, asked.k, context_D, asked.arms)
        return await line.run(lambda: bandit.slate(rng, asked.k, context_D, asked.arms))

    async def _logged_arms(self, key: str, decision: str) -> list[str] | None:
        """Return the arms of a choice as the log has it, None where it does not reach back so far.

        Raises:
            Refused: 404, it was never given; 422, it is another bandit's; 503, the log cannot be read.
        """
        unread = self._learner.next
        try:
            found = await self._finding.run(lambda: given_choice(self._log, decision, unread))
        except NotKept:
            return None
        except (OSError, OritaError) as error:
            _log.warning("bandit_log_not_read", reason=str(error))
            message = "the choice could not be looked for in the log: ask again."
            raise Refused(503, "bandit_log_unavailable", message, retry_after=1) from None
        if found is None:
            message = f"decision_id {decision!r} was never given: give that of the answer to a choice."
            raise Refused(404, "choice_not_found", message)
        if found.bandit != key:
            raise _of_another(decision, found.bandit, key)
        return found.arms

    def _check_age(self, decision: str, wait_seconds: float) -> None:
        age = self._clock.now().timestamp() - millis_of(decision) / 1000
        if age < -CLOCKS_DIFFER:
            message = f"decision_id {decision!r} is of {-age:,.0f} s from now: give that of the answer to a choice."
            raise Refused(422, "invalid_value", message)
        if age > wait_seconds:
            raise Refused(
                410,
                "choice_closed",
                f"decision_id {decision!r} is of {age:,.0f} s ago, and this bandit waits {wait_seconds:,.0f} s for "
                "rewards (wait_seconds): they do not count any more.",
            )


def _of_another(decision: str, owner: str, key: str) -> Refused:
    message = f"decision_id {decision!r} is of the bandit {owner!r}, not of {key!r}: tell it to that one."
    return Refused(422, "invalid_value", message)


def _check_arms(names: list[str] | None, count: int, chosen: list[str] | None) -> None:
    if not count:
        raise Refused(422, "invalid_value", "rewards has none: give one by arm, or a list by position.")
    if chosen is None:
        return
    for name in names or ():
        if name not in chosen:
            known = closest(name, chosen)
            raise Refused(422, "invalid_value", f"rewards has {name!r}, which was not chosen. {known}")
    if count > len(chosen):
        most = len(chosen)
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
