"""How good is a model, for whom, why, and is it better than another?"""

from __future__ import annotations

from orita.models.evaluation.comparison import Comparison, Difference, compare
from orita.models.evaluation.cross_validation import CrossValidation, cross_validate
from orita.models.evaluation.figures import METRICS
from orita.models.evaluation.importance import Importance, permutation_importance
from orita.models.evaluation.judging import Evaluation, Slice, evaluate
from orita.models.evaluation.report import Rival, write_evaluation_report
from orita.models.evaluation.top_errors import TopError, top_errors
from orita.models.evaluation.tradeoff_report import HeadsJudged, evaluate_heads
from orita.models.evaluation.worst_slices import WorstSlice, WorstSlices, worst_slices

__all__ = [
    "METRICS",
    "Comparison",
    "CrossValidation",
    "Difference",
    "Evaluation",
    "HeadsJudged",
    "Importance",
    "Rival",
    "Slice",
    "TopError",
    "WorstSlice",
    "WorstSlices",
    "compare",
    "cross_validate",
    "evaluate",
    "evaluate_heads",
    "permutation_importance",
    "top_errors",
    "worst_slices",
    "write_evaluation_report",
]
