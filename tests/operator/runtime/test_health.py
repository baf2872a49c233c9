"""The three pages of the operator: liveness, readiness and metrics."""

import socket
import urllib.error
import urllib.request

import pytest

from anamnesis.operator.runtime.health import serve_health
from anamnesis.records import InputError, UnreachableError


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_each_page_shows_the_problems(caplog: pytest.LogCaptureFixture) -> None:
    problems = ["the watch of Site is silent"]
    with serve_health(0, lambda: tuple(problems), lambda: (), lambda: b"up 1\n") as port:
        assert get(port, "/healthz") == (503, "the watch of Site is silent\n")
        assert caplog.messages == ["unhealthy: the watch of Site is silent"]
        problems.clear()
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/readyz") == (200, "ok\n")
        assert get(port, "/metrics") == (200, "up 1\n")
        assert get(port, "/")[0] == 404


def test_metrics_that_another_replica_has_and_does_not_give_are_unavailable() -> None:
    def unreachable() -> bytes:
        raise UnreachableError("no replica leads")

    with serve_health(0, tuple, tuple, unreachable) as port:
        assert get(port, "/metrics") == (503, "no replica leads\n")


def test_a_taken_port_is_an_input_error() -> None:
    with socket.create_server(("", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} for health and metrics: Address already in use"):
            serve_health(port, lambda: (), lambda: (), lambda: b"").__enter__()
