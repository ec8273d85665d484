"""Every transform that is a plain value: what can be written down and read again."""

from __future__ import annotations

from orita.features.transforms.arithmetic import Arithmetic
from orita.features.transforms.bucket import Bucket
from orita.features.transforms.calendar import Calendar
from orita.features.transforms.clip import Clip
from orita.features.transforms.cross import Cross
from orita.features.transforms.equals import Equals
from orita.features.transforms.impute import Impute, Missing
from orita.features.transforms.logarithm import Log
from orita.features.transforms.scale import Scale

__all__ = ["TRANSFORMS"]

TRANSFORMS: tuple[type, ...] = (Arithmetic, Bucket, Calendar, Clip, Cross, Equals, Impute, Log, Missing, Scale)
