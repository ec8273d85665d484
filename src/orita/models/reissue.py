"""The same model under another card: what registration does to the package that training wrote."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orita.models.metadata import ModelMetadata
from orita.models.package import Package, load_package
from orita.models.package.card import CardText, evaluation_facts
from orita.models.package.files import MANIFEST_FILE, SAMPLE_FILE
from orita.models.package.manifest import read_contents
from orita.models.package.tables import read_sample, write_sample
from orita.models.package.write import with_objective, write_described

__all__ = ["reissue_package"]


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
    for name in (MANIFEST_FILE, *read_contents(package.folder).files):
        shutil.copyfile(package.folder / name, folder / name)
    contents = read_contents(folder)  # what was copied is what was checked, whatever happened in between
    if objective:
        names = [head.name for head in described.heads]
        kept = read_sample(contents.content(SAMPLE_FILE), contents.where(SAMPLE_FILE), package.schema, names)
        write_sample(folder / SAMPLE_FILE, replace(kept, final_N=described.score(kept.outputs)), names)
    card = dict(package.description.card)
    card |= {"text": text.model_dump(exclude_defaults=True)} if text else {}
    card |= {"evaluation": evaluation_facts(evaluation)} if evaluation else {}
    write_described(folder, metadata, package.schema, replace(described, card=card))
    load_package(folder).check_sample()
