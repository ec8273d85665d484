"""Which permission a request needs, by its method and path: the whole table. What is not in it needs a known caller."""

from __future__ import annotations

from orita.serving.access.callers import Permission

__all__ = ["CALLS", "PROBES", "permission_of"]

PROBES = frozenset(("/health", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"))
"""Who watches a server asks these, and is asked nothing."""

_CHANGES = frozenset(("PUT", "DELETE"))
_PATHS: tuple[tuple[str, Permission | None], ...] = (
    ("/predict", "model:predict"),
    ("/api/v1/feed", "model:predict"),
    ("/api/v1/jobs", "model:predict"),
    ("/ofrep/v1", "model:predict"),
    ("/api/v1/bandits", "model:predict"),
    ("/api/v1/features/push", "data:write"),
    ("/api/v1/features", "data:read"),
    ("/api/v1/predictions", "data:read"),
    ("/api/v1/models", "model:read"),
    ("/api/v1/rollouts", "model:read"),
    ("/v2", "model:read"),
    ("/metrics", "model:read"),
    ("/config", "model:read"),
    ("/status", "model:read"),
    ("/graphql", None),  # each of its fields asks for its own
)
_MODELS = ("/api/v1/models", "/v2")
_ROLLOUTS = "/api/v1/rollouts"

CALLS: dict[str, Permission] = {
    "ServerMetadata": "model:read",
    "ModelReady": "model:read",
    "ModelMetadata": "model:read",
    "ModelInfer": "model:predict",
}
"""What the calls of gRPC need; those that are not here are probes."""


def permission_of(method: str, path: str) -> Permission | None:
    """Return what a request needs; None: nothing, but that its caller is known."""
    prefix, needed = next(((p, n) for p, n in _PATHS if path == p or path.startswith(f"{p}/")), ("", None))
    if prefix in _MODELS and method == "POST":
        return "model:predict"
    if prefix in _MODELS and method in _CHANGES:
        return "model:write"
    if prefix == _ROLLOUTS and method == "POST":
        return "model:write"
    return needed
