"""Why an answer was what it was: any logged request explained, traced to its events, and scored again.

`explain_request` is what a command and a route call; `replay_request` scores what was logged once more. Needs what
serving needs: neither PyTorch nor LightGBM nor MLflow.
"""

from __future__ import annotations

from orita.explain.explanation import explain_request
from orita.explain.replay import replay_request

__all__ = ["explain_request", "replay_request"]
