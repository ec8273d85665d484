"""A commit is acknowledged after it is durable: its files, its entry in the log, and the names of both."""

from __future__ import annotations

import os
from pathlib import Path

from orita.core.files import sync_directory
from orita.events.lake.address import data_file
from orita.events.lake.commits import actions_of, commit_file

__all__ = ["sync_commit"]


def sync_commit(folder: Path, version: int) -> None:
    """Make what the commit of *version* wrote survive a power cut."""
    files = [Path(data_file(folder, a["add"]["path"])) for a in actions_of(folder, version) if "add" in a]
    entry = commit_file(folder, version)
    for file in (*files, entry):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    folders = {file.parent for file in files} | {folder.absolute(), entry.parent}
    for each in folders if version else folders | {folder.absolute().parent}:
        sync_directory(each)
