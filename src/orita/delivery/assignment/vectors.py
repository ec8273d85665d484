"""The cases of `vectors.json`: what an implementation of the assignment in any language must answer."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from orita.delivery.assignment.hashing import Unit

__all__ = ["Vector", "vectors"]


class Vector(msgspec.Struct, frozen=True):
    """A case.

    Attributes:
        salt: the salt.
        unit: text or a whole number.
        key: the bytes that are hashed, in hexadecimal.
        hash: h₁, the first 64-bit word of MurmurHash3_x64_128, as 16 hexadecimal digits.
        fraction: (h₁ >> 11) ÷ 2⁵³, exact in IEEE 754 double precision.
    """

    salt: str
    unit: Unit
    key: str
    hash: str
    fraction: float


def vectors() -> tuple[Vector, ...]:
    """Return the cases."""
    text = files("orita.delivery.assignment").joinpath("vectors.json").read_bytes()
    return msgspec.json.decode(text, type=tuple[Vector, ...])
