"""Where a killed training goes on: tensors and a state in one file that is replaced as a whole, without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.files import atomic_file, remove_leftovers

__all__ = ["Checkpoints"]

_NAME = "checkpoint.safetensors"


class Checkpoints:
    """The latest checkpoint of one training.

    Args:
        folder: where it lies; None keeps nothing.
        fingerprint: a digest of data, settings and seed; a checkpoint of another training is not used but replaced.
    """

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        self._at = folder / _NAME if folder else None
        self._fingerprint = fingerprint

    @property
    def kept(self) -> bool:
        """Whether checkpoints are kept at all."""
        return self._at is not None

    def save(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one."""
        if self._at is None:
            return
        safetensors = require("safetensors.torch", extra="train")
        content = {"fingerprint": self._fingerprint, **state}
        with atomic_file(self._at) as partial:
            whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
            safetensors.save_file(whole, partial, {"state": json.dumps(content)})

    def load(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Return state and tensors of this training's checkpoint, or None where there is none.

        Raises:
            UserError: there is a checkpoint that cannot be read; the sentence says which file to remove.
        """
        if self._at is None:
            return None
        remove_leftovers(self._at.parent, self._at.suffix)
        if not self._at.exists():
            return None
        safetensors = require("safetensors", extra="train")
        try:
            with safetensors.safe_open(self._at, framework="pt") as opened:
                state: dict[str, Any] = json.loads((opened.metadata() or {})["state"])
                if state["fingerprint"] == self._fingerprint:
                    return state, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no dict
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            raise UserError(f"the checkpoint {self._at} cannot be read ({error}); remove that file.") from None
        self._at.unlink()
        return None
