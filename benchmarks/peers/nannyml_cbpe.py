"""NannyML's CBPE on two Parquet files, for `benchmarks.performance`; run by a Python that has NannyML.

``requirements/nannyml.txt`` names what it needs.

PYTHON benchmarks/peers/nannyml_cbpe.py FOLDER      # with reference.parquet and analysis.parquet
"""

from __future__ import annotations

import json
import sys

import nannyml as nml  # type: ignore[import-not-found,unused-ignore]
import pandas as pd  # type: ignore[import-untyped,unused-ignore]

folder = sys.argv[1]
reference, analysis = (pd.read_parquet(f"{folder}/{name}.parquet") for name in ("reference", "analysis"))
for rows in (reference, analysis):
    rows["predicted"] = (rows["score"] >= 0.5).astype(int)
estimator = nml.CBPE(
    problem_type="classification_binary",
    y_pred_proba="score",
    y_pred="predicted",
    y_true="click",
    metrics=["roc_auc"],
    chunk_number=1,
)
estimator.fit(reference)
found = estimator.estimate(analysis.drop(columns="click")).filter(period="analysis").to_df()
print(json.dumps({"auc": float(found[("roc_auc", "value")].iloc[0])}))
