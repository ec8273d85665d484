"""Orita: ranking and decisions end to end, from events to a served, watched, retrained model.

The names here declare a system; everything else runs it: see ``orita --help``.
"""

from orita.core.version import VERSION
from orita.events.schema import INTERACTION, Column, TableSchema
from orita.features.declarations import Entity, Source
from orita.features.declaring.functions import track_lineage
from orita.features.declaring.notes import feature
from orita.features.system import System, system

__version__ = VERSION

__all__ = [
    "INTERACTION",
    "Column",
    "Entity",
    "Source",
    "System",
    "TableSchema",
    "__version__",
    "feature",
    "system",
    "track_lineage",
]
