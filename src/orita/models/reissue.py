"""The same graph in another package: calibrated and weighed after training, under another card at registration."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orita.models.calibration import Calibration
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.objectives import calibrate_outputs
from orita.models.package import Package, load_package
from orita.models.package.card import CardText, evaluation_facts
from orita.models.package.description import Description
from orita.models.package.files import MANIFEST_FILE, SAMPLE_FILE
from orita.models.package.manifest import read_contents
from orita.models.package.steps import Calibrate
from orita.models.package.tables import read_sample, write_sample
from orita.models.package.write import with_objective, write_described

__all__ = ["finish_package", "reissue_package"]


def finish_package(
    package: Package,
    folder: Path,
    metadata: ModelMetadata,
    rows: Examples,
    *,
    calibration: str = "none",
    objective: Mapping[str, float] | None = None,
    extra: Mapping[str, object] | None = None,
) -> None:
    """Fill *folder* with *package* as it is to serve: calibrated on *rows*, weighed by *objective*; same graphs.

    Args:
        package: as training wrote it, not calibrated yet.
        folder: an empty folder.
        metadata: the card.
        rows: labelled rows that the model did not learn from.
        calibration: ``isotonic``, ``platt`` or ``none``.
        objective: what one unit of each head is worth in the score; None: as before.
        extra: JSON values to keep beside the card; None: what there was.

    Raises:
        NotFound: *objective* weighs what is no head of the model.
        UserError: as `fit_calibration`; or *objective* weighs several heads of a model with one.
    """
    before = package.description
    assert not any(isinstance(step, Calibrate) for step in before.post), "it is calibrated already"
    outputs = package.outputs(rows.users_N, rows.items_N, rows.x_NF)
    found = calibrate_outputs(calibration, before.heads, outputs, rows)
    if isinstance(found, Calibration):
        steps = (Calibrate(found),) if found.method != "none" else ()
        described = replace(before, post=(*steps, *before.post))
    else:
        heads = tuple(replace(head, calibration=found.get(head.name, Calibration())) for head in before.heads)
        described = replace(before, heads=heads)
    if objective and (before.heads or len(objective) > 1):  # the weight of a single head changes nothing
        described = with_objective(described, objective)
    _issue(package, folder, metadata, described if extra is None else replace(described, extra=dict(extra)))


def reissue_package(
    package: Package,
    folder: Path,
    metadata: ModelMetadata,
    *,
    text: CardText | None = None,
    evaluation: Mapping[str, Any] | None = None,
    objective: Mapping[str, float] | None = None,
) -> None:
    """Fill *folder* with the files of *package* under the card *metadata*, and check that it scores as before.

    The signature stays behind, as it is not over these files; a package of an older format becomes one of this.

    Args:
        package: what to issue again.
        folder: an empty folder.
        metadata: the card.
        text: what people say about the model, for the model card; None: what they said before.
        evaluation: ``Evaluation.to_dict()``, for the model card; None: what it was before.
        objective: what one unit of each head is worth in the score; None: what it was before. Graphs stay as they are.

    Raises:
        NotFound: *objective* weighs what is no head of the model.
        UserError: a file of the package is not what its manifest says, or *objective* is for a model with one head.
    """
    described = with_objective(package.description, objective) if objective else package.description
    card = dict(package.description.card)
    card |= {"text": text.model_dump(exclude_defaults=True)} if text else {}
    card |= {"evaluation": evaluation_facts(evaluation)} if evaluation else {}
    _issue(package, folder, metadata, replace(described, card=card))


def _issue(package: Package, folder: Path, metadata: ModelMetadata, described: Description) -> None:
    """Copy *package*, and write what tells about it anew; its sample proves the steps as they are *described*."""
    for name in (MANIFEST_FILE, *read_contents(package.folder).files):
        shutil.copyfile(package.folder / name, folder / name)
    contents = read_contents(folder)  # what was copied is what was checked, whatever happened in between
    before = package.description
    if (described.post, described.heads, described.objective) != (before.post, before.heads, before.objective):
        names = [head.name for head in described.heads]
        kept = read_sample(contents.content(SAMPLE_FILE), contents.where(SAMPLE_FILE), package.schema, names)
        write_sample(folder / SAMPLE_FILE, replace(kept, final_N=described.score(kept.outputs)), names)
    write_described(folder, metadata, package.schema, described)
    load_package(folder).check_sample()
