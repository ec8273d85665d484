"""Work on a job is within the trace of its request: known to the log, recorded where that was recorded."""

from __future__ import annotations

import pytest

from orita.serving.http.trace_context import current_trace, trace_later, trace_of
from orita.serving.jobs.queue import Lease
from orita.serving.jobs.traces import job_traced
from orita.serving.tracing.recording import Recording
from orita.serving.tracing.tracer import Tracer

_TRACE, _PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def _kept(flags: str) -> str:
    request = trace_of([f"00-{_TRACE}-{_PARENT}-{flags}".encode()], [b"vendor=a b", b"other=1"])
    assert request is not None
    return request.kept


def test_what_is_kept_of_a_trace_leads_back_to_its_request() -> None:
    """The span of the work is new, its parent is that of the request; who decided, and its state, are the same."""
    request = trace_of([f"00-{_TRACE}-{_PARENT}-01".encode()], [b"vendor=a b", b"other=1"])
    assert request is not None
    later = trace_later(request.kept)
    assert later is not None
    assert (later.trace_id, later.parent_id, later.sampled) == (_TRACE, request.span_id, True)
    assert later.state == request.state == "vendor=a b,other=1"
    assert later.span_id not in (request.span_id, _PARENT)
    assert trace_later("") is None


@pytest.mark.parametrize(("flags", "recorded"), [("01", True), ("00", False)])
def test_the_callers_decision_holds_for_the_job(flags: str, recorded: bool) -> None:
    """Its trace is known within the block either way; without a tracer nothing is recorded."""
    taken: list[Recording] = []
    lease = Lease("job", "answer", 1, 2, b"[]", _kept(flags))
    with job_traced(lease, Tracer(1.0, taken.append, lambda: 0.0)) as span:
        trace = current_trace()
        assert trace is not None
        assert trace.trace_id == _TRACE
        assert (span is not None) == recorded
    assert current_trace() is None
    assert [each.request.attributes for each in taken] == [{"job.id": "job", "job.attempt": 2}] * recorded
    with job_traced(lease, None) as span:
        assert span is None
        assert current_trace() is not None


def test_work_that_raises_is_told() -> None:
    """The span has the error, and what raised it goes on."""
    taken: list[Recording] = []
    lease = Lease("job", "answer", 1, 1, b"[]", _kept("01"))
    with pytest.raises(OSError, match="away"), job_traced(lease, Tracer(0.0, taken.append, lambda: 0.0)):
        raise OSError("away")
    assert taken[0].request.error == "OSError: away"
    assert taken[0].request.ended_ns >= taken[0].request.started_ns


def test_a_job_of_no_trace_begins_none() -> None:
    """Whatever the share: its request was not recorded, so nobody would know where it came from."""
    taken: list[Recording] = []
    with job_traced(Lease("job", "answer", 1, 1, b"[]"), Tracer(1.0, taken.append, lambda: 0.0)):
        assert current_trace() is None
    assert taken == []
