"""Traces, metrics and logs reach a collector of OTLP, and no request waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from pydantic import ValidationError
from tests.serving.jobs.receiver import receiver
from tests.serving.jobs.test_routes import ended
from tests.serving.models_at_hand import FEATURES, publish_model
from tests.serving.otlp_collector import Collector, attributes

from orita.core.clock import SystemClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.http.trace_context import trace_of
from orita.serving.otlp.config import TelemetryConfig
from orita.serving.otlp.sender import given_headers
from orita.serving.tracing.recording import Recording, Span, current_recording, recorded, span
from orita.serving.tracing.tracer import Tracer
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

_ONE = {"user_id": 7, "item_ids": [1, 2, 3]}
_TRACE, _PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()
    yield collector
    collector.close()


@contextmanager
def _served(
    home: Home, collector: Collector, jobs: dict[str, object] | None = None, **telemetry: Any
) -> Iterator[AsgiClient]:
    publish_model(home, "v1.2.0", deploy=True)
    settings = {
        "telemetry": {"endpoint": collector.address, "metrics_seconds": 0.2, "logs": False} | telemetry,
        "jobs": {"poll_seconds": 0.01} | (jobs or {}),
    }
    config = ServingConfig.model_validate(settings)
    app = create_app(home, "feed", HashedFeatures(FEATURES), config, clock=SystemClock(), load=load_line_package)
    with AsgiClient(app) as client:
        yield client


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_a_request_is_a_tree_of_spans(home: Home, collector: Collector, encoding: str) -> None:
    """Features, inference and log are parts of the request, which is a part of its caller's span."""
    with _served(home, collector, encoding=encoding, trace_share=0) as client:
        parent = {"traceparent": f"00-{_TRACE}-{_PARENT}-01"}
        answer = client.post("/predict", json=_ONE, headers=parent)
        assert answer.status == 200
        collector.wait(collector.spans)
    spans = {each.name: each for each in collector.spans()}
    assert set(spans) == {"POST /predict", "feature_preprocessing", "model_inference", "log"}
    request = spans["POST /predict"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (_TRACE, _PARENT)
    assert answer.headers["traceresponse"] == f"00-{_TRACE}-{request.span_id.hex()}-01"
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
    }
    assert request.kind == 2
    for name in ("feature_preprocessing", "model_inference", "log"):
        inner = spans[name]
        assert (inner.trace_id, inner.parent_span_id) == (request.trace_id, request.span_id)
        assert request.start_time_unix_nano <= inner.start_time_unix_nano <= inner.end_time_unix_nano
        assert inner.end_time_unix_nano <= request.end_time_unix_nano
    assert attributes(spans["feature_preprocessing"]) == {"feature_count": len(FEATURES)}
    assert attributes(spans["model_inference"]) == {"model_version": "v1.2.0"}
    (resource,) = {m.resource_spans[0].resource.SerializeToString() for m in collector.taken["/v1/traces"]}
    told = attributes(collector.taken["/v1/traces"][0].resource_spans[0].resource)
    assert resource and told["service.name"] == "orita-feed" and told["service.instance.id"]


def test_a_trace_goes_on_through_a_job_and_its_callback(
    home: Home, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker does later is part of the request that handed the job in, and who is called gets the trace."""
    monkeypatch.setenv("ORITA_CALLBACK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    with receiver() as told:
        hosts = {"hosts": [f"127.0.0.1:{told.port}"], "networks": ["127.0.0.0/8"]}
        with _served(home, collector, jobs={"callbacks": hosts}, trace_share=0) as client:
            parent = {"traceparent": f"00-{_TRACE}-{_PARENT}-01", "tracestate": "vendor=x"}
            body = {"requests": [_ONE, _ONE], "callback_url": f"http://127.0.0.1:{told.port}/"}
            assert client.post("/api/v1/jobs", json=body, headers=parent).status == 202
            (call,) = told.wait(1)
            collector.wait(lambda: any(each.name == "job callback" for each in collector.spans()))
    (submit,) = (each for each in collector.spans() if each.name == "POST /api/v1/jobs")
    (job,) = (each for each in collector.spans() if each.name == "job answer")
    (callback,) = (each for each in collector.spans() if each.name == "job callback")
    assert {each.trace_id.hex() for each in (submit, job, callback)} == {_TRACE}
    assert submit.parent_span_id.hex() == _PARENT
    assert job.parent_span_id == callback.parent_span_id == submit.span_id
    assert (submit.kind, job.kind, callback.kind) == (2, 5, 3)
    assert attributes(job)["job.outcome"] == "succeeded"
    inferences = [each for each in collector.spans() if each.name == "model_inference"]
    assert [each.parent_span_id for each in inferences] == [job.span_id] * 2
    assert call.headers["traceparent"] == f"00-{_TRACE}-{callback.span_id.hex()}-01"
    assert call.headers["tracestate"] == "vendor=x"


def test_a_job_is_recorded_where_its_request_was(home: Home, collector: Collector) -> None:
    """Neither a job whose caller does not record, nor one of no trace; of one that failed its span says so."""
    with _served(home, collector, trace_share=0) as client:
        early = {**_ONE, "context": {"timestamp": "1999-01-01T00:00:00Z"}}
        for parent in ({"traceparent": f"00-{_TRACE}-{_PARENT}-00"}, {}):
            job = client.post("/api/v1/jobs", json=_ONE, headers=parent).json()["data"]["job"]
            assert ended(client, job)["state"] == "succeeded"
        sampled = {"traceparent": f"00-{'a' * 32}-{_PARENT}-01"}
        job = client.post("/api/v1/jobs", json=early, headers=sampled).json()["data"]["job"]
        assert ended(client, job)["state"] == "failed"
        collector.wait(lambda: any(each.name == "job answer" for each in collector.spans()))
    assert {each.trace_id.hex() for each in collector.spans()} == {"a" * 32}
    (failed,) = (each for each in collector.spans() if each.name == "job answer")
    assert (failed.status.code, failed.status.message) == (2, "the job failed")


def test_the_caller_decides_and_else_the_share(home: Home, collector: Collector) -> None:
    """What its caller does not record is not recorded, whatever the share; without a decision the share decides."""
    with _served(home, collector, trace_share=1) as client:
        unsampled = {"traceparent": f"00-{_TRACE}-{_PARENT}-00"}
        assert client.post("/predict", json=_ONE, headers=unsampled).headers["traceresponse"].endswith("-00")
        answer = client.post("/predict", json=_ONE)
        assert client.get("/api/v1/models/nobody/at/all").status == 404
        collector.wait(lambda: len({each.trace_id for each in collector.spans()}) >= 2)
    roots = {each.name: each for each in collector.spans() if not each.parent_span_id}
    assert set(roots) == {"POST /predict", "GET /api/v1/models/{rest:path}"}
    assert answer.headers["traceresponse"].split("-")[1] == roots["POST /predict"].trace_id.hex()
    assert _TRACE not in {each.trace_id.hex() for each in collector.spans()}


def test_metrics_are_those_of_prometheus(home: Home, collector: Collector) -> None:
    """Counters, gauges and histograms have the names and values of ``/metrics``, with a trace for a bucket."""
    with _served(home, collector, trace_share=1) as client:
        for _ in range(3):
            assert client.post("/predict", json=_ONE).status == 200
        collector.wait(lambda: any(p.as_double == 9 for p in _points(collector, "predictions", "sum")))
        collector.wait(lambda: any(p.exemplars for p in _points(collector, "prediction_latency", "histogram")))
    predictions = collector.metrics()["predictions"].sum
    assert predictions.is_monotonic and predictions.aggregation_temporality == 2
    (point,) = collector.metrics()["prediction_latency"].histogram.data_points
    assert point.count == 3 == sum(point.bucket_counts)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    (info,) = collector.metrics()["model_info"].gauge.data_points
    assert attributes(info)["version"] == "v1.2.0"
    traces = {each.trace_id for each in collector.spans()}
    assert {exemplar.trace_id for exemplar in point.exemplars} <= traces


def _points(collector: Collector, name: str, kind: str) -> list[Any]:
    found = collector.metrics().get(name)
    return [] if found is None else list(getattr(found, kind).data_points)


def test_lines_of_the_log_are_sent_with_their_trace(home: Home, collector: Collector) -> None:
    """A line that is logged within a request names its trace; levels and fields are kept."""
    with _served(home, collector, logs=True, trace_share=0):
        with structlog.contextvars.bound_contextvars(trace_id=_TRACE, span_id=_PARENT):
            structlog.get_logger("orita").warning("something_odd", rows=3)
        collector.wait(lambda: [line for line in collector.lines() if line.body.string_value == "something_odd"])
    (line,) = [line for line in collector.lines() if line.body.string_value == "something_odd"]
    assert (line.severity_text, line.severity_number) == ("WARNING", 13)
    assert attributes(line)["rows"] == 3
    assert (line.trace_id.hex(), line.span_id.hex()) == (_TRACE, _PARENT)


def test_a_collector_that_fails_is_tried_again(
    home: Home, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 503 the same message comes again; after 400 it is dropped and counted; headers are the environment's."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret,x-tenant=a")
    collector.statuses = [503]
    with _served(home, collector, metrics=False, trace_share=1) as client:
        assert client.post("/predict", json=_ONE).status == 200
        collector.wait(collector.spans)
        assert collector.headers[-1]["authorization"] == "Bearer secret"
        collector.statuses = [400]
        assert client.post("/predict", json=_ONE).status == 200
        collector.wait(lambda: 'otlp_dropped_messages_total{signal="traces"} 1.0' in _text(client))
        assert 'otlp_messages_total{signal="traces"}' in _text(client)


def _text(client: AsgiClient) -> str:
    return client.get("/metrics", {"accept": "text/plain"}).text


def test_nobody_waits_for_a_collector_that_is_not_there(home: Home, collector: Collector) -> None:
    """Without a collector requests are answered, and the server stops in order."""
    collector.close()
    with _served(home, collector, trace_share=1, timeout_seconds=0.2) as client:
        for _ in range(5):
            assert client.post("/predict", json=_ONE).status == 200


def test_steps_are_parts_of_steps() -> None:
    """Steps nest, a failed one says why, and outside of a recording there is none."""
    assert current_recording() is None
    with span("nothing", x=1):
        assert current_recording() is None
    recording = Recording("a" * 32, Span("request", "b" * 16, "", 1))
    with recorded(recording):
        with span("outer"):
            with pytest.raises(ValueError, match="odd"), span("inner", x=1):
                raise ValueError("odd")
        with span("second"):
            pass
    outer, inner, second = recording.spans[1:]
    assert (outer.parent_id, inner.parent_id, second.parent_id) == ("b" * 16, outer.span_id, "b" * 16)
    assert (inner.error, outer.error, inner.attributes) == ("ValueError: odd", None, {"x": 1})


def test_a_recording_is_bounded() -> None:
    """Of a job of thousands of requests the first steps are kept; a step that is not kept is no part of one that is."""
    recording = Recording("a" * 32, Span("job", "b" * 16, "", 1))
    with recorded(recording):
        for _ in range(1000):
            with span("outer"), span("inner"):
                pass
    assert len(recording.spans) == 512
    known = {each.span_id for each in recording.spans}
    assert all(each.parent_id in known for each in recording.spans[1:])


def test_a_share_is_recorded() -> None:
    """Of ten thousand requests without a decision a hundredth is recorded, the same ones for a seed."""
    tracer = Tracer(0.01, lambda _: None, lambda: 0.0, seed=3)
    assert 60 < sum(tracer.recordable(None) is not None for _ in range(10_000)) < 140


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_malformed_parent_decides_nothing(share: float) -> None:
    """A trace that begins here is recorded by the share; one that was begun elsewhere by its caller alone."""
    tracer = Tracer(share, lambda _: None, lambda: 0.0)
    malformed = trace_of([b"nonsense"], [])
    assert malformed is not None
    found = tracer.recordable(malformed)
    assert (found is not None) == bool(share)
    assert found is None or (found.trace_id == malformed.trace_id and found.sampled)
    for flags in (b"00", b"01"):
        parent = trace_of([b"00-%b-%b-%b" % (_TRACE.encode(), _PARENT.encode(), flags)], [])
        assert tracer.recordable(parent) == (parent if flags == b"01" else None)


def test_what_is_set_wrongly_is_said() -> None:
    """An address that is none and headers that are none are refused by a sentence, without the secret."""
    with pytest.raises(ValidationError, match="no address of a collector"):
        TelemetryConfig(endpoint="localhost:4318")
    with pytest.raises(UserError, match="is no list of headers") as told:
        given_headers("secret", "OTEL_EXPORTER_OTLP_HEADERS")
    assert "secret" not in str(told.value)
