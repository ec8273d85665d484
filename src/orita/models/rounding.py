"""Numbers to eight significant bits: what a model that prepares items ahead reads of them.

The age of an item is another number at every request, and the click rate of its topic at every event; the vector that
an item tower makes of them is hardly another one. Rounded, they stay the same for a while, and so does the vector.

Legend: N rows, I numbers of each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Rounding", "rounded"]

_LAST, _ONE, _HALF, _KEPT, _ALL = (np.uint32(bits) for bits in (16, 1, 0x7FFF, 0xFFFF0000, 0xFFFFFFFF))


class Rounding:
    """Rounds some columns of a matrix to the nearest bfloat16, halves to even; *is_rounded_I* says which.

    The same as ONNX's ``Cast`` to bfloat16 and back, bit by bit. A NaN stays one where its lower 16 bits are 0, as
    those are that computers make.
    """

    def __init__(self, is_rounded_I: npt.NDArray[np.bool_]) -> None:
        self._one_I, self._half_I = np.where(is_rounded_I, _ONE, 0), np.where(is_rounded_I, _HALF, 0)
        self._kept_I = np.where(is_rounded_I, _KEPT, _ALL)

    def apply(self, number_NI: npt.NDArray[np.uint32]) -> None:
        """Round float32 numbers in place, given as their bits."""
        more_NI = number_NI >> _LAST
        more_NI &= self._one_I
        more_NI += self._half_I
        number_NI += more_NI
        number_NI &= self._kept_I


def rounded(x_NI: npt.NDArray[np.float32], is_rounded_I: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return *x_NI* with some of its columns rounded, every NaN as a NaN; see `Rounding`."""
    coarse_NI = np.array(x_NI, np.float32, order="C")
    Rounding(is_rounded_I).apply(coarse_NI.view(np.uint32))
    return np.where(np.isnan(x_NI), x_NI, coarse_NI)
