"""Where a replica gets the metrics of the leader."""

import pytest

from anamnesis.operator.runtime.health import serve_health
from anamnesis.operator.runtime.leader_metrics import fetch_leader_metrics, metrics_address
from anamnesis.records import InputError, UnreachableError


def test_an_address_is_an_ip_address() -> None:
    assert metrics_address("10.0.0.5", 8080) == "10.0.0.5:8080"
    assert metrics_address("fd00::5", 8080) == "[fd00::5]:8080"
    assert metrics_address("", 8080) == ""
    with pytest.raises(InputError, match=r"--address: evil\.example/x is not an IP address"):
        metrics_address("evil.example/x", 8080)


def test_a_standby_gets_what_the_leader_has() -> None:
    with serve_health(0, tuple, tuple, lambda: b"leader 1\n") as port:
        assert fetch_leader_metrics(f"127.0.0.1:{port}") == b"leader 1\n"
    with pytest.raises(UnreachableError, match=f"the leader at 127.0.0.1:{port} does not answer with its metrics"):
        fetch_leader_metrics(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["", "evil.example:80", "127.0.0.1:x", "127.0.0.1:80/../x"])
def test_an_address_that_no_leader_wrote_is_not_asked(address: str) -> None:
    with pytest.raises(UnreachableError, match=r"no replica leads|not an IP address|invalid literal"):
        fetch_leader_metrics(address)
