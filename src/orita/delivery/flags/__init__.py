"""Flags: declared, checked together, evaluated in process, in the words of OpenFeature."""

from orita.delivery.flags.declarations import (
    Flag,
    FlagFile,
    Portion,
    Prerequisite,
    Rollout,
    Rule,
    Schedule,
    Shares,
    Step,
)
from orita.delivery.flags.evaluation import ErrorCode, Evaluation, Reason
from orita.delivery.flags.files import read_flags, write_flags
from orita.delivery.flags.flag_set import FlagSet

__all__ = [
    "ErrorCode",
    "Evaluation",
    "Flag",
    "FlagFile",
    "FlagSet",
    "Portion",
    "Prerequisite",
    "Reason",
    "Rollout",
    "Rule",
    "Schedule",
    "Shares",
    "Step",
    "read_flags",
    "write_flags",
]
