"""What git knows of a folder, where there is git and the folder lies in a work tree."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["ask_git", "commit_of"]

_SECONDS = 10  # a repository on a slow disk is not worth more


def commit_of(folder: Path) -> str | None:
    """Return the commit that is checked out where *folder* is, or None outside of a git repository."""
    return ask_git(folder, "rev-parse", "--verify", "HEAD")


def ask_git(folder: Path, *arguments: str) -> str | None:
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
