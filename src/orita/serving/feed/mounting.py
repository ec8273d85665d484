"""The feed of a server: its parts, wired, started and stopped together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio.to_thread
import numpy as np
from starlette.routing import Route

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.serving.features.unknown_ids import by_policy
from orita.serving.feed.cursor import Cursors
from orita.serving.feed.cursor_key import read_key
from orita.serving.feed.exploring import Exploring
from orita.serving.feed.feed import Feed
from orita.serving.feed.follower import FeedFollower, RetrieverLoader
from orita.serving.feed.item_reading import ItemReading, OnlineItems
from orita.serving.feed.openapi import describe_feed
from orita.serving.feed.reads import FeedReads
from orita.serving.feed.reranking import Reranking
from orita.serving.feed.retrieval import Retrieval
from orita.serving.feed.route import PATH, FeedRoute
from orita.serving.feed.rules import PinRule
from orita.serving.feed.signals import signals_of
from orita.serving.feed.sources import DeployedRetriever, Newest, Pinned, Popular, Source, Topics
from orita.serving.http.face import Face
from orita.serving.protocols import FeatureSource
from orita.serving.resilience.faulty import FaultyFeatures
from orita.serving.resilience.guard import Guard, GuardConfig
from orita.serving.resilience.guarded import GuardedFeatures
from orita.serving.resilience.turns import Turns
from orita.serving.service import Service

__all__ = ["mounted_feed"]


def mounted_feed(
    home: Home, system: str, service: Service, features: FeatureSource, load: RetrieverLoader | None
) -> Face:
    """Return the feed of *system*, not started yet; an empty one where it is off, or *features* know no items.

    Args:
        home: where the key of cursors, the deployments and the retriever are.
        system: whose feed.
        service: scores and logs.
        features: where items and users are read.
        load: opens a retriever; None: none is used.

    Raises:
        UserError: the configuration names what is not declared, or the key of cursors cannot be read.
    """
    config, clock = service.config.feed, service.clock
    if not (config.enabled and isinstance(features, OnlineItems)):
        return Face()
    declared = features.plan.system
    if len(declared.item.columns) > 1 or len(declared.user.columns) > 1:
        return Face()  # ids of several columns have no form in requests
    signals = signals_of(declared, config)
    popularity = service.parts.popularity
    reading = ItemReading(features, config, signals, popularity.supply)
    popularity.supplied = reading.supplies
    deployments = Deployments(home.control, home.tenant, clock)
    background = service.background
    follower = FeedFollower(
        system,
        reading,
        deployments,
        home.packages,
        load=load,
        clock=clock,
        seconds=config.refresh_seconds,
        await_seconds=config.await_seconds,
        undisturbed=lambda: background.undisturbed,
    )
    background.watch(follower.background)
    background.expect(follower)
    known = by_policy(features, service.config.unknown_ids)
    faulty = FaultyFeatures(known, service.faults) if service.faults else known
    seconds = service.config.resilience.store_ms / 1000
    reads = FeedReads(GuardedFeatures(faulty, service.parts.store), declared, signals, seconds, clock)
    found = DeployedRetriever(
        lambda: follower.retriever,
        Guard("retriever", GuardConfig(slow_ms=config.sources.slow_ms), clock),
        exclude_seen=config.seen != "keep",
    )
    shares = config.sources
    pins = [rule for rule in config.rules if isinstance(rule, PinRule)]
    sources: list[tuple[Source, int]] = [
        (Pinned(pins), len(pins)),
        (found, shares.retriever),
        (Topics(reads), shares.topics),
        (Popular(), shares.popular),
        (Newest(), shares.newest),
    ]
    key = read_key(config.cursor.key_file, home.keys)
    scope, limits = f"{home.tenant}/{system}", config.cursor
    cursors = Cursors(key, scope, clock, seconds=limits.seconds, max_bytes=limits.max_bytes)
    retrieval, reranking = Retrieval(sources, reads, config), Reranking(config, signals.topic)
    remember = service.parts.last_good.remember
    turns = Turns(service.parts.turnstile, clock)
    feed = Feed(
        lambda: follower.items,
        retrieval,
        reranking,
        cursors,
        service.predictor,
        remember,
        service.sink,
        turns,
        clock,
        Exploring(config, np.random.default_rng()),
        service.cached if service.config.cache.feeds else None,
    )
    route = FeedRoute(feed, service)
    routes = service.metrics.api_latency.watched([Route(PATH, route.answer, methods=["POST"])])
    return Face(routes, [partial(describe_feed, service.config)], partial(_running, follower))


@asynccontextmanager
async def _running(follower: FeedFollower) -> AsyncIterator[None]:
    """Keep items and retriever up to date until the block ends."""
    follower.start()
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(follower.close)
