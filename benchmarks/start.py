"""How soon does a server answer, and how much memory does it take? `orita serve`, from exec to the first prediction.

The server is started again and again, as after a failure: its files and its bytecode are in the page cache. The clock
runs from the moment the process is made to the first 200 of `POST /predict` with 100 items. Beside it stands how long
the imports alone take, in a process that does nothing else. Memory is what the server and its workers have for
themselves, pages that they share counted once (``Pss_Anon`` of ``smaps_rollup``; of one process it is ``Anonymous``),
ten seconds after the first answer, without a load.

    python -m benchmarks.start                       # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.start --home .orita         # the home of a project with a champion, copied first
    python -m benchmarks.start --workers 4

Asked are 2.5 seconds and 250 MiB of one process. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serve import made_requests, own_home, started

_IMPORTS = "import orita.cli.serve, orita.cli.served_project, orita.serving.server"
_PATIENCE_SECONDS = 120.0
_KIB_A_MIB = 1024


@dataclass(frozen=True)
class Start:
    """One start of a server.

    Attributes:
        seconds: from exec to the first prediction.
        anonymous_mib: what it had for itself later, in MiB; None where nobody looked.
    """

    seconds: float
    anonymous_mib: float | None


def start_once(command: list[str], body: bytes, settle_seconds: float | None) -> Start:
    """Start a server, ask until it predicts, and look at its memory *settle_seconds* later, if they are given."""
    begun = time.monotonic()
    with started("orita", command, pin=False) as server:
        _first_prediction(f"http://{server.address}/predict", body, begun + _PATIENCE_SECONDS)
        seconds = time.monotonic() - begun
        if settle_seconds is None:
            return Start(seconds, None)
        time.sleep(settle_seconds)
        return Start(seconds, own_mib(server.pid))


def import_once() -> float:
    """Return how many seconds a process takes that imports what a server needs, and ends."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return time.monotonic() - begun


def own_mib(pid: int) -> float:
    """Return how many MiB a process and those that it made have for themselves."""
    return sum(_anonymous_kib(one) for one in _family(pid)) / _KIB_A_MIB


def _first_prediction(url: str, body: bytes, until: float) -> None:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                answer.read()
                return
        except urllib.error.HTTPError as error:  # no model yet
            if time.monotonic() > until:
                raise SystemExit(f"{url} still answers {error.code}: {error.read().decode()}") from None
            time.sleep(0.01)


def _family(pid: int) -> Iterator[int]:
    """Yield a process and those that it and its children made."""
    yield pid
    with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def _anonymous_kib(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):  # one that ended meanwhile has none
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    return 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--candidates", type=int, default=100, help="items of the request")
    parser.add_argument("--settle-seconds", type=float, default=10.0, help="before memory is looked at")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = own_home(options.home, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        command = [sys.executable, "-m", "orita", "--home", str(home), "serve"]
        command += ["--port", "0", "--workers", str(options.workers), "--json"]
        body = made_requests(options.candidates)[0].split(b"\r\n\r\n", 1)[1]
        start_once(command, body, None)  # warms the page cache and writes bytecode
        settled = start_once(command, body, options.settle_seconds)
        starts = [settled, *(start_once(command, body, None) for _ in range(options.starts - 1))]
        imports = statistics.median(import_once() for _ in range(options.starts))
    seconds = [start.seconds for start in starts]
    first = statistics.median(seconds)
    print(f"first prediction   {first:6.2f} s after exec; the slowest of {len(seconds)} starts {max(seconds):.2f} s")
    print(f"imports alone      {imports:6.2f} s, {imports / first:.0%} of it")
    print(f"memory of its own  {settled.anonymous_mib:6.0f} MiB with {options.workers} workers")
    told = {
        "first_prediction_s": round(first, 3),
        "first_prediction_worst_s": round(max(seconds), 3),
        "import_s": round(imports, 3),
        "import_share": round(imports / first, 3),
        "anonymous_mib": round(settled.anonymous_mib or 0.0, 1),
        "starts": len(seconds),
        "workers": options.workers,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
