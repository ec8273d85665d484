"""The face of flags, wired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orita.core.home import Home
from orita.delivery.flags.kept import Flags
from orita.serving.flags.follower import FlagFollower
from orita.serving.flags.openapi import describe_flags
from orita.serving.flags.routes import FlagRoutes
from orita.serving.http.face import Face
from orita.serving.service import Service

__all__ = ["mounted_flags"]


def mounted_flags(home: Home, service: Service) -> Face:
    """Return the flags of the home's tenant at ``/ofrep/v1``."""
    config = service.config
    follower = FlagFollower(Flags(home.control, home.tenant, service.clock), config.reload_seconds)
    service.background.watch(follower.background)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        follower.start()
        try:
            yield
        finally:
            follower.background.close()

    routes = FlagRoutes(lambda: follower.current, max_body=config.max_body_bytes).routes
    return Face(service.metrics.api_latency.watched(routes), [describe_flags], running)
