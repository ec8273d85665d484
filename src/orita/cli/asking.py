"""One prediction, asked of the champion in process or of a server."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any

import numpy as np

from orita.control.deployments import Deployments
from orita.core.clock import SystemClock, to_micros
from orita.core.errors import UserError
from orita.features.online import OnlineFeatures
from orita.features.plan import plan_of
from orita.models.package import load_package
from orita.project import Project

__all__ = ["ask_champion", "ask_server"]

_TIMEOUT_SECONDS = 10.0


def ask_champion(project: Project, request: dict[str, Any]) -> dict[str, Any]:
    """Answer *request* (the body of ``POST /predict``) with the champion, here; nothing is logged.

    Raises:
        UserError: nothing is deployed, or the request is not valid.
    """
    begun = time.perf_counter()
    home, name = project.home, project.system.name
    deployed = Deployments(home.control_db, home.tenant).current(name) if home.control_db.exists() else None
    if deployed is None:
        raise UserError(f"system {name!r} has no champion yet: run 'orita run all' first.")
    package = load_package(home.packages / name / deployed.version)
    reader = OnlineFeatures(plan_of(project.system), home.online / name).reader(package.schema)
    items = request["item_ids"]
    x_NF = reader.matrix(request["user_id"], items, request["context"], _micros(request["context"].get("timestamp")))
    scores_N = package.score_user(request["user_id"], items, x_NF)
    order_N = np.argsort(-scores_N, kind="stable")
    ranked = [
        {"item_id": items[i], "score": float(scores_N[i]), "rank": rank} for rank, i in enumerate(order_N.tolist(), 1)
    ]
    return {
        "user_id": request["user_id"],
        "predictions": ranked,
        "model_version": package.version,
        "latency_ms": (time.perf_counter() - begun) * 1000,
    }


def ask_server(server: str, request: dict[str, Any]) -> dict[str, Any]:
    """Send *request* to the server at *server* and return its answer.

    Raises:
        UserError: it is not there, or refused the request; the sentence is the server's.
    """
    if not server.startswith(("http://", "https://")):
        raise UserError(f"server {server!r} is not an address: write it as http://HOST:PORT.")
    body = json.dumps(request).encode()
    asked = urllib.request.Request(  # noqa: S310 - the scheme was checked
        f"{server.rstrip('/')}/predict", body, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            content: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        told = json.loads(error.read() or b"{}")
        raise UserError(told.get("message", f"{server} answered {error.code}")) from None
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{server} does not answer ({reason}): start it with 'orita serve'.") from None
    return content


def _micros(text: str | None) -> int:
    if text is None:
        return to_micros(SystemClock().now())
    try:
        return to_micros(datetime.fromisoformat(text))
    except ValueError:
        raise UserError(f"timestamp {text!r} is not ISO 8601: write it as 2024-11-15T10:30:00Z.") from None
