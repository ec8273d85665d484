"""What bandits are asked and answer over HTTP, as types."""

from __future__ import annotations

from typing import Annotated

import msgspec

from orita.delivery.bandits.declarations import MOST_ARMS, MOST_LETTERS
from orita.serving.http.decoding import Id

__all__ = ["ChooseRequest", "Chosen", "RewardRequest", "Rewarded"]

ArmName = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_LETTERS)]


class ChooseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which arms are wanted.

    Attributes:
        context: a number for each feature that the bandit declares; none for one without features.
        arms: those that may be shown now; null: all.
        k: how many different ones, the best first.
        unit: whoever they are for; it is logged, and ties what is logged of one together.
    """

    context: dict[str, float] = {}
    arms: Annotated[list[ArmName], msgspec.Meta(min_length=1, max_length=MOST_ARMS)] | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=MOST_ARMS)] = 1
    unit: Id | None = None


class Chosen(msgspec.Struct, frozen=True):
    """What to show.

    Attributes:
        decision_id: names this choice when its rewards are told.
        bandit: its key.
        arms: the first position first.
        propensities: the probability of each, given those before it.
        errors: what each may be off by: 0 where it is exact.
        state_version: how many logged choices and rewards it knew of.
    """

    decision_id: str
    bandit: str
    arms: list[str]
    propensities: list[float]
    errors: list[float]
    state_version: int


class RewardRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a choice.

    Attributes:
        decision_id: of the choice.
        rewards: by arm; or a list, of the first position, the second … Those of other arms may come later.
    """

    decision_id: str
    rewards: dict[ArmName, float] | list[float]


class Rewarded(msgspec.Struct, frozen=True):
    """What was taken; it is learnt of within a second or two.

    Attributes:
        decision_id: of the choice.
        rewards: how many were logged; one that is told again is logged again, and counts once.
    """

    decision_id: str
    rewards: int
