"""What a worker of a server tells: what each of its looks at control state lets it answer by, and who connects."""

from __future__ import annotations

import asyncio

from tests.delivery.kills.noting import Notes

from orita.serving.http.protocol import ServingProtocol
from orita.serving.models.challengers import ChallengerFollower, Load
from orita.serving.predict.question import LoadedModel

__all__ = ["tell_follows"]


def tell_follows(notes: Notes) -> None:
    """Have this worker tell what each look at control state let it answer by, and who connects to it."""
    follow, connected = ChallengerFollower.follow, ServingProtocol.connection_made

    def followed(self: ChallengerFollower, champion: LoadedModel, load: Load) -> None:
        follow(self, champion, load)
        if self._position > 0:  # else it could not be read
            notes.tell("followed", position=self._position, deployment=champion.sequence)

    def connection_made(self: ServingProtocol, transport: asyncio.Transport) -> None:
        notes.tell("connected", port=transport.get_extra_info("peername")[1])
        connected(self, transport)

    ChallengerFollower.follow = followed  # type: ignore[method-assign]
    ServingProtocol.connection_made = connection_made  # type: ignore[method-assign]
