"""The same model under another card: what registration does to the package that training wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from orita.models.manifest import MANIFEST_FILE, write_manifest
from orita.models.metadata import ModelMetadata
from orita.models.package import METADATA_FILE, Package, load_package

__all__ = ["reissue_package"]


def reissue_package(package: Package, folder: Path, metadata: ModelMetadata) -> None:
    """Fill *folder* with the files of *package* under the card *metadata*, and check that it scores as before.

    Raises:
        UserError: a file of the package changed since it was loaded.
    """
    for file in sorted(load_package(package.folder).folder.iterdir()):
        if file.name not in (METADATA_FILE, MANIFEST_FILE):
            shutil.copyfile(file, folder / file.name)
    card = json.dumps(metadata.to_dict(), indent=2, sort_keys=True, allow_nan=False)
    (folder / METADATA_FILE).write_text(card + "\n", encoding="utf-8")
    write_manifest(folder)
    load_package(folder).check_sample()
