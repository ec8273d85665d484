"""One heap: counted by glibc's own report, in a process whose threads all allocate."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes, sys, threading
from orita.serving.heap import share_one_heap

if "shared" in sys.argv:
    share_one_heap()
import pyarrow as pa

together = threading.Barrier(4)
def work():
    kept = [bytes(10_000) for _ in range(100)]
    together.wait(20)
threads = [threading.Thread(target=work) for _ in range(4)]
for each in threads:
    each.start()
for each in threads:
    each.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
print(pa.default_memory_pool().backend_name)
"""


_CROWDED = """
import ctypes, os
from orita.serving.heap import give_back, share_one_heap

def own_mib():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon")) / 1024

share_one_heap()
before = own_mib()
crowd, kept = [], []
for number in range(4000):
    crowd.append(os.urandom(14_000))
    kept.append(os.urandom(600))  # between them, and in use for longer
del crowd
full = own_mib()
give_back()
print(before, full, own_mib())
"""


def _heaps(*arguments: str, **environment: str) -> tuple[int, str]:
    """Return how many heaps a process has, and what Arrow allocates from."""
    decided = {"MALLOC_ARENA_MAX", "ARROW_DEFAULT_MEMORY_POOL"}
    given = {name: value for name, value in os.environ.items() if name not in decided}
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    told = subprocess.run(command, env=given | environment, capture_output=True, text=True, check=True, timeout=60)
    return len(re.findall("<heap nr=", told.stdout)), told.stdout.split()[-1]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap for each thread")
def test_threads_share_one_heap() -> None:
    """Without it they have several, and Arrow its own; who sets the environment decides."""
    assert _heaps("shared") == (1, "system")
    assert _heaps()[0] > 2
    decided, backend = _heaps("shared", MALLOC_ARENA_MAX="3", ARROW_DEFAULT_MEMORY_POOL="mimalloc")
    assert (decided, backend) == (3, "mimalloc")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another heap gives back as it likes")
def test_what_a_busy_moment_took_is_given_back() -> None:
    """53 MiB that are free stay with the process, as what lies between them is in use; asked for, most of them go."""
    told = subprocess.run([sys.executable, "-c", _CROWDED], capture_output=True, text=True, check=True, timeout=60)
    before, full, after = map(float, told.stdout.split())
    assert full - before > 40
    assert after - before < 20
