"""Asks a server of Orita, typed: `Client` and `AsyncClient`; ``docs/client.md`` tells how.

Needs the extra ``client`` (``pip install 'orita[client]'``), and nothing of what a server needs: no numpy, no models.
"""

from __future__ import annotations

from orita.client.answers import (
    Configuration,
    FeatureConfiguration,
    FeatureRows,
    Health,
    Job,
    Metrics,
    Pushed,
    RankedItem,
    Ranking,
)
from orita.client.asynchronous import AsyncClient
from orita.client.blocking import Client
from orita.client.errors import BadAnswer, Refused, TimedOut, Unreachable, Untrusted
from orita.client.pins import pin_of

__all__ = [
    "AsyncClient",
    "BadAnswer",
    "Client",
    "Configuration",
    "FeatureConfiguration",
    "FeatureRows",
    "Health",
    "Job",
    "Metrics",
    "Pushed",
    "RankedItem",
    "Ranking",
    "Refused",
    "TimedOut",
    "Unreachable",
    "Untrusted",
    "pin_of",
]
