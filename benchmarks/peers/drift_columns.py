"""Which unchanged columns does Evidently call drifted? Run by an interpreter that has it
(``requirements/evidently.txt``); see `benchmarks.drift`.

Arguments are files of NumPy arrays, ``0|name`` the reference and ``1|name`` the current values of a column. Last line:
one JSON object of file → columns, drifted, seconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

_CATEGORICAL = ("share of a flag", "rare flag", "mix of")


def evidently_drift(before: Any, now: Any, categorical: list[str]) -> int:
    """Return how many columns Evidently's default preset calls drifted."""
    from evidently import DataDefinition, Dataset, Report  # type: ignore[import-not-found]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

    numerical = [name for name in before.columns if name not in categorical]
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=categorical)
    both = [Dataset.from_pandas(frame, data_definition=definition) for frame in (now, before)]
    result = json.loads(Report([DataDriftPreset()]).run(*both).json())
    counts = [m["value"] for m in result["metrics"] if "DriftedColumnsCount" in str(m.get("metric_name", m))]
    return int(counts[0]["count"])


def main() -> None:
    """Judge every file."""
    import pandas as pd  # type: ignore[import-untyped]

    told = {}
    for path in sys.argv[1:]:
        arrays = np.load(path)
        before, now = (
            pd.DataFrame({key[2:]: arrays[key] for key in arrays.files if key.startswith(f"{i}|")}) for i in range(2)
        )
        categorical = [name for name in before.columns if name.startswith(_CATEGORICAL)]
        for frame in (before, now):
            frame[categorical] = frame[categorical].astype(int).astype(str)
        began = time.monotonic()
        drifted = evidently_drift(before, now, categorical)
        name = path.rsplit("/", 1)[-1]
        told[name] = {"columns": len(before.columns), "drifted": drifted, "seconds": round(time.monotonic() - began, 2)}
    print(json.dumps({"evidently": told}))


if __name__ == "__main__":
    main()
