"""``MLmodel``: what MLflow's own clients read of a model, beside the package.

It names the model's inputs and output (signature) and three ways to open it, its flavors:

- ``orita``: which folder the package is, its type and version;
- ``onnx``: the package's scoring graph as it is, for ``mlflow.onnx.load_model``. It scores rows of the feature matrix,
  without the steps that the package declares before and after the graph (calibration, an objective over heads);
- ``python_function``: ``mlflow.pyfunc.load_model`` gives the scores that serving gives. It runs installed code,
  `orita.registry.pyfunc`, on the verified package; nothing that lies in the package is run.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from orita.core.extras import require
from orita.core.files import atomic_file
from orita.features.schema import FeatureColumn
from orita.models.graph import ITEMS_FILE, USERS_FILE
from orita.models.package import Package
from orita.models.package.description import RANKER
from orita.models.vocabulary import Vocabulary

__all__ = ["MLMODEL_FILE", "PACKAGE", "SCORE", "columns_of_ids", "mlflow_type", "write_mlmodel"]

MLMODEL_FILE, PACKAGE, SCORE = "MLmodel", "package", "score"
_TYPES = {
    "bool": "boolean",
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "integer"),
    **dict.fromkeys(("int64", "uint32"), "long"),
    **dict.fromkeys(("float", "float16", "float32", "halffloat"), "float"),
}


def write_mlmodel(folder: Path, package: Package, run_id: str) -> None:
    """Write the file into *folder*, in which the package lies as ``package``; whole or not at all."""
    models, schema = require("mlflow.models", extra="train"), require("mlflow.types", extra="train")
    ids = [schema.ColSpec(type_, name) for name, type_ in columns_of_ids(package.folder).items()]
    features = [schema.ColSpec(mlflow_type(column), column.name, required=False) for column in package.schema.columns]
    signature = models.ModelSignature(
        inputs=schema.Schema([*ids, *features]), outputs=schema.Schema([schema.ColSpec("float", SCORE)])
    )
    described = models.Model(
        artifact_path=None,
        run_id=run_id,
        utc_time_created=package.metadata.training_date,
        flavors=_flavors(package),
        signature=signature,
        metadata={"model_id": package.metadata.model_id, "feature_schema": package.schema.version},
    )
    with atomic_file(folder / MLMODEL_FILE) as partial:
        described.save(partial)


def columns_of_ids(package: Path) -> dict[str, str]:
    """Return MLflow's types of the id columns ``user`` and ``item``, as far as the model knows ids."""
    files = {"user": package / USERS_FILE, "item": package / ITEMS_FILE}
    known = {name: Vocabulary.read(file) for name, file in files.items() if file.exists()}
    return {name: "long" if ids.is_integer else "string" for name, ids in known.items()}


def _flavors(package: Package) -> dict[str, dict[str, Any]]:
    graph = f"{PACKAGE}/{package.description.graphs[RANKER]}"
    onnx = require("onnx", extra="train")
    return {
        "orita": {PACKAGE: PACKAGE, "type": package.metadata.model_type, "version": package.version},
        "onnx": {"data": graph, "onnx_version": onnx.__version__, "providers": ["CPUExecutionProvider"]},
        "python_function": {
            "loader_module": "orita.registry.pyfunc",
            "data": PACKAGE,
            "python_version": platform.python_version(),
        },
    }


def mlflow_type(column: FeatureColumn) -> str:
    """Return MLflow's name of the type that a feature has in a training row."""
    return _TYPES.get(column.arrow, "double")
