"""Which code made a model: Orita's version, what the project declares, and the commit that the project is at.

These are tags of every run and version. The project's digest is taken of the files as they were loaded, committed or
not; the commit says where to find them again, where the project lies in a git work tree and git is installed.
"""

from __future__ import annotations

from pathlib import Path

from orita.core.git import ask_git, commit_of
from orita.core.version import VERSION
from orita.pipelines.workspace import Workspace

__all__ = ["code_tags"]


def code_tags(workspace: Workspace) -> dict[str, str]:
    """Return the tags: ``orita.code``, ``orita.code.project`` and ``orita.code.commit``, those that are known.

    The commit ends in ``+changes`` where tracked files of the project's folder differ from it.
    """
    tags = {"orita.code": VERSION}
    if workspace.code:
        tags["orita.code.project"] = workspace.code
    if workspace.folder is not None and (commit := _commit(workspace.folder)):
        tags["orita.code.commit"] = commit
    return tags


def _commit(folder: Path) -> str | None:
    commit = commit_of(folder)
    if commit is None:
        return None
    changed = ask_git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}+changes" if changed else commit
