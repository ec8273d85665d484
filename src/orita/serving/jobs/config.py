"""What can be set about jobs: the ``serving.jobs`` section."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from orita.core.config import Section
from orita.features.stores.redis_server import RedisConfig

__all__ = ["CallbackConfig", "JobsConfig"]


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"{error}: write a network such as 10.0.0.0/8, or one address") from None


def _host(text: str) -> str:
    name, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    name, port = (name, port) if colon else (text, "")
    whole = not port or (port.isdigit() and 0 < int(port) < 65_536)
    bare = name.removeprefix("[").removesuffix("]")
    if not bare or not whole or any(sign in bare for sign in "/@*?# ") or (":" in bare and not name.startswith("[")):
        raise ValueError(f"{text!r} is no host: write a name such as hooks.example.org, or hooks.example.org:8443")
    return text.lower()


class CallbackConfig(Section):
    """To whom results are posted, and how often it is tried.

    Attributes:
        hosts: who may be called: ``hooks.example.org`` (ports 80 and 443), or ``hooks.example.org:8443``. None: nobody.
        networks: networks that are not public and may be called all the same, such as ``10.0.0.0/8``.
        secret_variable: environment variable that holds the secret of the signatures, ``whsec_`` and base64; of several
            with spaces between them each signs, so that a secret can be changed without a gap.
        timeout_seconds: for one call, from its connection to the status of its answer.
        attempts: calls of one result.
        backoff_seconds: pause after the first that failed; it doubles from one to the next.
        most_backoff_seconds: and is never longer than this.
        at_once: calls at the same time, of one server process.
    """

    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = ()
    networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    secret_variable: str = Field("ORITA_CALLBACK_SECRET", min_length=1)
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    attempts: Annotated[int, Field(ge=1, le=100)] = 10
    backoff_seconds: Annotated[float, Field(gt=0, le=3600)] = 5.0
    most_backoff_seconds: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    at_once: Annotated[int, Field(ge=1, le=256)] = 4


class JobsConfig(Section):
    """How predictions are answered later.

    Attributes:
        enabled: whether ``/api/v1/jobs`` answers.
        work: whether this server does jobs too; false: it takes them, and other servers on the same queue do them.
        queue: ``embedded``, a file in the home, for the server processes of one machine; ``redis``, for all replicas.
        redis: the server of the queue ``redis``.
        max_requests: most requests of one job.
        max_body_bytes: longest body of one.
        most_open: jobs that wait or run; the next is refused with 503.
        most_mib: requests and results that are kept, in MiB; ended jobs give way to new ones, the oldest first.
        keep_seconds: how long a job that ended is kept.
        lease_seconds: after so long without a sign of life a job is taken from its worker and done by another.
        attempts: how often a job is begun, at most.
        backoff_seconds: pause after the first attempt that failed; it doubles from one to the next.
        most_backoff_seconds: and is never longer than this.
        poll_seconds: between two looks for jobs that another process took in.
        share: of the answering thread's time that jobs take at most while there are other requests.
        callbacks: who is told of results.
    """

    enabled: bool = True
    work: bool = True
    queue: Literal["embedded", "redis"] = "embedded"
    redis: RedisConfig = RedisConfig()
    max_requests: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    most_open: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    most_mib: Annotated[float, Field(gt=0, le=1_048_576)] = 1024.0
    keep_seconds: Annotated[float, Field(gt=0, le=31_536_000)] = 86_400.0
    lease_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    attempts: Annotated[int, Field(ge=1, le=100)] = 8
    backoff_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    most_backoff_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 0.5
    share: Annotated[float, Field(gt=0, le=1)] = 0.25
    callbacks: CallbackConfig = CallbackConfig()

    @model_validator(mode="after")
    def _a_lease_outlasts_a_call(self) -> JobsConfig:
        if self.callbacks.hosts and self.callbacks.timeout_seconds >= self.lease_seconds:
            raise ValueError(
                f"callbacks.timeout_seconds is {self.callbacks.timeout_seconds:g}, allowed are values below "
                f"lease_seconds ({self.lease_seconds:g}): a call must end before another worker makes it too"
            )
        return self
