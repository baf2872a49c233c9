"""The operator and the steps of an update, where the only network is a loopback of their own.

Tests that start their own API server and S3 server are run again inside of a network namespace: whatever would be
downloaded, looked up by name or reported to somebody fails there.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import missing

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
OFFLINE_COMMAND = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
CONNECT_SCRIPT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"


def run_offline(command: Sequence[str], seconds: float = 250) -> "subprocess.CompletedProcess[str]":
    """Runs a command in a network namespace that has a loopback and no route."""
    environment = {**os.environ, "ANAMNESIS_NOTHING_MISSING": "1"}  # a skip inside would prove nothing
    return subprocess.run(
        [*OFFLINE_COMMAND, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if not shutil.which("unshare") or not shutil.which("ip"):
        missing("no network namespace: unshare and ip are not installed")
    if reason := run_offline(["true"]).stderr:
        pytest.skip(f"no network namespace here: {reason.strip()}")


def test_nothing_else_is_reached_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert subprocess.run([sys.executable, "-c", CONNECT_SCRIPT, "127.0.0.1", port], check=False).returncode == 0
        for address in (("127.0.0.1", port), ("192.0.2.1", "443"), ("pypi.org", "443")):
            result = run_offline([sys.executable, "-c", CONNECT_SCRIPT, *address])
            assert result.returncode != 0
            assert any(word in result.stderr for word in ("unreachable", "refused", "gaierror")), result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "test",
    [
        "apiserver/test_life.py::test_a_sites_images_are_learned_approved_and_told",
        "chart/test_install.py::test_the_life_of_a_release",
    ],
)
def test_what_runs_here_runs_there(test: str, api_server_binaries: Path, s3_server_binary: str) -> None:
    result = run_offline([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / test)])
    assert result.returncode == 0, result.stdout[-4000:]
    assert "1 passed" in result.stdout
