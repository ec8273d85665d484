"""Evidently's summary and drift reports of two Parquet files, in an environment that has it, as in
``requirements/evidently.txt``: one JSON object.

PYTHON -m benchmarks.peers.evidently_profile reference.parquet recent.parquet
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from importlib import import_module


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    pandas, evidently, presets = map(import_module, ("pandas", "evidently", "evidently.presets"))
    reference, recent = (pandas.read_parquet(path) for path in sys.argv[1:3])
    begun = time.perf_counter()
    evidently.Report([presets.DataSummaryPreset(), presets.DataDriftPreset()]).run(recent, reference)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mib": peak}))


if __name__ == "__main__":
    main()
