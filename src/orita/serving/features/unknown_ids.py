"""What becomes of a request with ids of which the features know nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol, runtime_checkable

from orita.core.config import Section
from orita.core.errors import UserError
from orita.features.online.reader import UnknownIds, Whom
from orita.serving.http.refusal import Refused
from orita.serving.protocols import FeatureSource

__all__ = ["KnowsIds", "UnknownIdsConfig", "by_policy", "refused_by_features"]

Policy = Literal["cold_start", "refuse"]


class UnknownIdsConfig(Section):
    """What becomes of users and items without an event and without an attribute.

    ``cold_start``: they are newcomers, and the model says what it says of these. ``refuse``: 422.

    Attributes:
        users: of the user who asks.
        items: of the items asked; one that is not known is enough.
    """

    users: Policy = "cold_start"
    items: Policy = "cold_start"


@runtime_checkable
class KnowsIds(Protocol):
    """Features that know whom they have; `orita.features.online.following.OnlineFeatures` does."""

    def refusing(self, whom: Collection[Whom], /) -> FeatureSource:
        """Return the same features, whose readers refuse ids of *whom* that are not known."""
        ...


def by_policy(features: FeatureSource, config: UnknownIdsConfig) -> FeatureSource:
    """Return *features* for requests, as *config* says.

    Raises:
        UserError: ids are to be refused, and nothing tells which are known.
    """
    policies: dict[Whom, Policy] = {"user": config.users, "item": config.items}
    refused = [whom for whom, policy in policies.items() if policy == "refuse"]
    if not refused:
        return features
    if not isinstance(features, KnowsIds):
        raise UserError("serving.unknown_ids says 'refuse', and these features do not tell which ids they know.")
    return features.refusing(refused)


def refused_by_features(error: UserError) -> Refused:
    """Return the refusal of a request that its features refuse."""
    return Refused(422, "unknown_ids" if isinstance(error, UnknownIds) else "invalid_value", str(error))
