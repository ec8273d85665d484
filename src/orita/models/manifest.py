"""Checksums of a folder: nothing changed, nothing missing, nothing added."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from orita.core.errors import UserError

__all__ = ["MANIFEST_FILE", "verify_manifest", "write_manifest"]

MANIFEST_FILE = "manifest.json"


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json``: the SHA-256 and the size of every file in *folder*, which has no folders inside."""
    files = {
        file.name: {"sha256": _sha256(file), "bytes": file.stat().st_size}
        for file in sorted(folder.iterdir())
        if file.name != MANIFEST_FILE
    }
    (folder / MANIFEST_FILE).write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")


def verify_manifest(folder: Path) -> None:
    """Compare *folder* with its manifest.

    Raises:
        UserError: there is no readable manifest, or a file is changed, missing or extra; the sentence names the file.
    """
    declared = _declared(folder)
    found = {path.name for path in folder.iterdir() if path.name != MANIFEST_FILE}
    for name in sorted(found - set(declared)):
        raise UserError(f"{folder / name} is not listed in {MANIFEST_FILE}; a package holds no other files, remove it.")
    for name, digest in sorted(declared.items()):
        file = folder / name
        if name not in found:
            raise UserError(f"{file} is listed in {MANIFEST_FILE} but missing; fetch the package again.")
        if file.is_symlink() or not file.is_file():
            raise UserError(f"{file} is not a plain file; a package holds plain files only, fetch it again.")
        if _sha256(file) != digest:
            raise UserError(
                f"{file} is changed: its SHA-256 is not the one in {MANIFEST_FILE}; fetch the package again."
            )


def _declared(folder: Path) -> dict[str, str]:
    file = folder / MANIFEST_FILE
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; a model package is a folder with a {MANIFEST_FILE}.")
    if file.is_symlink() or not file.is_file():
        raise UserError(f"{file} is missing or not a plain file; {folder} is no model package.")
    try:
        files = json.loads(file.read_text(encoding="utf-8"))["files"]
        return {str(name): str(entry["sha256"]) for name, entry in files.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UserError(f"{file} is not a manifest: expected {{'files': {{name: {{'sha256': …}}}}}}.") from None


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
