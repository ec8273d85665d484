"""A server of stand-ins as a process of its own: models, feed, jobs, features and GraphQL are all on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving.models_at_hand import publish_model
from tests.serving.patience import patient

from orita.core.home import Home

__all__ = ["Standing", "standing_server"]

_SERVER = """
import json, sys
from pathlib import Path
from tests.serving.models_at_hand import FEATURES, StandInRegistry, StandInStore
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures, load_line_package
config = ServingConfig(port=0, **json.loads(sys.argv[2]))
home = Home(Path(sys.argv[1]))
app = create_app(home, "feed", HashedFeatures(FEATURES), config, store=StandInStore(), load=load_line_package,
                 registry=StandInRegistry(home))
serve(app, config, announce=lambda address: print("at", address.rpartition(":")[2], flush=True))
"""


class Standing:
    """A server that stands: where it answers, and its process."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid

    @property
    def most_memory_mib(self) -> float:
        """The most memory that it had at once."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@contextmanager
def standing_server(home: Home, **settings: object) -> Iterator[Standing]:
    """Run a server of *home* with ``v1.0.0`` published and ``v1.1.0`` deployed; it ends with the block."""
    publish_model(home, "v1.0.0")
    publish_model(home, "v1.1.0", deploy=True)
    command = [sys.executable, "-c", _SERVER, str(home.root), json.dumps(patient(settings))]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            while not line.startswith("at "):
                assert line, "the server did not start"
                line = process.stdout.readline()
            yield Standing(int(line.split()[1]), process.pid)
        finally:
            process.kill()
