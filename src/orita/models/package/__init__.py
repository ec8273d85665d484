"""The model package: a model as a folder that can be checked, signed, read by people, and loaded without running it.

`write_package` makes one of a fitted ranker, `load_package` makes a `Package` of it that scores; ``docs/packages.md``
has the format. Needs numpy, pyarrow and onnxruntime; neither PyTorch nor LightGBM, and cryptography only where a
signature is made or checked.
"""

from __future__ import annotations

from orita.models.package.load import load_package, package_schema
from orita.models.package.loaded import Package
from orita.models.package.signing import Trust, sign_package
from orita.models.package.tensors import HasWeights, read_weights
from orita.models.package.write import write_package

__all__ = [
    "HasWeights",
    "Package",
    "Trust",
    "load_package",
    "package_schema",
    "read_weights",
    "sign_package",
    "write_package",
]
