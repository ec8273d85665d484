"""What does it cost that a task is noted, retried and found again? Medians, beside the same in plain function calls.

A chain of tasks that do nothing, in this process and with a process for each; and a graph of ten tasks that read and
write files of 100 kB, run again with nothing changed: digests are taken, nothing is done. The first isolated task,
which waits for the fork server to import Orita, is told apart.

    python -m benchmarks.pipeline               # a minute
    python -m benchmarks.pipeline --runs 20
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.pipeline_graphs import noop_graph, nothing, workspace_in

from orita.events.sources.probe import digest_of as digest_of_file
from orita.pipelines.graph import Cache, Graph, Origin, Result, RunOptions, Task, run_graph
from orita.pipelines.workspace import Workspace

_CHAINED, _ISOLATED, _STEPS = 100, 10, 10
_BYTES = 100_000


def main() -> None:
    """Measure, and print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="how often each is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        workspace = workspace_in(home)
        calls = statistics.median(plain_calls(workspace) for _ in range(options.runs))
        noop = statistics.median(chained(workspace, RunOptions(), _CHAINED) for _ in range(options.runs))
        isolated = RunOptions(origin=Origin("benchmarks.pipeline_graphs:reopened", {"folder": folder}))
        first = chained(workspace, isolated, 1)
        alone = statistics.median(chained(workspace, isolated, _ISOLATED) for _ in range(options.runs))
        cached = statistics.median(cached_reruns(workspace, options.runs))
        plain = statistics.median(plain_reruns(workspace, options.runs))
    print(f"a task that does nothing, by the runner     {noop:8.2f} ms")
    print(f"                          a function call   {calls:8.4f} ms")
    print(f"                          isolated          {alone:8.2f} ms  (the first {first:.0f} ms)")
    print(f"ten steps with nothing changed, the runner  {cached:8.2f} ms")
    print(f"                          digests alone     {plain:8.2f} ms")
    figures = {"noop_ms": noop, "isolated_ms": alone, "cached_rerun_ms": cached}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


def chained(workspace: Workspace, options: RunOptions, tasks: int) -> float:
    """Return the milliseconds of one task of a chain, all that belongs to the run included."""
    graph = noop_graph(tasks)
    begun = time.perf_counter()
    run_graph(graph, workspace, options)
    return 1e3 * (time.perf_counter() - begun) / tasks


def plain_calls(workspace: Workspace) -> float:
    """Return the milliseconds of one function call, of as many in a row."""
    begun = time.perf_counter()
    results: dict[str, Result] = {}
    for number in range(_CHAINED):
        results[f"t{number}"] = nothing(workspace, results)
    return 1e3 * (time.perf_counter() - begun) / _CHAINED


def file_graph(folder: Path) -> Graph:
    """Return ten tasks, each of which makes a file of the one before; found by the digests of their files."""

    def step(number: int) -> Task:
        read, made = folder / f"{number}", folder / f"{number + 1}"

        def body(workspace: Workspace, results: Mapping[str, Result]) -> Result:
            made.write_bytes(bytes(255 - byte for byte in read.read_bytes()))
            return {"digest": digest_of_file(made)}

        def holds(workspace: Workspace, result: Result) -> bool:
            return made.exists() and digest_of_file(made) == result["digest"]

        return Task(f"step{number}", body, cache=Cache(lambda w, r: digest_of_file(read), holds=holds))

    return Graph("files", None, tuple(step(number) for number in range(_STEPS)))


def cached_reruns(workspace: Workspace, runs: int) -> list[float]:
    """Return the milliseconds of each rerun with nothing changed."""
    folder = workspace.home.root / "files"
    folder.mkdir()
    (folder / "0").write_bytes(os.urandom(_BYTES))
    graph = file_graph(folder)
    run_graph(graph, workspace)
    found = []
    for _ in range(runs):
        begun = time.perf_counter()
        report = run_graph(graph, workspace)
        found.append(1e3 * (time.perf_counter() - begun))
        assert report.cached and len(report.tasks) == _STEPS
    return found


def plain_reruns(workspace: Workspace, runs: int) -> list[float]:
    """Return the milliseconds that taking the same digests takes by itself."""
    folder = workspace.home.root / "files"
    found = []
    for _ in range(runs):
        begun = time.perf_counter()
        for number in range(_STEPS):
            digest_of_file(folder / f"{number}")
            digest_of_file(folder / f"{number + 1}")
        found.append(1e3 * (time.perf_counter() - begun))
    return found


if __name__ == "__main__":
    main()
