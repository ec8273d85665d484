"""Which model answers: the server follows the deployment pointer and changes models between two requests.

A thread looks at control state. When the deployment changed it loads the package, verifies it, checks its
sample, asks the features for a reader, and only then puts the new champion in the place of the old one: one
assignment, so a request sees either. Whatever goes wrong leaves the old one answering, is told once, and is
tried again. A server that starts while its features are away has a champion all the same, whose requests are answered
by the levels below the model until the features were read for the first time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from orita.control.deployments import Deployment, Deployments
from orita.core.checkpoints import checkpoints
from orita.core.clock import Clock
from orita.core.errors import Unavailable
from orita.serving.background.leisure import Leisure
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce
from orita.serving.models.challengers import ChallengerFollower
from orita.serving.models.verified import load_verified
from orita.serving.predict.outliers import OutlierCheck
from orita.serving.predict.predictor import LoadedModel
from orita.serving.protocols import FeatureSource, LogStream, PackageLoader, ScoringPackage

__all__ = ["ChampionFollower"]

_log = structlog.stdlib.get_logger("orita.serving")

_NEWS_SECONDS = 0.1
"""Between two looks, while a version is loaded, whether another one was deployed."""

_RETRY_LOOKS, _AWAY_LOOKS = 10, 2
"""Looks at the deployment between two attempts to load a version that failed; where something it needs is away."""


class _UnreadFeatures:
    """The reader of features that could not be read since the server started."""

    def __init__(self, why: str) -> None:
        self.why = why

    def matrix(self, *_: object) -> npt.NDArray[np.float32]:
        """Raise `Unavailable`: so a lower level answers."""
        raise Unavailable(self.why)


class _Overtaken(BaseException):
    """Another version was deployed while one was loaded: like a cancellation, it passes by who handles errors."""


class ChampionFollower:
    """Keeps `champion` what the deployment of *system* says, as far as that can be loaded.

    Attributes:
        champion: what answers now; None until a package could be loaded.
        failure: why the deployed version does not answer, or None.
        background: its thread.
    """

    def __init__(
        self,
        system: str,
        deployments: Deployments,
        packages: Path,
        features: FeatureSource,
        *,
        load: PackageLoader,
        clock: Clock,
        seconds: float,
        outliers: Callable[[ScoringPackage], OutlierCheck | None] = lambda _: None,
        joins: Callable[[ScoringPackage], int] = lambda _: 0,
        challengers: ChallengerFollower | None = None,
        apart: Callable[[], FeatureSource] | None = None,
    ) -> None:
        self._system = system
        self._deployments = deployments
        self._packages, self._home = packages, packages.parent.parent
        self._features = features
        self._load = load
        self._clock = clock
        self._seconds = seconds
        self._outliers = outliers
        self._joins = joins
        self._challengers = challengers
        self._apart = apart or (lambda: features)
        self._deployed: Deployment | None = None
        self._tried = 0
        self._looks_since = 0
        self._away = False
        self._told = ToldOnce(system=system)
        self._refused_at = self._news_at = 0.0
        self.background = Background("what follows the deployment", "orita-champion", self._turn)
        self._looking = threading.Lock()  # whoever looks while something is loaded sees it loaded
        self._leisure = Leisure(self.background.stopping, lambda: self.champion is None)
        self.champion: LoadedModel | None = None
        self.failure: str | None = None

    @property
    def unread(self) -> str | None:
        """Why features were never read since the server started; None where they were, or there is no champion."""
        features = None if self.champion is None else self.champion.features
        return features.why if isinstance(features, _UnreadFeatures) else None

    @property
    def refused_seconds(self) -> float:
        """For how long the deployed version has not been the one that answers; 0.0 where it is."""
        return self._clock.monotonic() - self._refused_at if self.failure is not None else 0.0

    def joins(self, package: ScoringPackage) -> int:
        """Return `LoadedModel.joins` where *package* is what answers now, 0 of every other one."""
        champion = self.champion
        return champion.joins if champion is not None and champion.package is package else 0

    def start(self) -> None:
        """Load what is deployed now, then follow in the background."""
        self.background.start(rest=self._turn())

    def close(self) -> None:
        """Stop following."""
        self.background.close()

    def look(self) -> None:
        """Look at the deployment once, and change the champion if it says so and it can be done."""
        with self._looking:
            while self._overtaken():
                pass  # what was loaded is not deployed any more

    def _overtaken(self) -> bool:
        """Look at the deployment; return whether it changed while something was loaded, so that it was let be."""
        try:
            self._follow()
        except _Overtaken:
            self._deployed = None
            return not self.background.stopping.is_set()
        return False

    def _follow(self) -> None:
        self._refresh_features()
        # The rollout is read first: one that has ended then has its deployment behind it.
        if self._challengers is None or self._challengers.read():
            self._deployed = None
        self._look()
        if self._challengers is not None and self.champion is not None:
            self._challengers.follow(self.champion, self._challenger)

    def _look(self) -> None:
        try:
            deployed = self._deployed or self._deployments.current(self._system)
            self._deployed = deployed
            self._told.over("deployment_not_read")
            if deployed is None or not self._due(deployed):
                return
            if deployed.sequence != self._tried:
                self._told.over("champion_not_loaded")
            self._tried, self._looks_since = deployed.sequence, 0
            if not self._take(deployed, deployed.version) and not self._away:
                self._stand_in(deployed)
        except Exception as error:  # a busy or broken database: the champion goes on answering
            self._told.tell("deployment_not_read", error)

    def _turn(self) -> float:
        self.look()
        return self._seconds

    def _refresh_features(self) -> None:
        champion = self.champion
        if champion is None:
            return  # loading a champion refreshes first, and says so if that fails
        try:
            self._features.refresh()
        except Exception as error:  # what was published may be broken in any way; the features at hand go on
            self._told.tell("features_not_refreshed", error)
        else:
            self._told.over("features_not_refreshed")
            if self.unread is not None:
                self.champion = replace(champion, features=self._features.reader(champion.package.schema))

    def _due(self, deployed: Deployment) -> bool:
        if deployed.sequence != self._tried:
            return True
        self._looks_since += 1
        return self.failure is not None and self._looks_since >= (_AWAY_LOOKS if self._away else _RETRY_LOOKS)

    def _take(self, deployed: Deployment, version: str) -> bool:
        try:
            champion = self._in_memory(deployed, version) or self._loaded(version, deployed.sequence, self._features)
        except Exception as error:  # a broken package may fail in any way; none may stop the server
            if version == deployed.version:
                if self.failure is None:
                    self._refused_at = self._clock.monotonic()
                told = str(error).replace(f"{self._home}/", "")  # callers of /health need not know where it lies
                self.failure, self._away = f"{version}: {told}", isinstance(error, Unavailable)
            self._told.tell("champion_not_loaded", error, of=version, sequence=deployed.sequence, version=version)
            return False
        self.champion = champion
        if version == deployed.version:
            self.failure, self._away = None, False
            self._told.over("champion_not_loaded")
        _log.info("champion_loaded", system=self._system, version=version, sequence=deployed.sequence)
        return True

    def _stand_in(self, deployed: Deployment) -> None:
        """Let an earlier champion answer when a server starts under a deployment that cannot be loaded."""
        if self.champion is not None:
            return
        for version in reversed(self._deployments.lineage(self._system)[:-1]):
            if self._take(deployed, version):
                return

    def _in_memory(self, deployed: Deployment, version: str) -> LoadedModel | None:
        """Return what is loaded and warm: the challenger that was promoted, or what answers all the time."""
        found = None if self._challengers is None else self._challengers.loaded.get(version)
        if found is None and self.champion is not None and self.champion.package.version == version:
            found = self.champion
        if found is None:
            return None
        return replace(found, sequence=deployed.sequence, features=self._features.reader(found.package.schema))

    def _challenger(self, version: str) -> LoadedModel:
        """Return a version that is tried: what it does to its features takes nothing from the champion."""
        return self._loaded(version, 0, self._apart())

    def _loaded(self, version: str, sequence: int, source: FeatureSource) -> LoadedModel:
        unread = self._first_read()
        self._leisure.begin()
        with checkpoints(self._pause):
            package = load_verified(self._load, self._packages / self._system / version, version)
            reader = source.reader(package.schema)
            stream = LogStream(self._system, package.version, package.schema.names)
            outliers, joins = self._outliers(package), self._joins(package)
        self._check_deployed()
        features = reader if unread is None else _UnreadFeatures(unread)
        return LoadedModel(package, features, stream, sequence, self._clock.now(), outliers, joins)

    def _first_read(self) -> str | None:
        """Take up the features; return why they are away, where nothing answers yet and something is to."""
        try:
            self._features.refresh()
        except Unavailable as error:
            if self.champion is not None:
                raise
            self._told.tell("features_not_refreshed", error)
            return str(error)
        return None

    def _pause(self) -> None:
        """Let requests go first; while a version is loaded for long, another one may be deployed.

        Raises:
            _Overtaken: one was.
        """
        self._leisure.pause()
        if time.monotonic() >= self._news_at:
            self._check_deployed()

    def _check_deployed(self) -> None:
        self._news_at = time.monotonic() + _NEWS_SECONDS
        try:
            now = self._deployments.current(self._system)
        except Unavailable:  # the next look says so; until then what was deployed is
            return
        if now is not None and self._deployed is not None and now.sequence != self._deployed.sequence:
            raise _Overtaken
