"""Log lines of the command line: whole, though several processes write into one pipe without a buffer."""

from __future__ import annotations

import json
import os
import subprocess
import sys

_WORKERS = """
import os, structlog
from orita.cli import _log_to_standard_error
_log_to_standard_error(structlog)
log = structlog.get_logger()
for _ in range(3):
    if os.fork() == 0:
        for number in range(300):
            log.info("turn", number=number)
        os._exit(0)
for _ in range(3):
    os.wait()
"""


def test_lines_of_workers_are_whole() -> None:
    """As in a container (``PYTHONUNBUFFERED``): each line is one write, so no other comes between it and its end."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    done = subprocess.run([sys.executable, "-c", _WORKERS], env=environment, capture_output=True, check=True)
    lines = done.stderr.decode().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["turn"] * 900
