"""One deterministic function from (salt, unit) to a number in [0, 1): flags, experiments, canaries and traffic use it.

    fraction("checkout", 12)        # 0.9741…, as for "12", in every process and in every language

The bytes that are hashed are the salt in UTF-8, one zero byte, and the unit: text in UTF-8, a whole number in decimal
digits. Text is taken as it is, without Unicode normalisation; a lone surrogate becomes its three bytes as if UTF-8
allowed it. The hash is MurmurHash3_x64_128 with seed 0; its first 64-bit word h₁ gives (h₁ >> 11) ÷ 2⁵³. The zero byte
keeps ("a", "bc") and ("ab", "c") apart, since a salt has none. The state of 128 bits lets no two salts meet, as 32 bits
would now and then, and then give two experiments the same users.

`vectors.json` beside this module holds cases for other languages.

Source: A. Appleby, MurmurHash3 (2011), public domain.

Legend: N units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
from mmh3 import mmh3_x64_128_digest, mmh3_x64_128_uintdigest

from orita.core.errors import UserError

__all__ = ["Unit", "fraction", "fraction_by", "fractions", "is_whole", "unit_bytes"]

Unit = str | int | float
"""Who is assigned: a user, a session, a device. 12, 12.0 and "12" are one unit."""

_STEP = 2.0**-53
_MASK = (1 << 53) - 1
_LONGEST_WHOLE = 128
_LARGEST_WHOLE_FLOAT = float(1 << 53)


def fraction(salt: str, unit: Unit) -> float:
    """Return the number in [0, 1) of *unit* under *salt*.

    Raises:
        UserError: *salt* is empty or holds a zero byte; *unit* is empty text, or neither text nor a whole number.
    """
    return fraction_by(salt)(unit)


def fraction_by(salt: str) -> Callable[[Unit], float]:
    """Return `fraction` for one *salt*, prepared: what is asked for each request.

    Raises:
        UserError: *salt* is empty or holds a zero byte.
    """
    prefix = _prefix(salt)

    def of(unit: Unit) -> float:
        if type(unit) is str and unit:
            try:
                key = prefix + unit.encode()
            except UnicodeEncodeError:
                key = prefix + unit_bytes(unit)
        else:
            key = prefix + unit_bytes(unit)
        return (mmh3_x64_128_uintdigest(key) >> 11 & _MASK) * _STEP

    return of


def fractions(salt: str, units_N: Iterable[Unit] | npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Return the number of each unit, as `fraction` does, for analysis.

    Args:
        salt: as there.
        units_N: ids; an array of whole numbers, of text or of objects, or any other iterable.

    Raises:
        UserError: as there.
    """
    prefix = _prefix(salt)
    units = units_N.tolist() if isinstance(units_N, np.ndarray) else units_N
    digests = b"".join([mmh3_x64_128_digest(prefix + unit_bytes(unit)) for unit in units])
    first_N = np.frombuffer(digests, "<u8")[::2]
    return (first_N >> np.uint64(11)).astype(np.float64) * _STEP


def unit_bytes(unit: object) -> bytes:
    """Return the bytes of *unit* that are hashed.

    Raises:
        UserError: *unit* is empty text, or neither text nor a whole number.
    """
    if isinstance(unit, str):
        if unit:
            return unit.encode("utf-8", "surrogatepass")
    elif is_whole(unit):
        return b"%d" % int(unit)
    shown = repr(unit) if not isinstance(unit, int) or unit.bit_length() <= _LONGEST_WHOLE else hex(unit)
    raise UserError(
        f"the unit {shown} cannot be assigned: allowed are text that is not empty and whole numbers (up to 128 bits, "
        "as a float up to 2⁵³); give the id of a user, a session or a device."
    )


def is_whole(unit: object) -> TypeGuard[int | float]:
    """Tell whether *unit* is a whole number that can be assigned: up to 128 bits, or, as a float, up to 2⁵³."""
    if isinstance(unit, float):
        return unit.is_integer() and abs(unit) <= _LARGEST_WHOLE_FLOAT
    if isinstance(unit, bool) or not isinstance(unit, int | np.integer):
        return False
    return int(unit).bit_length() <= _LONGEST_WHOLE


def _prefix(salt: str) -> bytes:
    if not salt or "\0" in salt:
        raise UserError(f"the salt {salt!r} is empty or holds a zero byte: use a name, such as that of the experiment.")
    return salt.encode("utf-8", "surrogatepass") + b"\0"
