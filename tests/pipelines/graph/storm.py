"""The process that `test_kill_storm` kills: carries out the storm graph, going on with what was killed before."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.pipelines.graph.graphs import origin_of, reopened

from orita.pipelines.graph import RunOptions, run_graph

if __name__ == "__main__":
    folder, isolated = Path(sys.argv[1]), sys.argv[2] == "isolated"
    graph, workspace = reopened("storm", str(folder))
    origin = origin_of("storm", folder) if isolated else None
    print("begins", flush=True)  # noqa: T201 - the test waits for it
    run_graph(graph, workspace, RunOptions(origin=origin, parallel=3, resume="killed"))
