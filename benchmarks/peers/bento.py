"""BentoML doing decode, model and encode and nothing else, one worker.

It needs an environment of its own, with what ``requirements/bentoml.txt`` names: ``PYTHON bento.py FOLDER``.
"""

# mypy: ignore-errors
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import bentoml

sys.path.insert(0, str(Path(__file__).parent))
from scoring import Scorer

_FOLDER = "ORITA_PEER_FOLDER"


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Predict:
    """Ranks items."""

    def __init__(self) -> None:
        self._scorer = Scorer(Path(os.environ[_FOLDER]))

    @bentoml.api(route="/predict")
    async def predict(self, user_id: int, item_ids: list[int], context: dict[str, str]) -> dict:
        """Return the items best first."""
        started = time.perf_counter()
        best_first = self._scorer.ranked(user_id, item_ids)
        items = [{"item_id": item, "score": score, "rank": rank} for rank, (item, score) in enumerate(best_first, 1)]
        latency_ms = (time.perf_counter() - started) * 1000
        return {"user_id": user_id, "predictions": items, "model_version": "v1", "latency_ms": latency_ms}


def main() -> None:
    """Serve on a free port until SIGTERM, and print where."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ |= {_FOLDER: sys.argv[1], "BENTOML_DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "bentoml", "serve", "bento:Predict", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen([*command, "--working-dir", str(Path(__file__).parent)], stdout=sys.stderr) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        while server.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        print(json.dumps({"address": f"http://127.0.0.1:{port}"}), flush=True)


if __name__ == "__main__":
    main()
