"""Asks a server of Orita, typed: `Client` and `AsyncClient`; ``docs/client.md`` tells how.

Needs the extra ``client`` (``pip install 'orita[client]'``), and nothing of what a server needs: no numpy, no models.
"""

from __future__ import annotations

from orita.client.answers import (
    Configuration,
    FeatureConfiguration,
    FeatureRows,
    FeedPage,
    Health,
    Job,
    Metrics,
    OutlierReason,
    Outliers,
    Pushed,
    RankedItem,
    Ranking,
)
from orita.client.asynchronous import AsyncClient
from orita.client.bandits import BanditChoice, RewardsTaken
from orita.client.batches import Batch, BatchError, BatchResult
from orita.client.blocking import Client
from orita.client.callbacks import JobEnded, verify_callback
from orita.client.errors import BadAnswer, ExpiredCursor, JobFailed, Refused, TimedOut, Unreachable, Untrusted
from orita.client.explanations import (
    ExplainedFeature,
    ExplainedItem,
    Explanation,
    ExplanationMethod,
    FeatureEvents,
    FeatureLineage,
    LoggedItem,
    LoggedRequest,
)
from orita.client.jobs import JobError, JobResult, PredictionJob, PredictRequest
from orita.client.models import Model, ModelPage
from orita.client.pins import pin_of
from orita.client.rollouts import Rollout
from orita.core.webhooks import BadSignature

__all__ = [
    "AsyncClient",
    "BadAnswer",
    "BadSignature",
    "BanditChoice",
    "Batch",
    "BatchError",
    "BatchResult",
    "Client",
    "Configuration",
    "ExpiredCursor",
    "ExplainedFeature",
    "ExplainedItem",
    "Explanation",
    "ExplanationMethod",
    "FeatureConfiguration",
    "FeatureEvents",
    "FeatureLineage",
    "FeatureRows",
    "FeedPage",
    "Health",
    "Job",
    "JobEnded",
    "JobError",
    "JobFailed",
    "JobResult",
    "LoggedItem",
    "LoggedRequest",
    "Metrics",
    "Model",
    "ModelPage",
    "OutlierReason",
    "Outliers",
    "PredictRequest",
    "PredictionJob",
    "Pushed",
    "RankedItem",
    "Ranking",
    "Refused",
    "RewardsTaken",
    "Rollout",
    "TimedOut",
    "Unreachable",
    "Untrusted",
    "pin_of",
    "verify_callback",
]
