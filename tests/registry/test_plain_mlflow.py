"""What MLflow's own clients read of a registry: all of it, without Orita, and scores with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.registry.registering import register

from orita.core.errors import UserError
from orita.models.package import load_package
from orita.registry.catalogue import Catalogue
from orita.registry.mlmodel import MLMODEL_FILE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mlflow")  # its pyfunc warns as it is imported

LINEAGE = {"orita.training_set": "0123456789abcdef", "orita.tables": '{"interactions": 3}', "team": "ads"}
READER = """
import json, sys
from mlflow import MlflowClient
from mlflow.models import get_model_info
import mlflow
client = MlflowClient(sys.argv[1], sys.argv[1])
mlflow.set_tracking_uri(sys.argv[1])
version = client.get_model_version("default.feed", "1")
run = client.get_run(version.run_id)
dataset = run.inputs.dataset_inputs[0]
signature = get_model_info(f"models:/default.feed/{version.version}").signature
print(json.dumps({
    "version": version.version, "aliases": client.get_registered_model("default.feed").aliases,
    "tags": dict(version.tags), "run_tags": dict(run.data.tags),
    "metrics": run.data.metrics, "params": run.data.params, "status": run.info.status,
    "inputs": {column.name: column.type.name for column in signature.inputs},
    "outputs": signature.outputs.input_names(),
    "dataset": dataset.dataset.to_dictionary(), "context": dataset.tags[0].value,
    "files": sorted(file.path for file in client.list_artifacts(version.run_id)),
    "package": sorted(file.path for file in client.list_artifacts(version.run_id, "package")),
    "orita": any(name.partition(".")[0] == "orita" for name in sys.modules),
}))
"""


@pytest.fixture(scope="module")
def registered(
    sqlite_catalogue: Callable[[Path], Catalogue], tmp_path_factory: pytest.TempPathFactory, draft: Path
) -> Catalogue:
    """Return a registry with one model."""
    catalogue = sqlite_catalogue(tmp_path_factory.mktemp("registered") / "home with spaces")
    register(catalogue, draft, tags=LINEAGE)
    return catalogue


def test_a_client_without_orita_reads_all_of_it(registered: Catalogue) -> None:
    """Version, alias, tags, metrics, signature, dataset and files are MLflow's own; nothing of Orita is imported."""
    address = f"sqlite:///{registered.home.mlflow_db}"
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, address],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    read = json.loads(ran.stdout.splitlines()[-1])
    assert read["orita"] is False
    assert {name: str(number) for name, number in read["aliases"].items()}.keys() == {"challenger"}
    assert (str(read["version"]), read["status"], read["metrics"]["auc"], read["params"]) == (
        "1",
        "FINISHED",
        0.7,
        {"a": "1"},
    )
    assert read["tags"].items() >= {**LINEAGE, "orita.type": "popularity"}.items()
    assert read["run_tags"].items() >= {**LINEAGE, "mlflow.source.name": "orita"}.items()
    assert read["inputs"] == {"item_ctr": "double", "item_popularity": "long"}
    assert read["outputs"] == ["score"]
    assert (read["dataset"]["name"], read["context"]) == ("0123456789abcdef", "training")
    assert json.loads(read["dataset"]["profile"])["tables"] == {"interactions": 3}
    assert "MLmodel" in read["files"]
    assert {"package/model.onnx", "package/manifest.json"} <= set(read["package"])


def test_pyfunc_scores_as_the_package_does(registered: Catalogue) -> None:
    """``mlflow.pyfunc.load_model`` gives the scores that serving gives; features that are absent are missing values."""
    from mlflow import pyfunc

    pd = pytest.importorskip("pandas")

    entry = registered.get("feed", "v1.1.0")
    package, loaded = load_package(entry.package), pyfunc.load_model(str(entry.package.parent))
    items_N, x_NF = np.array([1, 2, 99]), np.array([[0.5, 3], [0.1, 4], [np.nan, 5]], np.float32)
    table = pd.DataFrame(
        {
            "item": items_N,
            "item_ctr": x_NF[:, 0].astype(float),
            "item_popularity": x_NF[:, 1].astype(np.int64),
        }
    )
    expected_N = package.score(np.zeros(3, np.int64), items_N, x_NF)
    assert loaded.predict(table)["score"].tolist() == expected_N.tolist()
    partial = package.score(np.zeros(3, np.int64), items_N, np.column_stack([x_NF[:, 0], np.full(3, np.nan)]))
    assert loaded.predict(table[["item", "item_ctr"]])["score"].tolist() == partial.tolist()


def test_pyfunc_refuses_a_changed_package(registered: Catalogue, draft: Path) -> None:
    """The file beside the package opens it by its checksums: a changed byte is refused by name."""
    from mlflow import pyfunc

    entry = register(registered, draft)
    graph = entry.package / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"model\.onnx"):
        pyfunc.load_model(str(entry.package.parent))


def test_the_file_is_beside_the_package_and_changes_nothing_in_it(registered: Catalogue) -> None:
    """The package's manifest names every file of it, so what MLflow needs lies outside."""
    entry = registered.get("feed", "v1.1.0")
    assert (entry.package.parent / MLMODEL_FILE).is_file()
    assert not (entry.package / MLMODEL_FILE).exists()
    load_package(entry.package)
