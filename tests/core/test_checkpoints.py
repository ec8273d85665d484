"""Work that pauses where others may go first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from orita.core.checkpoints import checkpoint, checkpoints
from orita.core.priority import let_others_go_first


def test_a_checkpoint_pauses_for_whoever_asked_for_it() -> None:
    """Within the block, in the innermost way, and nowhere else; an error ends it like a result."""
    seen: list[str] = []
    checkpoint()
    with pytest.raises(ValueError, match="over"), checkpoints(lambda: seen.append("outer")):
        checkpoint()
        with checkpoints(lambda: seen.append("inner")):
            checkpoint()
        checkpoint()
        raise ValueError("over")
    checkpoint()
    assert seen == ["outer", "inner", "outer"]


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the idle class is Linux's")
def test_a_child_lets_others_go_first() -> None:
    """A process that was just started is of the idle class before it has done anything; its parent stays as it is."""
    before = os.sched_getscheduler(0)  # whoever runs the tests may let others go first, too
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        let_others_go_first(child.pid)
        assert os.sched_getscheduler(child.pid) == os.SCHED_IDLE
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 19
        child.communicate(b"\n")
    assert os.sched_getscheduler(0) == before
