"""From a command's context to the project it works on."""

from __future__ import annotations

import typer

from orita.cli.app import settings_of
from orita.project import Project, open_project

__all__ = ["project_of"]


def project_of(context: typer.Context, *, system: str | None = None) -> Project:
    """Open the project that the options name; *system* replaces what no option said."""
    settings = settings_of(context)
    return open_project(
        settings.project, home=settings.home, system=settings.system or system, overrides=settings.overrides
    )
