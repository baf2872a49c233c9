"""An API server on which our kinds were just installed is not ready for them at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiserver.operators import StubOperator, create_operator_account, create_resource, last_reconciled_by, site
from builders.api_server import ApiServer
from builders.waiting import eventually

CRDS = Path(__file__).resolve().parents[2] / "manifests" / "crds"


@pytest.fixture
def fresh_server(api_server_binaries: Path) -> Iterator[ApiServer]:
    """A server that nobody has asked for anything yet."""
    server = ApiServer(api_server_binaries)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_an_operator_that_comes_with_its_definitions_is_ready_soon_and_logs_no_error(
    fresh_server: ApiServer, tmp_path: Path
) -> None:
    fresh_server.kubectl("create", "namespace", "wards")
    kubeconfig = create_operator_account(fresh_server, "wards")
    fresh_server.kubectl("apply", "--server-side", f"--kustomize={CRDS}")
    fresh_server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    operator = StubOperator(kubeconfig, "wards", tmp_path / "log").start()
    try:
        eventually(operator.is_leader, 20)
        document = create_resource(fresh_server, "wards", site("guangzhou"))
        eventually(lambda: last_reconciled_by(fresh_server, "wards", document) == "one")  # the watch has come about
    finally:
        operator.kill()
    lines = [json.loads(line) for line in operator.log.read_text().splitlines()]
    assert [line for line in lines if line["level"] == "ERROR"] == []
