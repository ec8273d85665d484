"""What keeps a server up, for faces of a server that are tested without one."""

from __future__ import annotations

from orita.core.clock import SystemClock
from orita.serving.resilience.parts import Parts, ResilienceConfig, build_parts

__all__ = ["own_parts"]


def own_parts(*, most: int = 1000) -> Parts:
    """Return parts of their own, behind a door with room for *most* requests."""
    config = ResilienceConfig.model_validate({"admission": {"most": most, "least": min(most, 16)}})
    return build_parts(config, SystemClock())
