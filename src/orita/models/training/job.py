"""One training as a folder, which any number of processes carry out together.

`fit_job` is the one entry: ``torchrun -m orita.models.training.job FOLDER``, or Spark's
``TorchDistributor(...).run(fit_job, FOLDER)``. The processes leave their result as the checkpoint of a finished
training; whoever fits the same ranker on the same rows with these checkpoints gets it without training again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from orita.core.errors import OritaError
from orita.core.files import atomic_file
from orita.core.progress import SILENT, Progress
from orita.features.schema import FeatureSchema
from orita.features.system import OUTCOME
from orita.models.build import build_ranker
from orita.models.config import ModelSection, TrainingSection, with_own_types
from orita.models.examples import Examples, Ids
from orita.models.ranker import FitContext
from orita.models.training.interruption import Interrupted

__all__ = ["failure_of", "fit_job", "interruption_of", "write_job"]

_JOB, _STOPPED, _FAILED = "job.json", "interrupted.txt", "failed.txt"


def write_job(
    folder: Path,
    type_: str,
    model: ModelSection,
    training: TrainingSection,
    train: Examples,
    val: Examples,
    seed: int,
    checkpoints: Path,
) -> None:
    """Write a training into *folder*; every process must be able to read it, and the first to write *checkpoints*."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("val", val)):
        arrays = {"users": _plain(rows.users_N), "items": _plain(rows.items_N)}
        arrays |= {f"{OUTCOME}{outcome}": told_N for outcome, told_N in rows.outcomes.items()}
        np.savez(folder / f"{name}.npz", allow_pickle=False, x=rows.x_NF, y=rows.y_N, time=rows.time_N, **arrays)
    content = {
        "type": type_,
        "model": model.model_dump(mode="json"),
        "training": training.model_dump(mode="json"),
        "schema": train.schema.to_dict(),
        "label": train.label,
        "seed": seed,
        "checkpoints": str(checkpoints),
    }
    with atomic_file(folder / _JOB) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def fit_job(folder: str, progress: Progress = SILENT) -> list[dict[str, float]]:
    """Carry out the training in *folder*, in each of its processes; return its history.

    Raises:
        Interrupted: the processes were asked to stop; the folder says so too, as a launcher has its own exit code.
    """
    job: dict[str, Any] = json.loads((Path(folder) / _JOB).read_text(encoding="utf-8"))
    schema = FeatureSchema.from_dict(job["schema"])
    model = job["model"]  # may name types of the user's own, which were checked where they are declared
    section = ModelSection.model_validate(model, context=with_own_types((model["type"], *model["parameters"])))
    ranker = build_ranker(job["type"], section, TrainingSection(**job["training"]))
    train, val = (_read(Path(folder) / f"{name}.npz", schema, job["label"]) for name in ("train", "val"))
    try:
        return ranker.fit(train, val, FitContext(progress, Path(job["checkpoints"]), job["seed"])).history
    except Interrupted as stopped:
        if os.environ.get("RANK", "0") == "0":
            (Path(folder) / _STOPPED).write_text(str(stopped), encoding="utf-8")
        raise
    except OritaError as error:
        (Path(folder) / _FAILED).write_text(str(error), encoding="utf-8")
        raise


def interruption_of(folder: Path) -> str | None:
    """Return what the processes said if they were asked to stop."""
    return _said(folder / _STOPPED)


def failure_of(folder: Path) -> str | None:
    """Return the sentence that a process failed with."""
    return _said(folder / _FAILED)


def _said(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.exists() else None


def _read(file: Path, schema: FeatureSchema, label: str) -> Examples:
    with np.load(file, allow_pickle=False) as found:
        users_N, items_N = _ids(found["users"]), _ids(found["items"])
        outcomes = {name.removeprefix(OUTCOME): found[name] for name in found.files if name.startswith(OUTCOME)}
        return Examples(schema, users_N, items_N, found["x"], found["y"], found["time"], outcomes=outcomes, label=label)


def _plain(ids_N: Ids) -> Any:
    return ids_N.astype(str) if ids_N.dtype == np.object_ else ids_N


def _ids(ids_N: Any) -> Ids:
    found_N: Ids = ids_N.astype(object) if ids_N.dtype.kind == "U" else ids_N
    return found_N


if __name__ == "__main__":
    try:
        fit_job(sys.argv[1])
    except Interrupted as stopped:
        sys.exit(stopped.exit_code)
