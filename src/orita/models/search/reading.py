"""From Optuna's attempts to trials: attempts of one trial are put together, and their state is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from orita.models.search.binding import Parameter
from orita.models.search.sampling import chosen_values
from orita.models.search.trials import State, Trial

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["DRAWN", "ENDED", "OF", "WORKER", "Attempts", "finished", "read_attempts"]

OF, WORKER, DRAWN, ENDED = "trial", "worker", "drawn", "ended"
"""What is kept with an attempt: the trial's number, who works on it, whether all values are drawn, how it ended."""

_MOST_KILLS = 3


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of one trial, the latest last."""

    number: int
    kept: tuple[FrozenTrial, ...]

    @property
    def last(self) -> FrozenTrial:
        """The latest attempt."""
        return self.kept[-1]

    @property
    def params(self) -> Mapping[str, Any]:
        """What was drawn, as Optuna has it; empty where a kill came before all was drawn."""
        return next((one.params for one in self.kept if one.user_attrs.get(DRAWN)), {})

    def fact(self, name: str, default: Any = None) -> Any:
        """Return what the latest attempt that knows it kept under *name*."""
        return next((one.user_attrs[name] for one in reversed(self.kept) if name in one.user_attrs), default)

    def state(self, alive: Callable[[str], bool]) -> State:
        """Return the state; *alive* tells whether a worker is at work."""
        last = self.last
        match last.state.name:
            case "COMPLETE":
                return "complete"
            case "PRUNED":
                return "pruned"
            case "WAITING":
                return "waiting"
            case "RUNNING" if alive(last.user_attrs.get(WORKER, "")):
                return "running"
        if last.user_attrs.get(ENDED) == "failed" or self._kills() >= _MOST_KILLS:
            return "failed"
        return "interrupted"

    def trial(self, parameters: Sequence[Parameter], alive: Callable[[str], bool]) -> Trial:
        """Return the trial."""
        last, state = self.last, self.state(alive)
        error = self.fact("error", "") if state == "failed" else ""
        if state == "failed" and not error:
            error = f"its process was killed {self._kills()} times, perhaps for want of memory"
        interval, started = last.user_attrs.get("interval"), self.kept[0].datetime_start
        return Trial(
            number=self.number,
            values=chosen_values(parameters, self.params),
            type=self.fact("type", ""),
            state=state,
            value=last.value if state == "complete" else None,
            steps=dict(last.intermediate_values),
            interval=(interval[0], interval[1]) if interval else None,
            parts=tuple(last.user_attrs.get("parts", ())),
            figures=last.user_attrs.get("figures", {}),
            error=error,
            run_id=self.fact("run_id", ""),
            started_at=started.astimezone(UTC) if started else None,  # Optuna's has no zone, and is the local time
            seconds=last.user_attrs.get("seconds"),
            attempts=len(self.kept),
        )

    def _kills(self) -> int:
        return sum(one.state.name in ("FAIL", "RUNNING") and ENDED not in one.user_attrs for one in self.kept)


def read_attempts(kept: Sequence[FrozenTrial]) -> list[Attempts]:
    """Return the attempts of each trial, in the order of their numbers; what has no number yet was never begun."""
    by_number: dict[int, list[FrozenTrial]] = {}
    for one in kept:
        if OF in one.user_attrs:
            by_number.setdefault(one.user_attrs[OF], []).append(one)
    return [Attempts(number, tuple(by_number[number])) for number in sorted(by_number)]


def finished(state: State) -> bool:
    """Tell whether a trial in *state* is not begun again."""
    return state in ("complete", "pruned", "failed")
