"""A real nginx with what is rendered, before real servers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.sites import NO_NGINX, Callers, Replica, ask, balancer, free_port, replicas, site_of
from tests.serving.models_at_hand import publish_model

from orita.core.errors import UserError

pytestmark = pytest.mark.skipif(bool(NO_NGINX), reason=NO_NGINX)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    """Two servers that answer; who kills one starts it again."""
    with replicas(tmp_path_factory.mktemp("replicas")) as started:
        yield started


def _who(port: int, requests: int, **given: object) -> Counter[str]:
    answers = [ask(port, user, **given) for user in range(requests)]  # type: ignore[arg-type]
    assert {status for status, _, _ in answers} == {200}
    return Counter(version for _, version, _ in answers)


def test_round_robin_gives_each_server_its_turn(pair: list[Replica], tmp_path: Path) -> None:
    """Both servers get half of the requests, and neither two in a row."""
    site = site_of(replicas=[replica.address for replica in pair])
    with balancer(tmp_path, site) as port:
        told = [ask(port)[1] for _ in range(40)]
    assert Counter(told) == {"v1.0.0": 20, "v2.0.0": 20}
    assert all(one != other for one, other in pairwise(told))


def test_weighted_gives_each_server_its_share(pair: list[Replica], tmp_path: Path) -> None:
    """A server of weight 3 gets three times the requests of one of weight 1."""
    first, second = pair
    site = site_of(policy="weighted", replicas=[{"address": first.address, "weight": 3}, second.address])
    with balancer(tmp_path, site) as port:
        assert _who(port, 40) == {"v1.0.0": 30, "v2.0.0": 10}


def test_least_connections_avoids_the_busy_server(pair: list[Replica], tmp_path: Path) -> None:
    """While a server has requests that it does not answer, the other gets all that come."""
    first, second = pair
    addresses = [first.address, second.address]
    site = site_of(policy="least_connections", replicas=addresses, nginx={"read_seconds": 30})
    first.process.send_signal(signal.SIGSTOP)
    held: list[http.client.HTTPConnection] = []
    try:
        with balancer(tmp_path, site) as port:
            answers: list[str] = []
            while len(answers) < 20:  # a request that the frozen server has got stays there
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("POST", "/predict", json.dumps({"user_id": 1, "item_ids": [1]}))
                assert connection.sock is not None
                connection.sock.settimeout(0.5 if not held else 30)
                try:
                    answers.append(json.loads(connection.getresponse().read())["model_version"])
                    connection.close()
                except TimeoutError:
                    held.append(connection)
    finally:
        first.process.send_signal(signal.SIGCONT)
        for connection in held:
            connection.close()
    assert len(held) == 1
    assert set(answers) == {"v2.0.0"}


@pytest.mark.parametrize("source", ["header", "query", "cookie"])
def test_consistent_hash_keeps_a_user_at_a_server(pair: list[Replica], tmp_path: Path, source: str) -> None:
    """A user's requests go to one server, users to both, and requests without a user to both."""
    key = {"source": source, "name": "X-User-Id" if source == "header" else "user"}
    site = site_of(policy="consistent_hash", user_key=key, replicas=[replica.address for replica in pair])

    def told(port: int, user: int) -> str:
        headers = {"header": {"X-User-Id": str(user)}, "query": {}, "cookie": {"Cookie": f"user={user}"}}[source]
        path = f"/predict?user={user}" if source == "query" else "/predict"
        return ask(port, user, headers, path)[1]

    with balancer(tmp_path, site) as port:
        users = {user: {told(port, user) for _ in range(3)} for user in range(16)}
        assert all(len(seen) == 1 for seen in users.values())
        assert set.union(*users.values()) == {"v1.0.0", "v2.0.0"}
        assert set(_who(port, 20)) == {"v1.0.0", "v2.0.0"}


def test_consistent_hash_moves_only_the_users_of_a_server_that_went(pair: list[Replica], tmp_path: Path) -> None:
    """When a server stops answering, its users are answered by the other, and the other's users stay."""
    patience = {"read_seconds": 0.3, "failures": 1, "failure_seconds": 60}
    site = site_of(policy="consistent_hash", replicas=[replica.address for replica in pair], nginx=patience)
    with balancer(tmp_path, site) as port:

        def all_users() -> dict[int, str]:
            answers = {user: ask(port, user, {"X-User-Id": str(user)}) for user in range(16)}
            assert {status for status, _, _ in answers.values()} == {200}
            return {user: version for user, (_, version, _) in answers.items()}

        before = all_users()
        pair[0].process.send_signal(signal.SIGSTOP)
        try:
            assert set(all_users().values()) == {"v2.0.0"}
        finally:
            pair[0].process.send_signal(signal.SIGCONT)
    assert set(before.values()) == {"v1.0.0", "v2.0.0"}


def test_a_kill_costs_no_request_whether_the_other_answers_too_or_waits(pair: list[Replica], tmp_path: Path) -> None:
    """Under load the first of two servers is killed and comes back, and no request fails: behind a balancer that uses
    both (active-active), both answer before and after; behind one to which the second is a backup (active-passive), it
    answers only in between."""
    first, second = pair
    soon = {"failure_seconds": 1}
    active = site_of(replicas=[first.address, second.address], nginx=soon)
    passive = site_of(replicas=[first.address, {"address": second.address, "backup": True}], nginx=soon)
    with balancer(tmp_path / "active", active) as both, balancer(tmp_path / "passive", passive) as one:
        assert _who(both, 20) == {"v1.0.0": 10, "v2.0.0": 10}
        assert _who(one, 20) == {"v1.0.0": 20}
        with Callers(both, 2) as of_both, Callers(one, 2) as of_one:
            of_both.wait_for(10)
            of_one.wait_for(10)
            first.kill()
            of_both.wait_for(50, "v2.0.0")
            of_one.wait_for(50, "v2.0.0")
            first.restart()
            of_both.wait_for(20, "v1.0.0")
            of_one.wait_for(20, "v1.0.0")
        assert _who(both, 20) == {"v1.0.0": 10, "v2.0.0": 10}
        assert _who(one, 20) == {"v1.0.0": 20}
    for callers in (of_both, of_one):
        assert callers.failed == []
        assert {status for status, _ in callers.told} == {200}


@pytest.mark.slow
def test_a_storm_of_kills_costs_no_request(pair: list[Replica], tmp_path: Path) -> None:
    """Twelve times one of two servers is killed under load, and the other as soon as it is back."""
    site = site_of(replicas=[replica.address for replica in pair], nginx={"failure_seconds": 1})
    with balancer(tmp_path, site) as port:
        with Callers(port) as callers:
            for kill in range(12):
                killed, other = pair[kill % 2], pair[1 - kill % 2]
                callers.wait_for(20, killed.version)
                killed.kill()
                callers.wait_for(50, other.version)
                killed.restart()
    assert callers.failed == []
    assert {status for status, _ in callers.told} == {200}


def test_a_frozen_server_costs_a_wait_and_no_failure(pair: list[Replica], tmp_path: Path) -> None:
    """A server that takes requests and answers none is left out after its failures; each is answered by the other."""
    site = site_of(replicas=[replica.address for replica in pair], nginx={"read_seconds": 0.3, "failures": 1})
    pair[0].process.send_signal(signal.SIGSTOP)
    try:
        with balancer(tmp_path, site) as port:
            assert _who(port, 10) == {"v2.0.0": 10}
    finally:
        pair[0].process.send_signal(signal.SIGCONT)


def test_a_write_is_not_sent_twice(tmp_path: Path) -> None:
    """A POST that a server took and did not answer is repeated at the next for /predict, and for nothing else."""
    with _Deaf() as first, _Deaf() as second:
        nginx = {"failures": 100, "tries": 2, "public": ["/predict", "/api/v1/jobs"]}
        site = site_of(replicas=[first.address, second.address], nginx=nginx)
        with balancer(tmp_path, site) as port:
            assert ask(port)[:2] == (503, "no_server")
            assert first.requests + second.requests == 2
            status, code, response = ask(port, path="/api/v1/jobs", headers={"X-Request-Id": "mine-1"})
    assert (status, code, response.headers["retry-after"]) == (503, "no_server", "1")
    assert response.headers["x-request-id"] == "mine-1"
    assert first.requests + second.requests == 3


def test_a_server_that_sheds_load_is_left_its_share_and_no_more(tmp_path: Path) -> None:
    """A 503 of a server reaches the caller as it is: nobody else is asked, and nobody is taken for dead."""
    shed = b'{"code": "log_full"}'
    answer = b"HTTP/1.1 503 x\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
        len(shed),
        shed,
    )
    with _Deaf(answer) as first, _Deaf(answer) as second:
        site = site_of(replicas=[first.address, second.address], nginx={"failures": 1, "failure_seconds": 60})
        with balancer(tmp_path, site) as port:
            told = [ask(port) for _ in range(10)]
    assert {(status, code, response.headers["retry-after"]) for status, code, response in told} == {
        (503, "log_full", "3")
    }
    assert (first.requests, second.requests) == (5, 5)


def test_servers_that_all_failed_are_asked_all_the_same(tmp_path: Path) -> None:
    """Where every server is left out for its failures, a request is given to them rather than to nobody."""
    sound = b'HTTP/1.1 200 x\r\nConnection: close\r\nContent-Length: 23\r\n\r\n{"model_version": "ok"}\n'
    with _Deaf() as first, _Deaf() as second:
        limits = {"failures": 1, "failure_seconds": 60}
        with balancer(tmp_path, site_of(replicas=[first.address, second.address], nginx=limits)) as port:
            assert ask(port)[:2] == (503, "no_server")
            first.answer = second.answer = sound
            assert [ask(port)[:2] for _ in range(4)] == [(200, "ok")] * 4


class _Deaf:
    """Takes requests and closes their connections without an answer, or with one that is always the same."""

    def __init__(self, answer: bytes = b"") -> None:
        self.requests = 0
        self.answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> _Deaf:
        self._thread = threading.Thread(target=self._take)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests += bool(connection.recv(65536))
                connection.sendall(self.answer)


def test_bodies_are_bounded_as_the_server_bounds_them(pair: list[Replica], tmp_path: Path) -> None:
    """A body as long as ``serving.max_body_bytes`` reaches a server; one byte more is refused in the form of errors."""
    longest = 4096
    site = site_of({"max_body_bytes": longest}, replicas=[replica.address for replica in pair])
    body = json.dumps({"user_id": 1, "item_ids": [1, 2, 3]})
    with balancer(tmp_path, site) as port:
        assert ask(port, body=body.ljust(longest))[0] == 200
        status, code, response = ask(port, body=body.ljust(longest + 1))
    assert (status, code) == (413, "body_too_large")
    assert response.headers["content-type"] == "application/json"


def test_request_ids_are_passed_on_or_made(pair: list[Replica], tmp_path: Path) -> None:
    """A caller's id comes back; without one each request gets its own; a forged one cannot break an error's JSON."""
    site = site_of(replicas=[replica.address for replica in pair])
    with balancer(tmp_path, site) as port:
        assert ask(port, headers={"X-Request-Id": "shown-7"})[2].headers["x-request-id"] == "shown-7"
        made = {ask(port)[2].headers["x-request-id"] for _ in range(3)}
        assert len(made) == 3
        assert ask(port, headers={"X-Request-Id": 'a"b'})[:2] == (422, "invalid_request_id")
        status, code, _ = ask(port, headers={"X-Request-Id": 'a"b'}, path="/config")
    assert (status, code) == (403, "internal_path")


_PUBLIC = {"/health": 200, "/health/ready": 200, "/balancer/health": 200, "/predict": 405, "/api/v1/feed": 404}
_INTERNAL = {
    "/metrics": 200,
    "/config": 200,
    "/docs": 200,
    "/openapi.json": 200,
    "/api/v1/models": 200,
    "/v2": 200,
    "/graphql": 200,
    "/api/v1/features": 404,
    "/api/v1/jobs/x": 404,
    "/api/v1/predictions/x": 404,
    "/api/v1/what-comes-later": 404,
}


def test_internal_paths_are_for_internal_networks(pair: list[Replica], tmp_path: Path) -> None:
    """All but predictions, feeds and health is refused, unless the caller's network is named."""
    addresses = [replica.address for replica in pair]
    statuses = {}
    for name, networks in (("nobody", []), ("us", ["127.0.0.0/8"])):
        with balancer(tmp_path / name, site_of(replicas=addresses, nginx={"internal_networks": networks})) as port:
            statuses[name] = {path: _get(port, path).status for path in (*_INTERNAL, *_PUBLIC)}
    assert statuses["nobody"] == dict.fromkeys(_INTERNAL, 403) | _PUBLIC
    assert statuses["us"] == _INTERNAL | _PUBLIC


def test_internal_paths_have_no_other_spelling(pair: list[Replica], tmp_path: Path) -> None:
    """However an internal path is spelled, it is refused before a server is asked."""
    spelled = ("/%6detrics", "//metrics", "/predict/../metrics", "/metrics/", "/metrics?x=1", "/api/v1/features/online")
    with balancer(tmp_path, site_of(replicas=[pair[0].address])) as port:
        assert {path: _get(port, path).status for path in spelled} == dict.fromkeys(spelled, 403)
        # What nginx takes for a public path is that path to the server too.
        assert _get(port, "/config/%2e%2e/health").status == 200
        assert _get(port, "/health/").status == 404


def test_nobody_changes_models_through_the_balancer(pair: list[Replica], tmp_path: Path) -> None:
    """Whatever Host and forwarding headers a caller writes, a server behind nginx lets them change nothing: by default
    nginx refuses the path, and where a network may ask for it, the server refuses the change. Who asks the server
    itself from its own machine may change the same model."""
    server = pair[0]
    path = f"/api/v1/models/{publish_model(server.home, 'v0.9.0')}"
    told = json.dumps({"description": "mine", "tags": {}, "stage": "retired"})
    claims = [{"Host": "127.0.0.1"}, {"Host": "localhost", "X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-For": ""}]
    for name, networks, code in (("nobody", [], "internal_path"), ("us", ["127.0.0.0/8"], "forbidden")):
        site = site_of(replicas=[server.address], nginx={"internal_networks": networks})
        with balancer(tmp_path / name, site) as port:
            for headers in claims:
                for method, body in (("DELETE", ""), ("PUT", told)):
                    status, answer = _talk(port, method, path, body, headers)
                    assert (status, answer["code"]) == (403, code), (name, method, headers)
    _, kept = _talk(server.port, "GET", path)
    assert (kept["data"]["stage"], kept["data"]["description"]) == ("available", "")
    status, changed = _talk(server.port, "DELETE", path)
    assert (status, changed["data"]["stage"]) == (200, "retired")


def _talk(
    port: int, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body or None, headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def _get(port: int, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def test_answers_are_compressed_for_who_asks(pair: list[Replica], tmp_path: Path) -> None:
    """A long answer is gzip for a caller that accepts it, and plain for others."""
    site = site_of(replicas=[replica.address for replica in pair], nginx={"public": ["/openapi.json"]})
    with balancer(tmp_path, site) as port:
        packed = _get(port, "/openapi.json", {"Accept-Encoding": "gzip"})
        plain = _get(port, "/openapi.json")
        assert packed.status == plain.status == 200
    assert (packed.headers["content-encoding"], plain.headers["content-encoding"]) == ("gzip", None)


def test_connections_to_servers_are_kept(pair: list[Replica], tmp_path: Path) -> None:
    """Many requests use few connections to a server."""
    site = site_of(replicas=[pair[0].address])
    with balancer(tmp_path, site) as port:
        before = _connections_to(pair[0].port)
        for user in range(30):
            ask(port, user)
        opened = _connections_to(pair[0].port) - before
    workers = os.cpu_count() or 1
    assert 1 <= len(opened) <= workers, "a worker of nginx keeps one open, and closes none"


def _connections_to(port: int) -> set[str]:
    """Return where sockets of this machine, open or lately closed, with that remote port begin (Linux)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {line[1] for line in lines if line[2].endswith(f":{port:04X}")}


def test_tls_speaks_1_2_and_1_3_only(pair: list[Replica], tmp_path: Path) -> None:
    """TLS 1.2 and 1.3 are answered, 1.1 is refused by its alert; plain HTTP is an error, or sent on."""
    certificate, key = _self_signed(tmp_path)
    plain = free_port()
    tls = {"certificate": str(certificate), "key": str(key), "redirect_port": plain}
    site = site_of(replicas=[pair[0].address], tls=tls)
    with balancer(tmp_path / "nginx", site) as port:
        assert [_tls_version(port, version, certificate) for version in ("TLSv1_2", "TLSv1_3")] == [
            "TLSv1.2",
            "TLSv1.3",
        ]
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"), pytest.warns(DeprecationWarning):
            _tls_version(port, "TLSv1_1", certificate)
        assert ask(port)[:2] == (400, "bad_request")
        moved = _get(plain, "/health?x=1")
        assert (moved.status, moved.headers["location"]) == (308, f"https://127.0.0.1:{port}/health?x=1")


def _tls_version(port: int, version: str, certificate: Path) -> str | None:
    context = ssl.create_default_context(cafile=str(certificate))
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else OpenSSL here would refuse 1.1 before nginx can
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return secure.version()


def _self_signed(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pkcs8, pem, plain = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM, serialization.NoEncryption()
    key.write_bytes(private.private_bytes(pem, pkcs8, plain))
    return certificate, key


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"replicas": ["here"]}, "expected host:port"),
        ({"replicas": ["a:1; return 200"]}, "expected host:port"),
        ({"replicas": ["a:70000"]}, "expected host:port"),
        ({"replicas": ["a:1", "a:1"]}, "names a:1 twice"),
        ({"replicas": [{"address": "a:1", "backup": True}]}, "at least one must answer"),
        ({"replicas": ["a:1", {"address": "b:1", "weight": 2}]}, "take policy: weighted"),
        (
            {"policy": "consistent_hash", "replicas": ["a:1", {"address": "b:1", "backup": True}]},
            "nginx has no backup with the policy consistent_hash",
        ),
        ({"user_key": {"name": "x;y"}}, "take letters, digits"),
        ({"nginx": {"repeat": ["/api/v1/features/push"]}}, "has /api/v1/features/push, which writes"),
        ({"nginx": {"repeat": ["/api/v1/jobs"]}}, "has /api/v1/jobs, which writes"),
        ({"nginx": {"public": ["/"]}}, "public has /: give each path once, without a slash at its end"),
        ({"nginx": {"public": ["/balancer/health"]}}, "not /balancer"),
        ({"nginx": {"public": ["/predict", "/predict"]}}, "public has /predict: give each path once"),
        ({"nginx": {"repeat": ["/a b"]}}, "expected a path"),
        ({"nginx": {"internal_networks": ["10.0.0.1/8"]}}, "without host bits"),
        ({"host": "example.com"}, "expected an address of this machine"),
        ({"tls": {"certificate": "/a b", "key": "/k"}}, "expected an absolute path"),
    ],
)
def test_what_cannot_be_rendered_is_refused(settings: dict[str, object], sentence: str, tmp_path: Path) -> None:
    """A setting that nginx would refuse, or read as something else, is refused by a sentence that says what to do."""
    from orita.core.config import load
    from orita.deploy import DeploymentConfig

    file = tmp_path / "deployment.yaml"
    file.write_text(json.dumps(settings))
    with pytest.raises(UserError, match=sentence):
        load(DeploymentConfig, file)
