"""Forms of texts: what characters they are made of, worked out once for each different text.

Legend: U different texts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["FORMS", "form_masks", "shapes"]

_MISSING_WORDS = ("n/a", "na", "nan", "null", "none", "nil", "-", "--", "?", "unknown", "undefined", "#n/a", "missing")

# UTF-8 read as Latin-1 or Windows-1252: a lead byte as Ã, Â, â, Ä or Å, and what follows as a symbol; or what is lost.
_MOJIBAKE = r"[ÃÂÄÅá][\x{0080}-\x{00BF}\x{0152}-\x{0192}\x{2018}-\x{2122}]|â[\x{0080}-\x{00BF}\x{20AC}]|\x{FFFD}"

FORMS = (
    *("empty", "padded", "leading_zero", "upper", "lower", "digits"),
    *("comma", "point", "not_ascii", "mojibake", "missing_word"),
)
"""Names of the forms, in the order of `form_masks`."""

_LONG = 40


def form_masks(texts_U: pa.Array) -> list[npt.NDArray[np.bool_]]:
    """Return which texts have each of `FORMS`; a text may have several."""
    trimmed = pc.utf8_trim_whitespace(texts_U)
    odd = pc.invert(pc.string_is_ascii(texts_U))
    found = [
        pc.equal(trimmed, ""),
        pc.and_(pc.not_equal(trimmed, texts_U), pc.not_equal(trimmed, "")),
        pc.and_(pc.starts_with(texts_U, "0"), pc.greater(pc.utf8_length(texts_U), 1)),
        pc.utf8_is_upper(texts_U),
        pc.utf8_is_lower(texts_U),
        pc.utf8_is_digit(texts_U),
        pc.match_substring(texts_U, ","),
        pc.match_substring(texts_U, "."),
        odd,
        # A pattern of such characters takes long to compile.
        pc.match_substring_regex(texts_U, _MOJIBAKE) if pc.any(odd).as_py() else odd,
        pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(_MISSING_WORDS)),
    ]
    return [each.to_numpy(zero_copy_only=False).astype(np.bool_) for each in found]


def shapes(texts_U: pa.Array) -> pa.Array:
    """Return texts with letters as ``A`` and ``a``, digits as ``9``, runs of them as one: ``SE-0012`` is ``A-9``."""
    found = pc.utf8_slice_codeunits(texts_U, 0, _LONG)
    for pattern, sign in ((r"[A-Z]+", "A"), (r"[^\x00-\x7F]+", "a"), (r"[a-z]+", "a"), (r"[0-9]+", "9")):
        found = pc.replace_substring_regex(found, pattern, sign)
    return found
