"""What may lie in a package: names, kinds and sizes."""

from __future__ import annotations

import re

from orita.core.errors import UserError
from orita.models.graph import ITEMS_FILE, MODEL_FILE, USERS_FILE

__all__ = [
    "CARD_FILE",
    "DESCRIPTION_FILE",
    "ITEMS_FILE",
    "MANIFEST_FILE",
    "METADATA_FILE",
    "MODEL_FILE",
    "MOST_FILES",
    "REQUIREMENTS_FILE",
    "SAMPLE_FILE",
    "SCHEMA_FILE",
    "SIGNATURE_FILE",
    "USERS_FILE",
    "WEIGHTS_FILE",
    "check_name",
    "largest",
    "shown",
]

MANIFEST_FILE, SIGNATURE_FILE = "manifest.json", "signature.json"
METADATA_FILE, SCHEMA_FILE, DESCRIPTION_FILE = "model_metadata.json", "schema.json", "package.json"
SAMPLE_FILE, CARD_FILE, REQUIREMENTS_FILE = "sample.parquet", "model_card.md", "requirements.txt"
WEIGHTS_FILE = "weights.safetensors"

MOST_FILES = 64

_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,99}")
_MIB = 2**20
_LARGEST = {
    ".json": 4 * _MIB,
    ".md": _MIB,
    ".txt": _MIB,
    ".parquet": 4096 * _MIB,
    ".onnx": 2048 * _MIB - 1,  # what a protobuf message may hold
    ".safetensors": 16384 * _MIB,
    ".npz": 4096 * _MIB,  # arrays of retrievers
}
_LARGEST_OF_NAME = {"tokenizer.json": 64 * _MIB}  # it lists every piece of word that an encoder knows


def shown(name: str) -> str:
    """Return *name* as it may stand in a sentence: a terminal does not obey what it reads there."""
    return name if name.isprintable() else ascii(name)


def check_name(name: str, where: str) -> None:
    """Refuse the name of a file that no package holds.

    Raises:
        UserError: it is a path, has other characters than a name has, or an ending that no file of a package has.
    """
    ending = f".{name.rpartition('.')[2]}"
    if not _NAME.fullmatch(name) or ending not in _LARGEST:
        raise UserError(
            f"{where} names the file {shown(name)!r}, which no package holds: allowed are plain names of lower-case "
            f"letters, digits, '_', '-' and '.' that end in {', '.join(_LARGEST)}."
        )


def largest(name: str) -> int:
    """Return how many bytes a file of that name may have: by its ending, and of another ending a megabyte."""
    return _LARGEST_OF_NAME.get(name) or _LARGEST.get(f".{name.rpartition('.')[2]}", _MIB)
