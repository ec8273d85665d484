"""How soon does a server know what was decided? A flag is switched, and a real `orita serve` is asked until it says so.

100 switches on SQLite, and 100 on a PostgreSQL of its own where there is one, each at a random moment of the half
second between two looks of the server (`serving.reload_seconds`). Measured is from the command's return, when control
state has acknowledged it, to the first answer of OFREP that has it; the server is asked every two milliseconds. Where
both databases are measured, the last line has the slower one's.

    python -m benchmarks.control      # last line: one JSON object
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from tests.postgres_server import MISSING, postgres_programs, postgres_server

from orita.core.home import Home
from orita.delivery.flags import Flag, FlagFile
from orita.delivery.flags.kept import Flags

KEY = "lamp"
ASK_SECONDS = 0.002
MOST_SECONDS = 60.0


def main() -> None:
    """Switch, ask and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        told("sqlite", learned_ms(Path(folder, "sqlite"), "", options.changes), figures)
        programs = postgres_programs()
        if programs is None:
            print(MISSING)
        else:
            address = stack.enter_context(postgres_server(programs))
            told("postgres", learned_ms(Path(folder, "postgres"), f"{address}/postgres", options.changes), figures)
    for share in ("p50", "p99"):
        figures[f"learn_ms_{share}"] = max(value for name, value in figures.items() if name.endswith(share))
    print(json.dumps(figures))


def told(name: str, learned: list[float], figures: dict[str, float]) -> None:
    """Print what a database came to, and add it to *figures*."""
    p50, p99 = (round(float(np.percentile(learned, share)), 1) for share in (50, 99))
    late = sum(each > 1000 for each in learned)
    print(
        f"{name}: p50 {p50} ms, p99 {p99} ms, at most {max(learned):.1f} ms, {late} of {len(learned)} beyond a second"
    )
    figures |= {f"{name}_learn_ms_p50": p50, f"{name}_learn_ms_p99": p99}


def learned_ms(project: Path, control_url: str, changes: int) -> list[float]:
    """Return milliseconds from each acknowledged switch to the first answer that has it.

    Args:
        project: folder, which is made.
        control_url: of PostgreSQL; "": SQLite in the project's home.
        changes: how many.
    """
    project.mkdir()
    if control_url:
        (project / "orita.yaml").write_text(f"control: {{url: {control_url}}}\n")
    home = Home(project / ".orita", control_url=control_url)
    flags = Flags(home.control)
    flags.declare(FlagFile(flags=(Flag(key=KEY, default="on", enabled=False),)), actor="bench", reason="made")
    learned = []
    with served(project) as connection:
        for number in range(changes):
            time.sleep(random.uniform(0.5, 1.0))
            enabled = number % 2 == 0
            flags.switch(KEY, enabled=enabled, actor="bench", reason="switched")
            learned.append(until_known(connection, enabled))
    return learned


def until_known(connection: http.client.HTTPConnection, enabled: bool) -> float:
    """Ask until the flag serves what it was switched to; return milliseconds.

    Raises:
        TimeoutError: it did not come to that.
    """
    begun = time.perf_counter()
    while (passed := time.perf_counter() - begun) < MOST_SECONDS:
        if evaluated(connection) == enabled:
            return (time.perf_counter() - begun) * 1000
        time.sleep(ASK_SECONDS)
    raise TimeoutError(f"the server did not know after {passed:.0f} s")


def evaluated(connection: http.client.HTTPConnection) -> bool:
    """Return what the flag serves."""
    body = json.dumps({"context": {"targetingKey": "ann"}})
    connection.request("POST", f"/ofrep/v1/evaluate/flags/{KEY}", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    assert answer.status == 200, document
    return bool(document["value"])


@contextmanager
def served(project: Path) -> Iterator[http.client.HTTPConnection]:
    """Start `orita serve` in *project*; yield a connection to it."""
    command = [sys.executable, "-m", "orita", "--project", str(project), "serve", "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        address = urlsplit(json.loads(server.stdout.readline())["address"]).netloc
        connection = http.client.HTTPConnection(address, timeout=30)
        yield connection
        connection.close()
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


if __name__ == "__main__":
    main()
