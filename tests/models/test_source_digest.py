"""The digest of a user's code changes with everything of theirs that it runs, and with nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orita.core.errors import UserError
from orita.models.source_digest import source_digest

FILES = {
    "own_rankers_file.py": "import numpy\nfrom own_layers import deep\n\n\nclass Mine:\n    rate = 1\n",
    "own_layers/__init__.py": "WIDTH = 3\n",
    "own_layers/deep.py": "from . import wide\nfrom .parts.small import SMALL\n",
    "own_layers/wide.py": "WIDE = 1\n",
    "own_layers/parts/__init__.py": "",
    "own_layers/parts/small.py": "def late():\n    import own_late\n\nSMALL = 1\n",
    "own_late.py": "LATE = 1\n",
    "own_not_read.py": "raise RuntimeError\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules of a user's own, on the path; what a test imports of them is let go."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


@pytest.fixture
def mine(folder: Path) -> Any:
    """The class of that file."""
    return importlib.import_module("own_rankers_file").Mine


@pytest.mark.parametrize("name", [name for name in FILES if name != "own_not_read.py"])
def test_a_change_in_any_module_of_ones_own_is_seen(folder: Path, mine: Any, name: str) -> None:
    """Packages, relative imports and imports inside functions are followed; the digest comes back with the text."""
    before = source_digest("mine", mine)
    text = (folder / name).read_text()
    (folder / name).write_text(f"{text}\nMORE = 2\n")
    assert source_digest("mine", mine) != before
    (folder / name).write_text(text)
    assert source_digest("mine", mine) == before


def test_what_does_not_run_is_not_seen(folder: Path, mine: Any) -> None:
    """Comments, layout, a module that is not imported, and the folder's name change nothing; nothing is imported."""
    before = source_digest("mine", mine)
    (folder / "own_late.py").write_text("# late\nLATE = (\n    1\n)\n")
    (folder / "own_not_read.py").write_text("raise ValueError\n")
    assert source_digest("mine", mine) == before
    assert "own_late" not in sys.modules


def test_code_that_cannot_be_parsed_is_told_by_its_bytes(folder: Path, mine: Any) -> None:
    """A module that is broken now, and is imported late, is another one when it is mended."""
    (folder / "own_late.py").write_text("LATE = (\n")
    before = source_digest("mine", mine)
    (folder / "own_late.py").write_text("LATE = (1\n")
    assert source_digest("mine", mine) != before


def test_a_function_is_told_by_its_file(folder: Path) -> None:
    """What makes a ranker may be a function; two functions of one file differ."""
    (folder / "own_makers.py").write_text("def one():\n    return 1\n\n\ndef two():\n    return 2\n")
    makers = importlib.import_module("own_makers")
    one: Callable[[], int] = makers.one
    before = source_digest("one", one)
    assert source_digest("one", makers.two) != before
    (folder / "own_makers.py").write_text("def one():\n    return 3\n")
    assert source_digest("one", one) != before


def test_code_without_a_source_is_refused() -> None:
    """Where a change could not be seen, the sentence says what to do."""
    names: dict[str, Any] = {"__name__": "own_typed_at_a_prompt"}
    exec("class Mine: pass", names)
    with pytest.raises(UserError, match=r"source of the ranker 'mine' cannot be read.*declare it in a Python file"):
        source_digest("mine", names["Mine"])
