"""The real API server with our resources, and a namespace for each test."""

import secrets
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apiserver.end_state import EndState
from apiserver.hospital_namespace import LONG_TRAINING, HospitalNamespace, ReferenceRun
from builders.api_server import ApiServer
from builders.waiting import eventually

from anamnesis.operator.api.write_manifests import render_manifests

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
FORGED = {
    "apiVersion": "anamnesis.dev/v1alpha1",
    "kind": "UpdateApproval",
    "metadata": {"name": "forged"},
    "spec": {"model": "m", "version": "sha256:" + "0" * 64, "decision": "RollBack", "approver": "no", "reason": "none"},
}


@pytest.fixture(scope="session")
def cluster(api_server: ApiServer) -> ApiServer:
    """The API server with ``manifests/crds`` and ``manifests/admission`` in force, once for the whole session."""
    files = [f"--filename={MANIFESTS / name}" for name in render_manifests()]
    api_server.kubectl("apply", "--server-side", *files)
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    eventually(lambda: _refuses_a_forged_approval(api_server))
    return api_server


def _refuses_a_forged_approval(server: ApiServer) -> bool:
    path = "/apis/anamnesis.dev/v1alpha1/namespaces/default/updateapprovals?dryRun=All"
    try:
        server.request("POST", path, FORGED)
    except urllib.error.HTTPError as error:
        return error.code == 403
    return False


@pytest.fixture(scope="session")
def make_namespace(cluster: ApiServer) -> Callable[[], str]:
    """Makes fresh namespaces. Nothing deletes them: that takes controllers, and the server ends with the session."""

    def make() -> str:
        name = f"test-{secrets.token_hex(4)}"
        cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    return make


@pytest.fixture
def namespace(make_namespace: Callable[[], str]) -> str:
    """A fresh namespace."""
    return make_namespace()


@pytest.fixture
def run(cluster: ApiServer) -> Callable[..., Any]:
    """Runs a command as somebody with a kubeconfig would; returns exit code, output and errors."""
    from typer.testing import CliRunner

    from anamnesis.cli.app import app

    def call(*arguments: object, user: str = "admin", kubeconfig: Path | None = None) -> SimpleNamespace:
        environment = {"KUBECONFIG": str(kubeconfig or cluster.kubeconfig(user)), "COLUMNS": "200"}
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
        return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)

    return call


@pytest.fixture
def hospital(
    cluster: ApiServer, namespace: str, s3_environment: Mapping[str, str], tmp_path: Path
) -> Iterator[HospitalNamespace]:
    """A hospital of the test's own."""
    hospital_namespace = HospitalNamespace(cluster, namespace, s3_environment, tmp_path)
    yield hospital_namespace
    hospital_namespace.stop_operators()


@pytest.fixture(scope="session")
def reference_run(
    cluster: ApiServer,
    make_namespace: Callable[[], str],
    s3_environment: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ReferenceRun]:
    """What faults are compared with; it costs 20 seconds."""
    hospital = HospitalNamespace(cluster, make_namespace(), s3_environment, tmp_path_factory.mktemp("life"))
    try:
        hospital.apply(changes=LONG_TRAINING)
        operator = hospital.start_operator()
        for site in ("north", "south"):
            hospital.upload_images(site)
            hospital.wait_for_states(**{site: "Learned"})
        operator.popen.terminate()
        assert operator.popen.wait(30) == 0
        end_state = hospital.end_state()
        assert (len(end_state.promoted), end_state.problems) == (2, ())
        yield ReferenceRun(hospital, end_state)
    finally:
        hospital.stop_operators()


@pytest.fixture
def expected_end_state(reference_run: ReferenceRun) -> EndState:
    return reference_run.end_state
