"""Which model answers: the server follows the deployment pointer and changes models between two requests.

A thread looks at control state. When the deployment changed it loads the package, verifies it, checks its
sample, asks the features for a reader, and only then puts the new champion in the place of the old one: one
assignment, so a request sees either. Whatever goes wrong leaves the old one answering, is told once, and is
tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from orita.control.deployments import Deployment, Deployments
from orita.core.clock import Clock
from orita.serving.outliers import OutlierCheck
from orita.serving.predictor import Champion
from orita.serving.protocols import FeatureSource, LogStream, PackageLoader, ScoringPackage
from orita.serving.verified import load_verified

__all__ = ["ChampionFollower"]

_log = structlog.stdlib.get_logger("orita.serving")

_RETRY_LOOKS = 10
"""Looks at the deployment between two attempts to load a version that failed."""


class ChampionFollower:
    """Keeps `champion` what the deployment of *system* says, as far as that can be loaded.

    Attributes:
        champion: what answers now; None until a package could be loaded.
        failure: why the deployed version does not answer, or None.
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
    ) -> None:
        self._system = system
        self._deployments = deployments
        self._packages = packages
        self._features = features
        self._load = load
        self._clock = clock
        self._seconds = seconds
        self._outliers = outliers
        self._tried = 0
        self._looks_since = 0
        self._told: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="orita-champion", daemon=True)
        self.champion: Champion | None = None
        self.failure: str | None = None

    name = "what follows the deployment"

    @property
    def alive(self) -> bool:
        """Whether it follows the deployment."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Load what is deployed now, then follow in the background."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """Look at the deployment once, and change the champion if it says so and it can be done."""
        self._refresh_features()
        try:
            deployed = self._deployments.current(self._system)
            if deployed is None or not self._due(deployed):
                return
            self._tried, self._looks_since = deployed.sequence, 0
            if not self._take(deployed, deployed.version):
                self._stand_in(deployed)
        except (
            SQLAlchemyError,
            OSError,
        ) as error:  # a busy or broken database: the champion goes on answering
            self._tell_once("deployment_not_read", error)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            self.look()

    def _refresh_features(self) -> None:
        if self.champion is None:
            return  # loading a champion refreshes first, and says so if that fails
        try:
            self._features.refresh()
        except Exception as error:  # what was published may be broken in any way; the features at hand go on
            self._tell_once("features_not_refreshed", error)
        else:
            self._told = {told for told in self._told if not told.startswith("features_not_refreshed")}

    def _due(self, deployed: Deployment) -> bool:
        if deployed.sequence != self._tried:
            return True
        self._looks_since += 1
        return self.failure is not None and self._looks_since >= _RETRY_LOOKS

    def _take(self, deployed: Deployment, version: str) -> bool:
        try:
            champion = self._loaded(deployed, version)
        except Exception as error:  # a broken package may fail in any way; none may stop the server
            if version == deployed.version:
                self.failure = f"{version}: {error}"
            self._tell_once("champion_not_loaded", error, sequence=deployed.sequence, version=version)
            return False
        self.champion = champion
        if version == deployed.version:
            self.failure = None
            self._told.clear()
        _log.info("champion_loaded", system=self._system, version=version, sequence=deployed.sequence)
        return True

    def _stand_in(self, deployed: Deployment) -> None:
        """Let an earlier champion answer when a server starts under a deployment that cannot be loaded."""
        if self.champion is not None:
            return
        for version in reversed(self._deployments.lineage(self._system)[:-1]):
            if self._take(deployed, version):
                return

    def _loaded(self, deployed: Deployment, version: str) -> Champion:
        self._features.refresh()
        package = load_verified(self._load, self._packages / self._system / version, version)
        features = self._features.reader(package.schema)
        stream = LogStream(self._system, package.version, package.schema.names)
        outliers = self._outliers(package)
        return Champion(package, features, stream, deployed.sequence, self._clock.now(), outliers)

    def _tell_once(self, event: str, error: Exception, **details: object) -> None:
        told = f"{event} {details} {error}"
        if told not in self._told:
            self._told.add(told)
            _log.error(event, alert=True, system=self._system, error=str(error), **details)
