"""A model says which code made it: Orita's, the project's own files, and the commit they are at."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orita.core.version import VERSION
from orita.pipelines.code_version import code_tags
from orita.project import open_project, scaffold


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose declarations import a neighbour, in no git repository."""
    folder = tmp_path / "project"
    scaffold(folder, "feed")
    (folder / "shelves.py").write_text("WIDTH = 3\n")
    declared = folder / "features.py"
    declared.write_text(declared.read_text() + "\nfrom shelves import WIDTH as SHELF_WIDTH  # noqa: E402\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "shelves", raising=False)  # of another test's folder
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return folder


def tags_of(folder: Path) -> dict[str, str]:
    """Return the tags of what is made by the project in *folder*."""
    return code_tags(open_project(folder).workspace())


def test_the_projects_own_files_are_told_apart(project: Path) -> None:
    """A change of the declarations or of what they import is another digest; layout and comments are not."""
    first = tags_of(project)
    assert (first["orita.code"], "orita.code.commit" in first) == (VERSION, False)
    declared = project / "features.py"
    declared.write_text("# a remark\n" + declared.read_text())
    assert tags_of(project) == first
    (project / "shelves.py").write_text("WIDTH = 4\n")
    second = tags_of(project)
    declared.write_text(declared.read_text() + "\nDEPTH = 5\n")
    digests = {each["orita.code.project"] for each in (first, second, tags_of(project))}
    assert len(digests) == 3


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_told_where_there_is_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a work tree the commit is named, with a mark while tracked files differ from it; without git it is not."""
    git = _git(project)
    git("init", "--quiet")
    assert "orita.code.commit" not in tags_of(project), "there is no commit yet"
    git("add", "features.py", "shelves.py")
    git("commit", "--quiet", "--message", "first")
    (project / "notes.txt").write_text("not tracked\n")
    commit = tags_of(project)["orita.code.commit"]
    assert commit == git("rev-parse", "HEAD")
    (project / "shelves.py").write_text("WIDTH = 4\n")
    assert tags_of(project)["orita.code.commit"] == f"{commit}+changes"
    monkeypatch.setenv("PATH", str(project))
    assert "orita.code.commit" not in tags_of(project)


def _git(folder: Path) -> Callable[..., str]:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")

    def run(*arguments: str) -> str:
        command = ["git", *who, "-C", str(folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return run
