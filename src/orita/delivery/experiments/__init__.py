"""Experiments as declarations: kept in control state, assigned by `orita.delivery.assignment`, reported on at any time.

from orita.delivery.experiments.report import report_on       # needs the engine and SciPy, so it is apart
"""

from __future__ import annotations

from orita.delivery.experiments.declarations import (
    Analysis,
    ExperimentFile,
    ExperimentPlan,
    FileSource,
    LayerShare,
    Metric,
    PredictionSource,
    TableSource,
    Variant,
)
from orita.delivery.experiments.files import read_experiments, write_experiments
from orita.delivery.experiments.kept import Experiments
from orita.delivery.experiments.life import EXPERIMENT, KeptExperiment
from orita.delivery.experiments.rollout_splits import RolloutSplit

__all__ = [
    "EXPERIMENT",
    "Analysis",
    "ExperimentFile",
    "ExperimentPlan",
    "Experiments",
    "FileSource",
    "KeptExperiment",
    "LayerShare",
    "Metric",
    "PredictionSource",
    "RolloutSplit",
    "TableSource",
    "Variant",
    "read_experiments",
    "write_experiments",
]
