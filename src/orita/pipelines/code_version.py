"""Which code made a model: Orita's version, what the project declares, and the commit that the project is at.

These are tags of every run and version. The project's digest is taken of the files as they were loaded, committed or
not; the commit says where to find them again, where the project lies in a git work tree and git is installed.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from orita.core.version import VERSION
from orita.pipelines.workspace import Workspace

__all__ = ["code_tags"]

_SECONDS = 10  # a repository on a slow disk is not worth more


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
    commit = _git(folder, ("rev-parse", "--verify", "HEAD"))
    if commit is None:
        return None
    changed = _git(folder, ("status", "--porcelain", "--untracked-files=no", "--", "."))
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, arguments: Sequence[str]) -> str | None:
    """Return what git answers, or None where there is no git, no repository, or no answer in time."""
    git = shutil.which("git")
    if git is None:
        return None
    # Looking takes no lock: somebody may be committing at this moment.
    command = [git, "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
