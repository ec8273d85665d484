"""Pandera's or Evidently's verdict on batches, in an environment that has it: one JSON object.

``requirements/pandera.txt`` and ``requirements/evidently.txt`` name what it needs.

PYTHON -m benchmarks.peers.fault_checkers pandera|evidently FOLDER

FOLDER holds ``history.parquet``, one of its days as ``reference.parquet``, and batches ``<name>.parquet``. Pandera
infers a schema from history and validates; Evidently runs its summary and drift presets with their own tests against
the day. The answer has, by batch, the names of what failed.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    """Check and print."""
    warnings.simplefilter("ignore")
    peer, folder = sys.argv[1], Path(sys.argv[2])
    pandas = import_module("pandas")
    learnt_from, prepare = {"pandera": ("history", _pandera), "evidently": ("reference", _evidently)}[peer]
    check = prepare(pandas.read_parquet(folder / f"{learnt_from}.parquet"))
    failed, begun = {}, time.perf_counter()
    for file in sorted(folder.glob("*.parquet")):
        if file.stem not in ("history", "reference"):
            failed[file.stem] = check(pandas.read_parquet(file))
    print(json.dumps({"failed": failed, "seconds": time.perf_counter() - begun}))


def _pandera(history: Any) -> Any:
    pandera = import_module("pandera.pandas")
    schema = pandera.infer_schema(history)

    def check(batch: Any) -> list[str]:
        try:
            schema.validate(batch, lazy=True)
        except (pandera.errors.SchemaErrors, pandera.errors.SchemaError) as error:
            cases: Any = getattr(error, "failure_cases", None)
            if not hasattr(cases, "columns"):
                return [type(error).__name__]
            return sorted({f"{column}: {what}" for column, what in zip(cases["column"], cases["check"], strict=True)})
        return []

    return check


def _evidently(reference: Any) -> Any:
    evidently, presets = map(import_module, ("evidently", "evidently.presets"))
    report = evidently.Report([presets.DataSummaryPreset(), presets.DataDriftPreset()], include_tests=True)

    def check(batch: Any) -> list[str]:
        try:
            tests = report.run(batch, reference).dict()["tests"]
        except Exception as error:  # a batch of other columns: it says so by failing
            return [type(error).__name__]
        found = tests.values() if isinstance(tests, dict) else tests
        return sorted(str(test.get("name")) for test in found if "FAIL" in str(test.get("status")).upper())

    return check


if __name__ == "__main__":
    main()
