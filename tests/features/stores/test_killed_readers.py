"""What readers that were killed leave in an LMDB store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lmdb

from orita.features.stores.lmdb import LmdbStore

_READER = """
import sys
import lmdb
transaction = lmdb.open(sys.argv[1], readonly=True, max_readers=512, max_dbs=2).begin()
print("reads", flush=True)
sys.stdin.readline()
"""


def test_places_of_killed_readers_are_free_again(tmp_path: Path) -> None:
    """Who opens a store frees the places of those that were killed while they read: there are 512 of them."""
    writer = LmdbStore(tmp_path)
    writer.put_many([(b"key", b"value")])
    writer.close()
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", _READER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        assert [reader.stdout.readline() for reader in readers if reader.stdout] == ["reads\n"] * 2
        killed, alive = readers
        killed.kill()
        killed.wait()
        with lmdb.open(str(tmp_path), readonly=True, max_dbs=2) as watched:
            assert str(killed.pid) in watched.readers()
        LmdbStore(tmp_path, readonly=True).close()
        with lmdb.open(str(tmp_path), readonly=True, max_dbs=2) as watched:
            assert str(killed.pid) not in watched.readers()
            assert str(alive.pid) in watched.readers()
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
