"""How a task fails beside what its body raises."""

from __future__ import annotations

from orita.core.errors import NotFound, OritaError, Unavailable, UserError

__all__ = ["TaskFailed", "TaskLost", "TaskTimeout", "kind_of", "raised_there", "sentence_of"]


class TaskFailed(OritaError):
    """The body of a task raised in another process; the sentence is what it said."""


class TaskTimeout(TaskFailed):
    """An attempt took longer than its task may."""


class TaskLost(TaskFailed):
    """The process of a task ended without a result: it was killed, or ran out of memory."""


_KINDS: dict[str, type[OritaError]] = {
    each.__name__: each for each in (UserError, NotFound, Unavailable, TaskFailed, TaskTimeout, TaskLost)
}


def sentence_of(error: BaseException) -> str:
    """Return what *error* says: the sentence of an error of ours, else its kind and its words."""
    return str(error) if isinstance(error, OritaError) else f"{type(error).__name__}: {error}"


def kind_of(error: BaseException) -> str:
    """Return the name under which `raised_there` makes an error of the same kind."""
    return next((each.__name__ for each in type(error).__mro__ if each.__name__ in _KINDS), TaskFailed.__name__)


def raised_there(kind: str, sentence: str) -> OritaError:
    """Return the error that another process raised, as far as its kind matters here."""
    return _KINDS[kind](sentence)
