"""Checks of the contracts, for what you build yourself: a model, a store, an event log, a component.

    from orita.testing import check_ranker

Each check is imported when it is first asked for, so that one for a model asks for no broker.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orita.testing.cache_stores import check_cache_store
    from orita.testing.components import check_component
    from orita.testing.event_logs import check_event_log
    from orita.testing.job_queues import check_job_queue
    from orita.testing.online_stores import check_online_store
    from orita.testing.predictors import check_predictor
    from orita.testing.rankers import check_ranker
    from orita.testing.retrievers import check_retriever

__all__ = [
    "check_cache_store",
    "check_component",
    "check_event_log",
    "check_job_queue",
    "check_online_store",
    "check_predictor",
    "check_ranker",
    "check_retriever",
]

_MODULES = {
    "check_cache_store": "cache_stores",
    "check_component": "components",
    "check_event_log": "event_logs",
    "check_job_queue": "job_queues",
    "check_online_store": "online_stores",
    "check_predictor": "predictors",
    "check_ranker": "rankers",
    "check_retriever": "retrievers",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
