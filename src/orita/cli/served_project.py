"""A project as the application that ``orita serve`` runs; everything that it needs is imported with this module."""

from __future__ import annotations

from starlette.applications import Starlette

from orita.cli.app import Settings
from orita.cli.explaining import ServedRequests
from orita.cli.model_registry import ProjectRegistry
from orita.project import Project
from orita.serving.app import create_app

__all__ = ["served_project"]


def served_project(project: Project, settings: Settings) -> Starlette:
    """Return the application that answers for *project*; *settings* are the options of the command line."""
    features = project.online_features(ahead=True)
    return create_app(
        project.home,
        project.system.name,
        features,
        project.main.value.serving,
        store=project.feature_store(online=features),
        load=project.load_package,
        registry=ProjectRegistry(project, settings),
        explain=ServedRequests(project),
        load_retriever=project.load_retriever,
        bandit_log=project.event_log(),
        outcomes=project.system.source.schema.types,
    )
