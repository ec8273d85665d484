"""Where a training runs and in which precision: what `auto` in the configuration comes to on this machine."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from orita.core.errors import UserError
from orita.models.config import TrainingSection

__all__ = ["Hardware", "hardware_for"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where and how.

    Attributes:
        device: of the network and its tables.
        bf16: whether matrix products are taken in bfloat16; weights and optimisers stay float32.
        compiled: whether the network goes through ``torch.compile``.
    """

    device: torch.device
    bf16: bool
    compiled: bool

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return the context that a network runs in."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def describe(self) -> dict[str, str]:
        """Return the choices, for the run's log."""
        return {
            "device": str(self.device),
            "precision": "bf16" if self.bf16 else "fp32",
            "compile": "always" if self.compiled else "never",
        }


def hardware_for(section: TrainingSection) -> Hardware:
    """Return what *section* asks for, with `auto` decided.

    Raises:
        UserError: a GPU is asked for that PyTorch cannot see.
    """
    seen = torch.cuda.is_available()
    if section.device == "cuda" and not seen:
        raise UserError(
            "training.device has the value 'cuda', but PyTorch sees no GPU here; set it to auto or cpu, or install "
            "a PyTorch with CUDA and its driver."
        )
    on_gpu = seen and section.device != "cpu"
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
    pays = torch.cuda.is_bf16_supported if on_gpu else _bf16_pays
    bf16 = section.precision == "bf16" or (section.precision == "auto" and pays())
    return Hardware(device, bf16, section.compile == "always" or (section.compile == "auto" and on_gpu))


def _bf16_pays() -> bool:
    """Tell whether this processor multiplies matrices in bfloat16 many times as fast: it has tiles (AMX).

    What it is, not what a trial of it shows: a trial beside other work comes out one way and the other, and a seed
    would give two models on one machine.
    """
    return bool(torch.cpu._is_amx_tile_supported())
