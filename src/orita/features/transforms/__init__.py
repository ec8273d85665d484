"""What can be made of the values of a row: one transform a file, each with one meaning in NumPy and SQL.

`derivable` has the methods by which declarations are written, such as ``spent.log()`` and ``spent / visits``.
"""

from __future__ import annotations

from orita.features.transforms.contract import Transform
from orita.features.transforms.derivable import Derivable, Derived, OneHot, derived

__all__ = ["Derivable", "Derived", "OneHot", "Transform", "derived"]
