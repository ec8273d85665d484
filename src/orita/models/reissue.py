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
from orita.models.package.files import MANIFEST_FILE
from orita.models.package.manifest import read_contents
from orita.models.package.write import write_described

__all__ = ["reissue_package"]


def reissue_package(
    package: Package,
    folder: Path,
    metadata: ModelMetadata,
    *,
    text: CardText | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> None:
    """Fill *folder* with the files of *package* under the card *metadata*, and check that it scores as before.

    The signature stays behind, as it is not over these files; a package of an older format becomes one of this.

    Args:
        package: what to issue again.
        folder: an empty folder.
        metadata: the card.
        text: what people say about the model, for the model card; None: what they said before.
        evaluation: ``Evaluation.to_dict()``, for the model card; None: what it was before.

    Raises:
        UserError: a file of the package is not what its manifest says.
    """
    for name in (MANIFEST_FILE, *read_contents(package.folder).files):
        shutil.copyfile(package.folder / name, folder / name)
    read_contents(folder)  # what was copied is what was checked, whatever happened in between
    card = dict(package.description.card)
    card |= {"text": text.model_dump(exclude_defaults=True)} if text else {}
    card |= {"evaluation": evaluation_facts(evaluation)} if evaluation else {}
    write_described(folder, metadata, package.schema, replace(package.description, card=card))
    load_package(folder).check_sample()
