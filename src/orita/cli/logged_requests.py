"""What commands about logged requests share: how a request is named, and the package of the version that answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated

import typer

from orita.models.package import Package
from orita.project import Project

__all__ = ["RequestArgument", "package_of"]

RequestArgument = Annotated[
    str, typer.Argument(help="The request_id of an answer (its X-Request-Id), or the prediction_id of a logged row.")
]


def package_of(project: Project) -> Callable[[str], Package]:
    """Return what opens a version: from what servers read, else from the catalogue, which knows aliases."""

    @cache
    def load(version: str) -> Package:
        published = project.home.packages / project.system.name / version
        return project.load_package(published) if published.is_dir() else project.package(version)

    return load
