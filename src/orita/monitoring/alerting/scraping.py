"""Reading what servers expose: ``/metrics`` in Prometheus' text format, over HTTP, in bounded time and memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Sample", "Scrape", "scrape", "scrape_all"]

_MOST_BYTES = 16 * 1024 * 1024
_MOST_THREADS = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series, as a server exposes it."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one server exposed; *error* says why it did not, and then there are no samples."""

    target: str
    samples: tuple[Sample, ...]
    error: str | None = None


class _NoRedirection(HTTPRedirectHandler):
    """Refuses redirections, which could carry a token elsewhere."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def scrape_all(
    targets: Sequence[str], names: Collection[str], *, timeout_seconds: float, token: str | None = None
) -> list[Scrape]:
    """Read all *targets* at once; see `scrape`."""
    if not targets:
        return []
    with ThreadPoolExecutor(min(len(targets), _MOST_THREADS), thread_name_prefix="scrape") as threads:
        return list(
            threads.map(lambda target: scrape(target, names, timeout_seconds=timeout_seconds, token=token), targets)
        )


def scrape(target: str, names: Collection[str], *, timeout_seconds: float, token: str | None = None) -> Scrape:
    """Read the metrics *names* of a server.

    Args:
        target: ``host:port``, or a URL; without a path, ``/metrics``.
        names: of samples that are kept: ``prediction_latency_bucket``, not ``prediction_latency``.
        timeout_seconds: limit of connecting and of each read.
        token: sent as ``Authorization: Bearer``.
    """
    try:
        return Scrape(target, tuple(_wanted(_read(_url(target), timeout_seconds, token), names)))
    except HTTPError as error:
        error.close()
        return Scrape(target, (), f"answered {error.code} {error.reason}")
    except (OSError, HTTPException) as error:
        return Scrape(target, (), f"cannot be read: {getattr(error, 'reason', None) or error}")
    except ValueError as error:
        return Scrape(target, (), f"exposes what is no metric: {error}")


def _url(target: str) -> str:
    url = target if target.startswith(("http://", "https://")) else f"http://{target}"
    return url if "/" in url.partition("://")[2] else f"{url}/metrics"


def _read(url: str, timeout_seconds: float, token: str | None) -> str:
    headers = {"Accept": "text/plain; version=0.0.4"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = Request(url, headers=headers)  # noqa: S310 - http or https, as _url makes it
    with build_opener(_NoRedirection).open(request, timeout=timeout_seconds) as answer:
        body: bytes = answer.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    return body.decode("utf-8")


def _wanted(text: str, names: Collection[str]) -> list[Sample]:
    # Most lines are about other things: only those that are kept are parsed.
    lines = [line for line in text.split("\n") if line.partition("{")[0].partition(" ")[0] in names]
    return [
        Sample(sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
        for family in text_string_to_metric_families("\n".join(lines) + "\n")
        for sample in family.samples
    ]
