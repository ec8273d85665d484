"""The registry as a server asks it: what is registered is read here, a promotion is a command of its own.

A promotion and a publication import MLflow. In the server that would hold up predictions and keep a hundred megabytes
for good; as processes of their own they hold up nobody, and do exactly what ``orita models`` does.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from orita.cli.app import Settings
from orita.core.errors import Unavailable, UserError
from orita.project import Project

__all__ = ["ProjectRegistry"]

_SECONDS = 120
_USER_ERROR = 2


class ProjectRegistry:
    """The registry of a project.

    Args:
        project: whose.
        settings: the options that the server was started with; a promotion gets the same.
    """

    def __init__(self, project: Project, settings: Settings) -> None:
        self._project, self._settings = project, settings

    def candidates(self) -> Mapping[str, Path]:
        """Return the folders of the packages of all registered versions, by version."""
        from orita.registry.registered import registered_packages  # its imports would delay every start of a server

        return registered_packages(self._project.catalogue(), self._project.system.name)

    def publish(self, version: str) -> None:
        """Put the package of *version* into the package store.

        Raises:
            UserError: it cannot be; the sentence says why.
            Unavailable: it takes more than two minutes, or fails for a reason that a caller cannot mend.
        """
        self._carry_out(["models", "publish", version], f"the publication of {version}")

    def promote(self, version: str, *, reason: str) -> None:
        """Make *version* the champion.

        Raises:
            UserError: it cannot be; the sentence says why.
            Unavailable: it takes more than two minutes, or fails for a reason that a caller cannot mend.
        """
        self._carry_out(["models", "promote", version, "--reason", reason], f"the promotion of {version}")

    def _carry_out(self, words: list[str], what: str) -> None:
        command = [sys.executable, "-m", "orita", "--quiet", *self._options(), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{what} took more than {_SECONDS} seconds: look at the registry.") from None
        if done.returncode == _USER_ERROR:
            raise UserError(done.stderr.strip().rpartition("\n")[2] or f"{what} is refused.")
        if done.returncode:
            raise Unavailable(f"{what} ended with {done.returncode}: {done.stderr.strip()}")

    def _options(self) -> list[str]:
        settings = self._settings
        named = {"--project": self._project.folder, "--home": self._project.home.root, "--system": settings.system}
        given = [part for option, value in named.items() if value is not None for part in (option, str(value))]
        return [*given, *(part for override in settings.overrides for part in ("--set", override))]
