"""What is measured beside others can be measured again: their environments are pinned, and told where they are used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PINNED = sorted((BENCHMARKS / "peers" / "requirements").glob("*.txt"))


@pytest.mark.parametrize("file", PINNED, ids=lambda file: file.stem)
def test_a_peer_is_pinned_and_its_benchmark_says_how_to_have_it(file: Path) -> None:
    """Every line is one exact version, and a benchmark and the script that runs there name the file."""
    lines = file.read_text().splitlines()
    assert lines and all(re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*==[0-9]+(\.[0-9]+)+", line) for line in lines), lines
    for folder, name in ((BENCHMARKS, file.name), (BENCHMARKS / "peers", f"requirements/{file.name}")):
        assert any(name in bench.read_text() for bench in folder.glob("*.py")), (folder, name)


def test_no_peer_is_to_be_guessed() -> None:
    """Each benchmark that is given the Python of a peer names the file which makes its environment."""
    given = re.compile(r'"--(peers|bentoml|nannyml|pandera|evidently)"')
    asks = [bench for bench in BENCHMARKS.glob("*.py") if given.search(bench.read_text())]
    assert len(asks) >= len(PINNED)
    for bench in asks:
        assert "benchmarks/peers/requirements/" in bench.read_text(), bench.name
