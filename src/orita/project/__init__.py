"""A project: a folder with a system's declarations and configuration, opened as one object.

from orita.project import open_project

project = open_project()
train, val = project.examples("train"), project.examples("val")
"""

from orita.project.opening import builtin_systems, open_project, scaffold
from orita.project.project import FILES, OritaConfig, Project, actor

__all__ = ["FILES", "OritaConfig", "Project", "actor", "builtin_systems", "open_project", "scaffold"]
