"""One prediction, asked of the champion in process or of a server."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from contextlib import closing
from typing import Any

import numpy as np

from orita.control.deployments import Deployments
from orita.core.clock import SystemClock, to_micros
from orita.core.errors import UserError
from orita.project import Project
from orita.serving.http.refusal import Refused
from orita.serving.predict.requests import Asked, RequestDecoder

__all__ = ["ask_champion", "ask_server"]

_TIMEOUT_SECONDS = 10.0


def ask_champion(project: Project, request: dict[str, Any]) -> dict[str, Any]:
    """Answer *request* (the body of ``POST /predict``) with the champion, here; nothing is logged.

    Raises:
        UserError: nothing is deployed, or the request is not valid; the sentence is the one a server would give.
    """
    begun = time.perf_counter()
    asked = _checked(project, request)
    home, name = project.home, project.system.name
    deployed = Deployments(home.control, home.tenant).current(name)
    if deployed is None:
        raise UserError(f"system {name!r} has no champion yet: run 'orita run all' first.")
    package = project.load_package(home.packages / name / deployed.version)
    items = asked.item_ids
    at = to_micros(SystemClock().now()) if asked.at_micros is None else asked.at_micros
    with closing(project.online_features()) as features:
        x_NF = features.reader(package.schema).matrix(asked.user_id, items, asked.context, at)
    scores_N = package.score_user(asked.user_id, items, x_NF)
    order_N = np.argsort(-scores_N, kind="stable")
    ranked = [
        {"item_id": items[i], "score": float(scores_N[i]), "rank": rank} for rank, i in enumerate(order_N.tolist(), 1)
    ]
    return {
        "user_id": asked.user_id,
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
    try:
        asked = urllib.request.Request(  # noqa: S310 - the scheme was checked
            f"{server.rstrip('/')}/predict", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            status, raw = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, raw = error.code, error.read()
    except (http.client.InvalidURL, ValueError) as error:
        raise UserError(f"server {server!r} is not an address ({error}): write it as http://HOST:PORT.") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{server} does not answer ({reason}): start it with 'orita serve'.") from None
    return _content(server, status, raw)


def _content(server: str, status: int, raw: bytes) -> dict[str, Any]:
    """Return the answer that *raw* holds; what a server of ours would not say is no answer."""
    try:
        content = json.loads(raw)
    except ValueError:
        content = None
    if status == 200 and isinstance(content, dict) and "predictions" in content:
        return content
    if isinstance(content, dict) and isinstance(content.get("message"), str):
        raise UserError(content["message"])
    raise UserError(f"{server} answered {status} with something that is no prediction: is it a server of Orita?")


def _checked(project: Project, request: dict[str, Any]) -> Asked:
    try:
        return RequestDecoder(project.main.value.serving)(json.dumps(request).encode())
    except Refused as refused:
        raise UserError(refused.message) from None
