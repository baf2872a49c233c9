"""Every command reports an unreachable API server in one line."""

import json
from pathlib import Path

import pytest
from apiserver.operators import StubOperator
from apiserver.test_status import Run
from builders.api_server import ApiServer
from builders.waiting import eventually

COMMANDS = (
    "status",
    "update chest --site guangzhou",
    "suspend chest",
    "resume chest",
    "approve chest sha256:aa11 --reason seen",
    "reject chest sha256:aa11 --reason seen",
    "rollback chest sha256:aa11 --reason seen",
    "support-bundle -o bundle.tar.gz",
)


@pytest.fixture
def kubeconfigs(cluster: ApiServer, tmp_path: Path) -> dict[str, Path]:
    """Ways that lead nowhere, by what is said of them."""
    document = json.loads(cluster.kubeconfig().read_text())
    (entry,) = document["clusters"]
    paths = {
        "does not answer": cluster.kubeconfig(server="https://127.0.0.1:9"),
        "no cluster: ": tmp_path / "text",
    }
    paths["no cluster: "].write_text("not a kubeconfig\n")
    del entry["cluster"]["certificate-authority-data"]
    paths["no trusted TLS connection to the API server: certificate verify failed: "] = tmp_path / "stranger"
    paths["no trusted TLS connection to the API server: certificate verify failed: "].write_text(json.dumps(document))
    return paths


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_it_in_one_line(
    run: Run, kubeconfigs: dict[str, Path], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *arguments = command.split()
    for message, kubeconfig in kubeconfigs.items():
        result = run(name, "-n", "wards", *arguments, kubeconfig=kubeconfig)
        assert (result.code, result.out) == (2 if message == "no cluster: " else 1, "")
        assert message in result.err
        assert result.err.count("\n") == 1
    assert not (tmp_path / "bundle.tar.gz").exists()


def test_an_operator_that_does_not_trust_the_server_says_so_and_waits(
    kubeconfigs: dict[str, Path], namespace: str, tmp_path: Path
) -> None:
    stranger = kubeconfigs["no trusted TLS connection to the API server: certificate verify failed: "]
    operator = StubOperator(stranger, namespace, tmp_path / "log").start()
    try:
        eventually(
            lambda: "no trusted TLS connection to the API server: certificate verify" in operator.log.read_text()
        )
        assert operator.process.poll() is None
        assert operator.get("/readyz")[0] == 503
    finally:
        operator.kill()
