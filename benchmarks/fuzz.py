"""Does the server keep what its OpenAPI document says, whatever it is asked? schemathesis asks all of its endpoints.

The real `orita serve` answers over a feed that it was trained for. Right and wrong requests are made from its document;
each answer must have a documented status, headers and body, every error the documented form, none may be a 5xx, none
may hang. Cases are drawn by a seed, in rounds, until there are enough of them. Needs the part ``dev``.

    python -m benchmarks.fuzz                            # makes a home, then asks 20,000 times
    python -m benchmarks.fuzz --home .orita --cases 2000 # a home with a champion; it is copied first
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serve import own_home, started

__all__ = ["Fuzzed", "fuzz"]

_LEFT_OUT = (
    "not_a_server_error",  # benchmarks.fuzz_checks has stricter ones
    "negative_data_rejection",
    "positive_data_acceptance",  # a schema cannot say which models, items and times there are
)
_SECONDS = 10  # for one answer
_ROUND_SECONDS = 1800


@dataclass
class Fuzzed:
    """What was found.

    Attributes:
        cases: requests that were judged.
        operations: of the document.
        failures: what was wrong, in words.
    """

    cases: int = 0
    operations: int = 0
    failures: list[str] = field(default_factory=list)


def fuzz(address: str, *, cases: int, each: int, seed: int = 0, phases: str = "examples,coverage,fuzzing") -> Fuzzed:
    """Ask the server at *address* (``http://host:port``) at least *cases* times.

    Args:
        address: where it answers.
        cases: as many requests at least.
        each: requests that are drawn for an operation in one round.
        seed: of the first round; the same one asks the same.
        phases: of schemathesis: ``examples`` of the document, ``coverage`` of its bounds, ``fuzzing`` at random.
    """
    found = Fuzzed()
    with tempfile.TemporaryDirectory() as folder:
        while found.cases < cases and not found.failures:
            report = _round(address, Path(folder), each, seed, phases)
            before, seed = found.cases, seed + 1
            found.cases += report["test_cases"]["generated"]
            found.operations = report["operations"]["tested"]
            found.failures += [json.dumps(each) for each in (*report["failures"], *report["errors"])]
            if found.cases == before:
                found.failures.append(f"nothing was asked: {report['stop_reason']}")
    return found


def _round(address: str, folder: Path, each: int, seed: int, phases: str) -> dict[str, Any]:
    """Return the report of one run of schemathesis."""
    file = folder / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", "--no-color"]
    command += ["--seed", str(seed), "--max-examples", str(each), "--phases", phases, "--continue-on-failure"]
    command += [
        "--exclude-checks",
        ",".join(_LEFT_OUT),
        "--request-timeout",
        str(_SECONDS),
        "--suppress-health-check",
        "all",
    ]
    command += [
        "--generation-database",
        "none",
        "--report",
        "json",
        "--report-json-path",
        str(file),
        "--warnings",
        "off",
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "benchmarks.fuzz_checks"}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
    )
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_ROUND_SECONDS, check=False
    )
    assert file.exists(), f"schemathesis ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if report["failures"] or report["errors"]:
        print(done.stdout)  # the report has no requests
    return report


def memory_mib(pid: int) -> float:
    """Return the most anonymous memory that a process had at once, with the files it maps, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Ask and print; the exit code is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--each", type=int, default=150, help="requests of an operation in one round")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = own_home(options.home, Path(folder))
        command = [sys.executable, "-m", "orita", "--home", str(home), "serve", "--port", "0", "--json"]
        with started("orita", command, pin=False) as server:
            found = fuzz(f"http://{server.address}", cases=options.cases, each=options.each, seed=options.seed)
            memory = memory_mib(server.pid)
    for failure in found.failures:
        print(failure)
    figures = {"cases": found.cases, "operations": found.operations, "failures": len(found.failures)}
    print(json.dumps({**figures, "memory_mib": round(memory)}))
    if found.failures:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
