"""The command line of Orita."""

from __future__ import annotations

import sys
from types import ModuleType

from orita.core.disk import disk_is_full
from orita.core.errors import OritaError

__all__ = ["main"]


def main() -> None:
    """Run the command line; a user's error is one sentence and exit code 2."""
    import structlog

    from orita.cli import (  # noqa: F401 - they register their commands
        alerts,
        bandits,
        control,
        controller,
        cross_validate,
        data,
        demo,
        experiments,
        explain,
        feature_values,
        features,
        flags,
        jobs,
        learn,
        model_diff,
        model_lineage,
        model_objective,
        model_packages,
        model_search,
        model_transfer,
        ope,
        performance,
        predictions,
        profile,
        quality,
        render,
        replay,
        retraining,
        rollouts,
        run,
        runs,
        schedule,
        score,
        serve,
        shadow,
        show,
        simulate,
        tables,
        training_sets,
        tune,
        watch,
    )
    from orita.cli.app import app

    _log_to_standard_error(structlog)
    try:
        app()
    except OritaError as error:
        _tell(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        _tell(_sentence(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not disk_is_full(error):
            raise
        _tell(f"{' '.join(str(error).split())}; make room ('orita home' tells what takes most), then run it again.")
        sys.exit(2)


def _tell(sentence: str) -> None:
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True)
    console.print("[bold red]error[/]", end=" ")
    console.print(sentence, markup=False, highlight=False)


def _sentence(error: OSError) -> str:
    """Say what the operating system refused: a folder that is a file, a missing permission, a full disk."""
    reason = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename} cannot be used: " if error.filename is not None else "the system refused: "
    return f"{where}{reason}; check the path, its permissions and the free space."


def _log_to_standard_error(structlog: ModuleType) -> None:
    """Standard output is for results; log lines go beside it, as JSON unless a person reads them."""
    shown = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            shown,
        ],
        # A line and its end in one write: without a buffer (PYTHONUNBUFFERED) other lines of workers come between.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
