"""Ingest of files larger than the memory it may use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeRows = Callable[..., list[dict[str, Any]]]
WriteFile = Callable[[list[dict[str, Any]], Path], Path]

# A process that ingests a small file, then a large one, and tells by how much the second raised its peak memory.
_CHILD = """
import json, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest

home, clock = Home(Path(sys.argv[1])), ManualClock(datetime(2024, 12, 31, tzinfo=UTC))
config = ValidationConfig(memory_mb=128)
peaks = []
for path in sys.argv[2:]:
    report = ingest(home, Path(path), config=config, clock=clock).tables["interactions"]
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(json.dumps({"grown": peaks[-1] - peaks[0], "new": report.rows_new}))
"""


def _grown(tmp_path: Path, make_rows: MakeRows, write_file: WriteFile, rows: int, note: int) -> tuple[int, int]:
    """Return the size of the large file and how many bytes its ingest added to the peak."""
    small = write_file([{**row, "note": "x"} for row in make_rows(5000)], tmp_path / "small.csv")
    header, *lines = small.read_bytes().splitlines()
    large = tmp_path / "large.csv"
    with large.open("wb") as stream:
        stream.write(header + b"\n")
        for number in range(rows):
            # Each line gets an id of its own; the rest repeats.
            rest = lines[number % len(lines)].partition(b",")[2]
            stream.write(b"id-%d,%s%s\n" % (number, rest, b"y" * note))
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "home"), str(small), str(large)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=600).stdout)
    assert answer["new"] == rows
    return large.stat().st_size, answer["grown"]


def test_memory_stays_below_the_file(tmp_path: Path, make_rows: MakeRows, write_file: WriteFile) -> None:
    """A file of a quarter of a gigabyte is never held whole."""
    size, grown = _grown(tmp_path, make_rows, write_file, 25_000, 10_000)
    assert size > 250_000_000
    assert grown < size


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_stays_bounded_for_a_gigabyte(tmp_path: Path, make_rows: MakeRows, write_file: WriteFile) -> None:
    """A file of a gigabyte raises the peak by less than a third of its size: memory does not grow with the file."""
    size, grown = _grown(tmp_path, make_rows, write_file, 1_000_000, 1_000)
    assert size > 1_000_000_000
    assert grown < size / 3
