"""Files are wholly there or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from orita.core.files import atomic_directory, atomic_file, remove_leftovers


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """An error while writing leaves what was there, and nothing else."""
    target = tmp_path / "kept.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    """Where no file can be made, or it goes meanwhile, the error names what was given and no hidden file."""
    for target in (Path("/proc/export.tar"), tmp_path / "kept.txt"):
        with pytest.raises(OSError) as found, atomic_file(target) as partial:
            partial.unlink()
        assert (found.value.filename, found.value.filename2) == (str(target), None)


def test_a_folder_is_replaced_as_one(tmp_path: Path) -> None:
    """A new folder takes the place of the old one; none of the old files remain."""
    target = tmp_path / "model"
    for name in ("first", "second"):
        with atomic_directory(target) as partial:
            (partial / name).write_text(name)
    assert [path.name for path in target.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    """An error while filling leaves the old folder."""
    target = tmp_path / "model"
    with atomic_directory(target) as partial:
        (partial / "old").touch()
    with pytest.raises(RuntimeError), atomic_directory(target) as partial:
        (partial / "new").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]


def test_what_a_killed_writer_left_is_found(tmp_path: Path) -> None:
    """Leftovers of killed writers are removed and counted; other files stay."""
    (tmp_path / ".partial-abc").mkdir()
    (tmp_path / ".partial-def").touch()
    (tmp_path / "kept").touch()
    assert remove_leftovers(tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert remove_leftovers(tmp_path / "absent") == 0
