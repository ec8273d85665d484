"""Scores of a table of any size: `score_table` reads it in steps, scores each, and commits what it made.

`settled` says what a scoring is of and with, `wanted` which columns are read, `rules` which rows can be scored; `past`
computes features of rows as of their times, `scored` asks the model; `steps` writes parts, `manifest` says which are
done, so that a killed run goes on where it was.
"""

from orita.pipelines.scoring.job import Progressed, ScoreReport, score_table
from orita.pipelines.scoring.options import ScoreOptions

__all__ = ["Progressed", "ScoreOptions", "ScoreReport", "score_table"]
