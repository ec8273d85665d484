"""MurmurHash3_x64_128 in plain Python, beside the library that the assignment calls."""

from __future__ import annotations

_MASK = (1 << 64) - 1
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F


def first_word(data: bytes) -> int:
    """Return h₁ of *data* with seed 0."""
    one = two = 0
    whole = len(data) // 16 * 16
    for at in range(0, whole, 16):
        low, high = (int.from_bytes(data[at + n : at + n + 8], "little") for n in (0, 8))
        one = (_rotated(one ^ _mixed(low, _C1, 31, _C2), 27) + two) * 5 + 0x52DCE729 & _MASK
        two = (_rotated(two ^ _mixed(high, _C2, 33, _C1), 31) + one) * 5 + 0x38495AB5 & _MASK
    tail = data[whole:]
    two ^= _mixed(int.from_bytes(tail[8:], "little"), _C2, 33, _C1)
    one ^= _mixed(int.from_bytes(tail[:8], "little"), _C1, 31, _C2)
    one, two = one ^ len(data), two ^ len(data)
    one = one + two & _MASK
    two = two + one & _MASK
    return _finished(one) + _finished(two) & _MASK


def _mixed(value: int, first: int, by: int, second: int) -> int:
    return _rotated(value * first & _MASK, by) * second & _MASK


def _rotated(value: int, by: int) -> int:
    value &= _MASK
    return (value << by | value >> 64 - by) & _MASK


def _finished(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & _MASK
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return value ^ value >> 33
