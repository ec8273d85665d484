"""Small requests that wait are scored in one run: each answer and error is as if the request had been alone."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import numpy as np
import pytest
from tests.models.clicks import SCHEMA, clicks
from tests.serving.own_parts import own_parts

from orita.core.clock import ManualClock
from orita.models.package import Package
from orita.serving.access.own_pages import OwnPages
from orita.serving.batching.config import BatchingConfig
from orita.serving.http.reply import Reply
from orita.serving.inference_protocol.joint import JointInference
from orita.serving.inference_protocol.models import FixedModels
from orita.serving.inference_protocol.quick import QuickPaths
from orita.serving.inference_protocol.routes import InferenceRoutes
from orita.serving.resilience.admitted import AdmittedRoutes
from orita.serving.resilience.config import ResilienceConfig
from orita.serving.resilience.parts import build_parts
from orita.serving.telemetry.histogram import Histogram

ROWS = clicks(60)
Sent = tuple[str, bytes, tuple[tuple[bytes, bytes], ...]]


def asks(at: int, rows: int = 1, model: str = "feed", *, texts: bool = False, **more: Any) -> Sent:
    """Return a request for a few rows."""
    part = slice(at, at + rows)
    ids = [ROWS.users_N[part].tolist(), ROWS.items_N[part].tolist()]
    kind = "BYTES" if texts else "INT64"
    users, items = ([str(one) for one in its] if texts else its for its in ids)
    tensors = [
        ("features", "FP32", [rows, len(SCHEMA)], np.nan_to_num(ROWS.x_NF[part]).ravel().tolist()),
        ("users", kind, [rows], users),
        ("items", kind, [rows], items),
    ]
    inputs = [dict(zip(("name", "datatype", "shape", "data"), tensor, strict=True)) for tensor in tensors]
    return model, json.dumps({"inputs": inputs, "id": f"r{at}", **more}).encode(), ((b"x-request-id", b"%d" % at),)


def answers(models: FixedModels, sent: list[Sent], *, joins: int) -> tuple[list[tuple[int, Reply]], Histogram]:
    """Return the answers to requests that come at once, in the order given, and how many were scored together."""
    sizes, clock = Histogram((2, 4, 8)), ManualClock()
    joint = JointInference(lambda _: joins, BatchingConfig(), sizes)
    routes = InferenceRoutes(models, own_parts(), max_body=200_000)
    parts = build_parts(ResilienceConfig(), clock)
    quick = AdmittedRoutes(QuickPaths({}, routes, None, OwnPages("127.0.0.1"), joint), parts, lambda _: None)
    found: list[tuple[int, Reply]] = []

    async def ask() -> None:
        for number, (model, body, headers) in enumerate(sent):
            path = f"/v2/models/{model}/infer".encode()
            route = quick.route(path, [(b"content-length", b"%d" % len(body))])
            assert route is not None
            route.enter(headers, body, lambda reply, n=number: found.append((n, reply)), lambda: False)  # type: ignore[misc]
        while parts.turnstile.admission.inside:
            await asyncio.sleep(0)

    asyncio.run(ask())
    return found, sizes


MIXED = [
    asks(0),
    asks(1),
    asks(2, 3, outputs=[{"name": "scores", "parameters": {"binary_data": True}}]),
    ("feed", b"{", ()),
    asks(5, 40),
    ("feed", json.dumps({"inputs": []}).encode(), ()),
    (*asks(7)[:2], ((b"inference-header-content-length", b"no"),)),
    (*asks(8)[:2], ((b"x-request-id", b"no id"),)),
    asks(6, texts=True),
    asks(9, 2),
    asks(10, model="plain"),
    asks(11, model="plain"),
    asks(12),
]


def test_each_is_answered_as_if_it_were_alone(models: FixedModels) -> None:
    """Status, headers and content of each are the same, scores within 1e-6; models are not mixed, nor kinds of ids."""
    (alone, _), (together, sizes) = (answers(models, MIXED, joins=joins) for joins in (0, 4))
    assert [number for number, _ in together] == list(range(len(MIXED)))
    for (number, one), (_, other) in zip(alone, together, strict=True):
        assert one.status == other.status
        if number in (3, 5, 6, 7):
            assert one.status == 400
            continue
        assert one.headers == other.headers
        first, second = (scores_of(reply) for reply in (one, other))
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)
        assert len(first) == {2: 3, 4: 40, 9: 2}.get(number, 1)
    # 1 and 2 went together; 6, 7 (whose headers are wrong) and 9; and both of the other model.
    assert sizes.sum == 2 + 3 + 2


def scores_of(reply: Reply) -> list[float]:
    """Return the scores of an answer."""
    length = dict(reply.headers).get(b"inference-header-content-length")
    if length is not None:
        rest = reply.content[int(length) :]
        return list(struct.unpack(f"<{len(rest) // 4}f", rest))
    outputs = {output["name"]: output["data"] for output in json.loads(reply.content)["outputs"]}
    scores: list[float] = outputs["scores"]
    return scores


def test_heads_are_each_request_s_own(models: FixedModels) -> None:
    """Of a model of several heads both outputs are cut where the request ends."""
    sent = [asks(at, rows, "headed") for at, rows in ((0, 1), (1, 2), (3, 1), (4, 3))]
    (alone, _), (together, sizes) = (answers(models, sent, joins=joins) for joins in (0, 4))
    assert sizes.sum == 3
    for (_, one), (_, other) in zip(alone, together, strict=True):
        for first, second in zip(*(json.loads(reply.content)["outputs"] for reply in (one, other)), strict=True):
            assert (first["name"], first["shape"]) == (second["name"], second["shape"])
            np.testing.assert_allclose(first["data"], second["data"], rtol=0, atol=1e-6)


def test_a_run_that_fails_takes_nothing_from_anybody(models: FixedModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the run of several fails, each is scored alone."""
    outputs = Package.outputs

    def faulty(self: Package, users_N: Any, items_N: Any, x_NF: Any) -> Any:
        if len(x_NF) > 1:
            raise RuntimeError("too many")
        return outputs(self, users_N, items_N, x_NF)

    monkeypatch.setattr(Package, "outputs", faulty)
    found, sizes = answers(models, [asks(at) for at in range(4)], joins=4)
    assert [reply.status for _, reply in found] == [200] * 4
    assert sizes.sum == 0
