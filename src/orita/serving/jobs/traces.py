"""What is done of a job goes on with the trace of the request that handed it in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orita.serving.http.trace_context import in_trace, trace_later
from orita.serving.jobs.queue import Lease
from orita.serving.tracing.recording import Kind, Span, Value
from orita.serving.tracing.tracer import Tracer

__all__ = ["job_traced"]

_KINDS: dict[str, Kind] = {"answer": "consumer", "callback": "client"}


@contextmanager
def job_traced(lease: Lease, tracer: Tracer | None) -> Iterator[Span | None]:
    """Let lines of the log within the block name the trace, and record the block where that request was recorded.

    Args:
        lease: what is done.
        tracer: records; None: nothing is recorded.

    Yields:
        The span; None where the block is not recorded.
    """
    trace = trace_later(lease.trace)
    if trace is None:
        yield None
    elif tracer is None or tracer.recordable(trace) is None:
        with in_trace(trace):
            yield None
    else:
        attributes: dict[str, Value] = {"job.id": lease.job, "job.attempt": lease.attempt}
        with tracer.going_on(trace, f"job {lease.stage}", _KINDS[lease.stage], attributes) as span:
            yield span
