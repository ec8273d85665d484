"""A server of Redis or Valkey: how it is reached, how long it may take, and in which words it fails."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from orita.core.config import Section
from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.patience import seconds_to_wait
from orita.features.stores.store import StoreAway

__all__ = ["RedisConfig", "RedisServer", "key_of"]

_NAME = re.compile(r"[^\s{}:]+")
_LEAST_SECONDS = 0.001  # a socket that may not wait at all has another meaning


class RedisConfig(Section):
    """Where the server is, and how long to wait for it.

    Attributes:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user and password where the server wants them.
        password_variable: environment variable that holds the password instead, so that no file does.
        prefix: of every key; homes that share a server, and have systems of one name, need one each.
        read_timeout: seconds until a read has failed; a request that cannot wait so long says so (`core.patience`).
        write_timeout: seconds until a write has failed; the server answers once its append-only file is synced.
    """

    url: str = "redis://127.0.0.1:6379/0"
    password_variable: str = ""
    prefix: str = Field("orita", pattern=r"^[^\s{}:]+$")
    read_timeout: float = Field(1.0, gt=0, le=60)
    write_timeout: float = Field(30.0, gt=0, le=600)


def key_of(config: RedisConfig, tenant: str, system: str, *parts: str) -> bytes:
    """Return the key of *parts* of a system's state; all of them are in one slot.

    Raises:
        UserError: a name has white space, ``{``, ``}`` or ``:``.
    """
    for field, name in (("tenant", tenant), ("system", system), *(("generation", part) for part in parts)):
        if not _NAME.fullmatch(name):
            raise UserError(f"{field} is {name!r}: in Redis it is text without white space, '{{', '}}' and ':'.")
    return ":".join([f"{{{config.prefix}:{tenant}:{system}}}", *parts]).encode()


class RedisServer:
    """Connections to a server: some for reads, some for writes, which may take longer. Threads may share it.

    Raises:
        MissingExtra: the client is not installed.
        UserError: the URL is not allowed, or the variable of the password is not set.
    """

    def __init__(self, config: RedisConfig) -> None:
        self._redis = require("redis", extra="redis")
        self._address = _address(config.url)
        self._reading = self._client(config, config.read_timeout)
        pool = self._reading.connection_pool
        pool.connection_class = _hurried(pool.connection_class)
        self._writing = self._client(config, config.write_timeout)

    def __str__(self) -> str:
        return f"Redis at {self._address}"

    def read(self, *command: Any) -> Any:
        """Send a command that is answered fast, within what is left of `orita.core.patience`.

        Raises:
            StoreAway: the server is away, slow, or refuses it.
        """
        return self._answered(lambda: self._reading.execute_command(*command))

    def write(self, *command: Any) -> Any:
        """Send a command that may take its time; see `read`. After an error it may have been done."""
        return self._answered(lambda: self._writing.execute_command(*command))

    def write_together(self, *commands: tuple[Any, ...]) -> None:
        """Send commands of one slot that are done together or not at all; see `write`."""

        def together() -> None:
            with self._writing.pipeline(transaction=True) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                pipeline.execute()

        self._answered(together)

    def script(self, text: str, *arguments: Any) -> Any:
        """Run a script by its digest, with its text where the server does not know it; see `write`."""
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

        def run() -> Any:
            try:
                return self._writing.execute_command("EVALSHA", digest, *arguments)
            except self._redis.exceptions.NoScriptError:  # it is new, or the server was restarted
                return self._writing.execute_command("EVAL", text, *arguments)

        return self._answered(run)

    def close(self) -> None:
        """Close the connections."""
        self._reading.close()
        self._writing.close()

    def _client(self, config: RedisConfig, timeout: float) -> Any:
        options = {
            "protocol": 2,
            "decode_responses": False,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            # A batch that was tried again unseen would be answered as another writer's.
            "retry": self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0),
            "command_packer": _Packer(),
        }
        if config.password_variable:
            options["password"] = _password(config.password_variable)
        try:
            client = self._redis.Redis.from_url(config.url, **options)
        except ValueError as error:
            raise UserError(f"the address of Redis, {self._address}, is not allowed: {error}.") from None
        client.connection_pool.connection_kwargs.update(options)  # also over those that the URL brings
        return client

    def _answered(self, send: Callable[[], Any]) -> Any:
        errors = self._redis.exceptions
        try:
            return send()
        except (errors.AuthenticationError, errors.AuthorizationError) as error:
            raise self._failed(f"lets nobody in so ({error}): check user and password") from error
        except errors.BusyLoadingError as error:
            raise self._failed("is still reading its files: wait until it has") from error
        except errors.TimeoutError as error:
            raise self._failed("did not answer in time: see whether it is overloaded") from error
        except (errors.ConnectionError, OSError) as error:
            raise self._failed(f"is away ({error}): start it, or mend its URL") from error
        except errors.RedisError as error:
            raise self._failed(f"refused ({error}): see its log and its memory") from error

    def _failed(self, why: str) -> StoreAway:
        return StoreAway(f"{self} {why}.")


@functools.cache
def _hurried(kind: type[Any]) -> type[Any]:
    """Return connections like those of *kind* that wait no longer than who asks; a handshake counts as well."""

    class Hurried(kind):  # type: ignore[misc]
        @property
        def socket_connect_timeout(self) -> float:
            return max(seconds_to_wait(super().socket_connect_timeout), _LEAST_SECONDS)

        def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            if self._sock is not None:  # otherwise it connects, and the handshake comes here by itself
                self._sock.settimeout(max(seconds_to_wait(self.socket_timeout), _LEAST_SECONDS))
            super().send_packed_command(command, check_health)

    return Hurried


class _Packer:
    """Commands in the protocol: the client's own packer takes three times as long for two hundred keys."""

    def pack(self, *command: bytes | str | int) -> list[bytes]:
        """Return the bytes of *command*; a name of two words is two arguments."""
        name, *rest = command
        parts = [*(name.encode() if isinstance(name, str) else bytes(name)).split(), *rest]
        raw = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
        return [b"*%d\r\n" % len(raw) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in raw])]


def _password(variable: str) -> str:
    """Return what *variable* holds.

    Raises:
        UserError: it is not set.
    """
    if variable not in os.environ:
        raise UserError(
            f"the password of Redis should be in the environment variable {variable!r} (password_variable), which is "
            "not set: set it, or leave the key empty."
        )
    return os.environ[variable]


def _address(url: str) -> str:
    """Return *url* without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UserError(f"the URL of Redis is not allowed: {error}.") from None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
