"""What two workers tell of themselves: exemplars and the page by either, totals over OTLP by both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.serving.otlp_collector import Collector, attributes
from tests.serving.workers.served import Served, serving, until, with_champion

from orita.core.home import Home

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_PARENT = {"traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01"}
_OPEN = {"Accept": "application/openmetrics-text"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Served]:
    """Two workers that send what they tell."""
    home = with_champion(Home(tmp_path_factory.mktemp("served") / "home"))
    telemetry = {"endpoint": collector.address, "metrics_seconds": 0.2, "trace_share": 0}
    with serving(home, telemetry=telemetry) as running:
        running.until_answering(2)
        yield running


def _predict(served: Served, **headers: str) -> None:
    assert served.ask("POST", "/predict", {"user_id": 1, "item_ids": [1, 2, 3]}, **headers)[0] == 200


def test_either_worker_tells_the_exemplar(served: Served) -> None:
    """Whichever worker counted it, each names the trace, once their reports are round."""
    _predict(served, **_PARENT)
    told = f'trace_id="{_TRACE}"'
    until(lambda: all(told in served.ask("GET", "/metrics", **_OPEN)[1] for _ in range(8)))


def test_either_worker_draws_the_page_of_both(served: Served) -> None:
    """The page names both processes and the figures of all."""
    pids = served.until_answering(2)
    for _ in range(4):
        status, page = served.ask("GET", "/status")
        assert status == 200
        assert all(f"<td>{pid}</td>" in page for pid in pids)


def test_totals_over_otlp_are_those_of_all(served: Served, collector: Collector) -> None:
    """Each worker sends its own counts under an identity of its own; together they are what Prometheus reads."""
    for _ in range(20):
        _predict(served)

    def scored() -> dict[str, float]:
        return {_instance(each): value for each in _resources(collector) if (value := _scored(each)) is not None}

    # Both workers have sent, and their sum is the total; which of them answered how many is the kernel's choice.
    total = served.ask("GET", "/metrics")[1]["predictions_total"]
    collector.wait(lambda: len({_instance(each) for each in _resources(collector)}) == 2)
    collector.wait(lambda: sum(scored().values()) >= total)
    until(lambda: sum(scored().values()) == served.ask("GET", "/metrics")[1]["predictions_total"])


def _resources(collector: Collector) -> list[Any]:
    return [resource for message in list(collector.taken["/v1/metrics"]) for resource in message.resource_metrics]


def _instance(resource: Any) -> str:
    return str(attributes(resource.resource)["service.instance.id"])


def _scored(resource: Any) -> float | None:
    metrics = [found for scope in resource.scope_metrics for found in scope.metrics if found.name == "predictions"]
    return metrics[0].sum.data_points[0].as_double if metrics else None
