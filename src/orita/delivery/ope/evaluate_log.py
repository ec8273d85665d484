"""A candidate judged on a home's prediction log: read, joined with what users did, weighed, and a verdict in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orita.core.clock import Clock
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.delivery.ope.diagnostics import Limits, Verdict
from orita.delivery.ope.estimate import Estimate
from orita.delivery.ope.log_evaluation import PagesEvaluation, evaluate_pages
from orita.delivery.ope.log_policies import LogPolicy
from orita.delivery.ope.log_reading import AnswerCounts, read_pages
from orita.delivery.ope.log_rewards import LogWindow
from orita.features.system import System

__all__ = ["LogEvaluation", "evaluate_log"]

_LEFT_OUT = {
    "fallback": "that the model did not make itself",
    "overridden": "whose version an override of a rollout chose",
    "weighed": "that weighed the objective themselves",
    "late": "whose time to earn is not over",
    "certain": "in which nothing could change places",
    "repeated": "whose request id is not theirs alone",
    "sampled_out": "beyond the bound on answers",
}


@dataclass(frozen=True, slots=True)
class LogEvaluation:
    """What a log tells of a candidate.

    Attributes:
        system: whose log.
        candidate: the policy that was judged.
        window: which answers, and what they earned.
        counts: what became of the answers.
        found: values, gains and how near the two are; None: no answer was explored.
    """

    system: str
    candidate: str
    window: LogWindow
    counts: AnswerCounts
    found: PagesEvaluation | None

    @property
    def verdict(self) -> Verdict:
        """Whether the log is enough to decide by, and if not, every reason."""
        if self.found is None:
            return Verdict(enough=False, reasons=(self._nothing(),))
        verdict = self.found.evaluation.diagnostics.verdict
        if self.counts.rewarded:
            return verdict
        why = f"no {self.window.reward} was joined to an answer: events must carry the request_id of the answer"
        return Verdict(enough=False, reasons=(why, *verdict.reasons))

    def _nothing(self) -> str:
        """Return why no answer can be weighed: what most of them were left out for."""
        most = max(_LEFT_OUT, key=lambda name: int(getattr(self.counts, name)))
        if most == "late":
            return (
                "no answer's time to earn is over, as far as events are known: ingest what happened since, or give "
                "less time"
            )
        if most == "certain":
            return "no answer was explored: serving.feed.exploration.share above 0 lets the log tell of other orders"
        return f"no answer is left to be weighed: most are answers {_LEFT_OUT[most]}; give other times or versions"

    def gain(self, estimator: str) -> Estimate | None:
        """Return what the candidate earns more a page, by that estimator; None where it could not be taken."""
        gains = self.found.evaluation.gains if self.found else ()
        return next((each for each in gains if each.estimator == estimator), None)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain object for JSON."""
        start, end = (None if at is None else at.isoformat() for at in (self.window.start, self.window.end))
        verdict = self.verdict
        return {
            "system": self.system,
            "logged": self.window.version,
            "candidate": self.candidate,
            "reward": self.window.reward,
            "within_seconds": self.window.within.total_seconds(),
            "start": start,
            "end": end,
            "answers": self.counts.to_dict(),
            "enough": verdict.enough,
            "reasons": list(verdict.reasons),
            "found": self.found.to_dict() if self.found else None,
        }

    def notes(self) -> Iterator[str]:
        """Yield what a reader must know, a sentence each."""
        left_out = [
            f"{getattr(self.counts, name):,} {words}" for name, words in _LEFT_OUT.items() if getattr(self.counts, name)
        ]
        if left_out:
            yield f"Of {self.counts.answered:,} answers of {self.window.version} left out: {'; '.join(left_out)}."
        if self.found is None:
            return
        near = self.found.agreement
        yield (
            f"{self.candidate} would show {near.same:.1%} of the pages in the logged order, {near.one_swap:.1%} in one "
            f"that exploration shows, and {near.further:.1%} in one that no page ever showed."
        )
        if near.by_score < 1:
            yield (
                f"{1 - near.by_score:.1%} of the pages stood in an order that scores alone do not explain: diversity, "
                "freshness or rules moved items there, and the candidate's order is the one nearest to that."
            )
        if self.found.unread:
            yield f"{self.found.unread:,} pages were left out: their probabilities are not those of swaps."
        yield "It tells of other orders of the items that were shown, and of no item that was not."


def evaluate_log(
    home: Home,
    system: System,
    policy: LogPolicy,
    window: LogWindow,
    *,
    clock: Clock,
    confidence: float = 0.95,
    limits: Limits | None = None,
    memory_mb: int = 1024,
    progress: Progress = SILENT,
) -> LogEvaluation:
    """Return what the prediction log tells of *policy*.

    Args:
        home: whose log and lake.
        system: the declarations.
        policy: the candidate.
        window: which answers, and what they earned.
        clock: the time.
        confidence: of intervals.
        limits: what is enough.
        memory_mb: what the engine that joins events may hold.
        progress: where to draw progress.

    Raises:
        UserError: as `read_pages`.
    """
    pages, counts = read_pages(home, system, policy, window, clock=clock, memory_mb=memory_mb, progress=progress)
    found = None if pages is None else evaluate_pages(pages, confidence=confidence, limits=limits, progress=progress)
    return LogEvaluation(system.name, policy.name, window, counts, found)
