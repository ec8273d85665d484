"""How large is the package on disk, and how much larger than the champion's?"""

from __future__ import annotations

from pathlib import Path

from orita.pipelines.gates.config import SizeGate
from orita.pipelines.gates.finding import GateFinding

__all__ = ["size_gate"]

_MIB = 1 << 20


def size_gate(challenger: Path, champion: Path | None, gate: SizeGate) -> GateFinding:
    """Judge the folder of a package; without a champion only ``most_mb`` asks anything."""
    size = _bytes(challenger)
    figures = {"bytes": size}
    told = f"the package has {size / _MIB:.2f} MiB"
    broken = []
    if gate.most_mb is not None and size > gate.most_mb * _MIB:
        broken.append(f"at most {gate.most_mb:g} MiB are allowed")
    if champion is not None:
        theirs = _bytes(champion)
        ratio = size / theirs
        figures |= {"champion_bytes": theirs}
        told = f"{told}, {ratio:.2f} times the champion's"
        if gate.most_ratio is not None and ratio > gate.most_ratio:
            broken.append(f"at most {gate.most_ratio:g} times is allowed")
    sentence = f"{told}; {', '.join(broken)}" if broken else told
    return GateFinding("size", "fail" if broken else "pass", sentence, not broken, figures)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
