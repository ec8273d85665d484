"""Where a killed training goes on: tensors and a JSON file, replaced as one, without pickle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.files import atomic_directory

__all__ = ["Checkpoints"]

_NAME, _TENSORS, _STATE = "latest", "tensors.safetensors", "state.json"


class Checkpoints:
    """The latest checkpoint of one training.

    Args:
        folder: where it lies; None keeps nothing.
        fingerprint: a digest of data, settings and seed; a checkpoint of another training is not used but replaced.
    """

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        self._at = folder / _NAME if folder else None
        self._fingerprint = fingerprint

    def save(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one."""
        if self._at is None:
            return
        safetensors = require("safetensors.torch", extra="train")
        with atomic_directory(self._at) as partial:
            safetensors.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial / _TENSORS)
            content = {"fingerprint": self._fingerprint, **state}
            (partial / _STATE).write_text(json.dumps(content), encoding="utf-8")

    def load(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Return state and tensors of this training's checkpoint, or None where there is none.

        Raises:
            UserError: there is a checkpoint that cannot be read; the sentence says which folder to remove.
        """
        if self._at is None or not self._at.is_dir():
            return None
        safetensors = require("safetensors.torch", extra="train")
        try:
            state: dict[str, Any] = json.loads((self._at / _STATE).read_text(encoding="utf-8"))
            if state["fingerprint"] != self._fingerprint:
                shutil.rmtree(self._at)
                return None
            return state, safetensors.load_file(self._at / _TENSORS)
        except (OSError, ValueError, KeyError, require("safetensors", extra="train").SafetensorError) as error:
            raise UserError(f"the checkpoint in {self._at} cannot be read ({error}); remove that folder.") from None
