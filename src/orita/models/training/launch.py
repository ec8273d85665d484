"""Starting the processes of a training on this machine: ``torchrun``, watched and stopped with its parent."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from orita.core.errors import OritaError
from orita.models.config import ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.ranker import FitContext
from orita.models.training.interruption import Interrupted, interruptible
from orita.models.training.job import failure_of, interruption_of, write_job

__all__ = ["fit_in_processes"]

_LOOK_SECONDS = 0.2
_SHOWN = 2000  # characters of what a failed launcher said


def fit_in_processes(
    type_: str, model: ModelSection, training: TrainingSection, train: Examples, val: Examples, context: FitContext
) -> None:
    """Train in ``training.processes`` processes and leave the finished checkpoint in ``context.checkpoints``.

    Raises:
        Interrupted: this process was asked to stop; the processes have left a checkpoint.
        OritaError: a process failed; the sentence ends with what it said.
    """
    assert context.checkpoints is not None
    with tempfile.TemporaryDirectory(prefix="orita-job-") as name, tempfile.TemporaryFile("w+") as said:
        folder = Path(name)
        one = training.model_copy(update={"processes": 1})
        write_job(folder, type_, model, one, train, val, context.seed, context.checkpoints.absolute())
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--log-dir={folder / 'logs'}"]
        launcher += [f"--nproc-per-node={training.processes}", "-m", "orita.models.training.job", name]
        code = _watched(launcher, said.fileno())
        if stopped := interruption_of(folder):
            raise Interrupted(stopped)
        if code:
            said.seek(0)
            reason = failure_of(folder) or said.read()[-_SHOWN:]
            raise OritaError(f"one of {training.processes} training processes failed: {reason}")


def _watched(command: list[str], output: int) -> int:
    """Run *command* and pass on a request to stop; return its exit code."""
    with interruptible(True) as request, subprocess.Popen(command, stdout=output, stderr=output) as child:
        told = False
        while True:
            try:
                return child.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if request.made and not told:
                    child.terminate()
                    told = True
            except BaseException:
                child.terminate()
                raise
