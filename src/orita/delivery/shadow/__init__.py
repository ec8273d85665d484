"""A candidate scores copies of what was answered, off the path: how it differs is known before any user sees it.

What follows the log is `follower.ShadowFollower`, what it found is told by `summary.shadow_summary`.
"""

from orita.delivery.shadow.candidate import Candidate, OpenCandidate, opened_candidate
from orita.delivery.shadow.scoring import CandidateProcess, Limits

__all__ = ["Candidate", "CandidateProcess", "Limits", "OpenCandidate", "opened_candidate"]
