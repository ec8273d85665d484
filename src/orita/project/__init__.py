"""A project: a folder with a system's declarations and configuration, opened as one object."""

from orita.project.opening import FILES, OritaConfig, Project, builtin_systems, open_project, scaffold

__all__ = ["FILES", "OritaConfig", "Project", "builtin_systems", "open_project", "scaffold"]
