"""Bandits of a server: what they choose, and the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack
from urllib.parse import quote

import msgspec

from orita.client.asking import CallOptions
from orita.client.course import Asks, asked
from orita.client.exchange import Call, Course
from orita.client.json_form import read_data, written

__all__ = ["BanditCalls", "BanditChoice", "RewardsTaken"]

_PREFIX = "/api/v1/bandits"
_TAKEN = 202


class BanditChoice(msgspec.Struct, frozen=True):
    """What a bandit chose.

    Attributes:
        decision_id: names this choice when its rewards are told.
        bandit: its key.
        arms: what to show, the first position first.
        propensities: the probability of each, given those before it.
        errors: what each may be off by: 0 where it is exact.
        state_version: how many logged choices and rewards it knew of.
    """

    decision_id: str
    bandit: str
    arms: tuple[str, ...]
    propensities: tuple[float, ...]
    errors: tuple[float, ...]
    state_version: int

    @property
    def arm(self) -> str:
        """The arm of the first position."""
        return self.arms[0]


class RewardsTaken(msgspec.Struct, frozen=True):
    """How many rewards of a choice were logged; one that is told again counts once."""

    decision_id: str
    rewards: int


_choice, _taken = read_data(BanditChoice), read_data(RewardsTaken)


class BanditCalls(Asks):
    """What can be asked of bandits."""

    @asked
    def choose(
        self,
        key: str,
        context: Mapping[str, float] | None = None,
        *,
        arms: Sequence[str] | None = None,
        k: int | None = None,
        unit: int | str | None = None,
        **options: Unpack[CallOptions],
    ) -> Course[BanditChoice]:
        """Return what bandit *key* picks; it is logged durably by then.

        Args:
            key: which bandit.
            context: a number for each feature that it declares.
            arms: those that may be shown now; by default all.
            k: how many different ones, by default one.
            unit: whoever they are for, to be logged.
            options: see `CallOptions`.

        Raises:
            Refused: with the code ``bandit_not_found``, or ``invalid_value``: the context or the arms are wrong.
        """
        body = written(context=context, arms=arms, k=k, unit=unit)
        return self._start(Call(b"POST", f"{_path(key)}/choose", _choice, body), options)

    @asked
    def reward(
        self,
        key: str,
        decision: str | BanditChoice,
        rewards: Mapping[str, float] | Sequence[float],
        **options: Unpack[CallOptions],
    ) -> Course[RewardsTaken]:
        """Tell bandit *key* what came of a choice; however often it is told, it counts once for each arm.

        Args:
            key: which bandit.
            decision: the choice, or its ``decision_id``.
            rewards: by arm; or a list, of the first position, the second … Those of other arms may come later.
            options: see `CallOptions`.

        Raises:
            Refused: with the code ``choice_closed``: it came too late; ``invalid_value``: it is no reward of it.
        """
        named = decision.decision_id if isinstance(decision, BanditChoice) else decision
        body = written(decision_id=named, rewards=rewards)
        call = Call(b"POST", f"{_path(key)}/reward", _taken, body, frozenset({_TAKEN}))
        return self._start(call, options)


def _path(key: str) -> str:
    return f"{_PREFIX}/{quote(key, safe='')}"
