"""Models by name and version: the deployed one, and others of the package store, loaded when they are asked for.

The others share a budget of memory. Where a new one does not fit, those go that were asked for longest ago; a request
that is being answered keeps its own until it is done. The deployed model is its follower's, is not counted, and stays.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import structlog
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from orita.core.clock import Clock
from orita.core.errors import NotFound, Unavailable, closest
from orita.models.package import Package
from orita.serving.config import ModelsConfig
from orita.serving.http.refusal import NO_MODEL
from orita.serving.models.champion import ChampionFollower
from orita.serving.models.verified import load_beside_requests
from orita.serving.protocols import PackageLoader

__all__ = ["ModelsInMemory"]

_log = structlog.stdlib.get_logger("orita.serving")

_MIB = 1024 * 1024
_SESSION_BYTES = 2 * _MIB  # of a model whose files are nearly nothing
_TIMES_ITS_FILES = 2

_Key = tuple[str, str]


@dataclass(slots=True)
class _Held:
    """A model in memory, what it takes there in bytes, and when it was last asked for (monotonic seconds)."""

    package: Package
    size: int
    asked_at: float


class ModelsInMemory:
    """Has the models of one home; `loaded` is called by the thread that answers, `load` by others.

    Args:
        system: the name of the system that *follower* follows.
        follower: has the deployed model.
        packages: the package store, a folder a system.
        load: opens a package.
        config: how much memory the others may take.
        clock: the time.
    """

    def __init__(
        self,
        system: str,
        follower: ChampionFollower,
        packages: Path,
        *,
        load: PackageLoader,
        config: ModelsConfig,
        clock: Clock,
    ) -> None:
        self._system, self._follower = system, follower
        self._packages, self._load, self._clock = packages, load, clock
        self._budget, self._retry = int(config.memory_mib * _MIB), config.retry_seconds
        self._held: dict[_Key, _Held] = {}
        self._failed: dict[_Key, float] = {}
        self._loading = threading.Lock()  # one at a time: what is asked for twice is loaded once
        self._loads = {"loaded": 0, "failed": 0}
        self._evicted = 0

    @property
    def ready(self) -> bool:
        """Whether the deployed model is loaded."""
        return self._follower.champion is not None

    @property
    def held_bytes(self) -> int:
        """What the models beside the deployed one are reckoned to take: twice their files, and 2 MiB each."""
        return sum(held.size for held in list(self._held.values()))

    @property
    def held(self) -> Sequence[tuple[str, str]]:
        """Name and version of the models beside the deployed one."""
        return tuple(self._held)

    def versions(self, name: str, /) -> Sequence[str]:
        """Return the versions of *name* that may be asked for.

        Raises:
            NotFound: the home has no model of that name.
        """
        found = _folders(self._packages / name) if name in {self._system, *_folders(self._packages)} else None
        if found is None:
            raise NotFound(f"model {name!r} is not here. {closest(name, {self._system, *_folders(self._packages)})}")
        champion = self._follower.champion
        deployed = [champion.package.version] if champion is not None and name == self._system else []
        return sorted({*found, *deployed}, key=_order)

    def loaded(self, name: str, version: str | None, /) -> Package | None:
        """Return a model if it is in memory, else None; without *version*, the one that is deployed.

        Raises:
            NotFound: there is no such model or version.
            Unavailable: no model is deployed and loaded, or *name* is another system's, which needs a version.
        """
        if name == self._system:
            champion = self._follower.champion
            if champion is not None and version in (None, champion.package.version):
                return cast("Package", champion.package)
            if version is None:
                raise Unavailable(NO_MODEL)
        if version is None:
            raise NotFound(f"{name!r} is not the system of this server: ask for one of {self._known(name)} by version.")
        held = self._held.get((name, version))
        if held is not None:
            held.asked_at = self._clock.monotonic()
            return held.package
        known = self.versions(name)
        if version not in known:
            raise NotFound(f"model {name!r} has no version {version!r} here. {closest(version, known)}")
        return None

    def load(self, name: str, version: str | None, /) -> Package:
        """Return a model, loaded if need be.

        Raises:
            NotFound: as `loaded`.
            Unavailable: as `loaded`; or it does not load, does not fit, or did not load a moment ago.
        """
        with self._loading:
            package = self.loaded(name, version)
            if package is not None:
                return package
            assert version is not None
            return self._loaded_anew((name, version))

    def metrics(self) -> Iterator[Metric]:
        """Yield what is counted of the models beside the deployed one."""
        loads = CounterMetricFamily(
            "model_loads", "Models that were loaded to be asked by version.", labels=["outcome"]
        )
        for outcome, count in self._loads.items():
            loads.add_metric([outcome], count)
        yield loads
        yield CounterMetricFamily("model_evictions", "Models that were let go for others.", value=self._evicted)
        yield GaugeMetricFamily("models_in_memory", "Models beside the deployed one.", value=len(self._held))
        yield GaugeMetricFamily("models_in_memory_bytes", "What they are reckoned to take.", value=self.held_bytes)

    def _loaded_anew(self, key: _Key) -> Package:
        name, version = key
        now = self._clock.monotonic()
        failed_at = self._failed.get(key)
        if failed_at is not None and now - failed_at < self._retry:
            raise _not_loaded(key)
        folder = self._packages / name / version
        size = _size(folder)
        if size > self._budget:
            raise Unavailable(
                f"model {name!r} {version} takes about {size / _MIB:.0f} MiB, and serving.models.memory_mib allows "
                f"{self._budget / _MIB:g} for all that are not deployed: allow more, or deploy it."
            )
        self._make_room(size)
        try:
            package = load_beside_requests(self._load, folder, version)
        except Exception as error:  # a broken package may fail in any way
            self._failed[key] = now
            self._loads["failed"] += 1
            _log.error("model_not_loaded", alert=True, model=name, version=version, error=str(error))
            raise _not_loaded(key) from None
        self._failed.pop(key, None)
        self._loads["loaded"] += 1
        self._held[key] = _Held(cast("Package", package), size, self._clock.monotonic())
        return self._held[key].package

    def _make_room(self, size: int) -> None:
        """Let go what was asked for longest ago, until *size* more bytes fit."""
        by_age = sorted(self._held, key=lambda key: self._held[key].asked_at)
        for key in by_age:
            if self.held_bytes + size <= self._budget:
                return
            del self._held[key]
            self._evicted += 1

    def _known(self, name: str) -> str:
        return ", ".join(self.versions(name)) or "no versions"


def _not_loaded(key: _Key) -> Unavailable:
    return Unavailable(f"model {key[0]!r} {key[1]} does not load; the server's log has the reason.")


def _folders(folder: Path) -> list[str]:
    """Return the names of the folders in *folder*, without those that are being written."""
    try:
        return [path.name for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir()]
    except OSError:
        return []


def _size(folder: Path) -> int:
    try:
        files = sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        files = 0  # it is gone: loading it says so
    return _SESSION_BYTES + _TIMES_ITS_FILES * files


def _order(version: str) -> tuple[list[int], str]:
    """Order ``v1.10.0`` behind ``v1.9.0``."""
    return [int(part) for part in version.lstrip("v").split(".") if part.isdigit()], version
