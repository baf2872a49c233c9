import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from builders.api_server import ApiServer
from builders.waiting_model import MODEL, UPDATE_SPEC, create_resource, create_waiting_model, grant_role, read_resource

Run = Callable[..., Any]
ANNOTATION = "update.anamnesis.dev/guangzhou"


@pytest.fixture
def filled_namespace(cluster: ApiServer, namespace: str) -> str:
    """A namespace whose models weber may change."""
    create_waiting_model(cluster, namespace)
    grant_role(cluster, namespace, "weber", "anamnesis-editor")
    return namespace


def annotations(server: ApiServer, namespace: str) -> Any:
    return read_resource(server, namespace, "continualmodels", "chest")["metadata"].get("annotations", {})


def test_an_update_is_asked_for_by_a_higher_number(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    first = run("update", "-n", filled_namespace, "chest", "--site", "guangzhou", user="weber")
    assert (first.code, "requested update 1 of guangzhou" in first.out) == (0, True), first.err
    run("update", "-n", filled_namespace, "chest", "--site", "guangzhou", user="weber")
    assert annotations(cluster, filled_namespace) == {ANNOTATION: "2"}


def test_the_number_never_falls_also_when_the_annotation_is_gone(
    cluster: ApiServer, filled_namespace: str, run: Run
) -> None:
    create_resource(
        cluster, filled_namespace, "ModelUpdate", "chest-7", spec={**UPDATE_SPEC, "site": "guangzhou", "counter": 7}
    )
    result = run("update", "-n", filled_namespace, "chest", "--site", "guangzhou", user="weber")
    assert "requested update 8 of guangzhou" in result.out


def test_of_people_who_ask_at_once_each_is_counted(cluster: ApiServer, filled_namespace: str) -> None:
    from anamnesis.cli.cluster.connection import Connection
    from anamnesis.cli.cluster.update_requests import request_update

    def request_once(_: int) -> int:
        from kubernetes import client, config

        settings = client.Configuration()
        config.load_kube_config(str(file), None, settings)
        return request_update(Connection(client.ApiClient(settings), filled_namespace), "chest", "guangzhou").counter

    file = cluster.kubeconfig("weber")
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(request_once, range(3))) == [1, 2, 3]
    assert annotations(cluster, filled_namespace) == {ANNOTATION: "3"}


def test_a_site_of_the_model_must_be_named(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    for site, message in (("", "--site: missing; give one of"), ("elsewhere", "--site: expected one of")):
        result = run("update", "-n", filled_namespace, "chest", "--site", site, user="weber")
        assert (result.code, f"{message} guangzhou, bethesda" in result.err) == (2, True)
    cluster.kubectl("annotate", "cmodel", "chest", "-n", filled_namespace, f"{ANNOTATION}=often")
    odd = run("update", "-n", filled_namespace, "chest", "--site", "guangzhou", user="weber")
    assert (odd.code, f"annotation {ANNOTATION}: expected a whole number, found 'often'" in odd.err) == (2, True)


def test_where_there_is_one_model_its_name_may_be_left_out(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    assert "chest: requested" in run("update", "-n", filled_namespace, "--site", "guangzhou", user="weber").out
    create_resource(cluster, filled_namespace, "ContinualModel", "abdomen", spec=MODEL)
    result = run("update", "-n", filled_namespace, "--site", "guangzhou", user="weber")
    assert (result.code, f"namespace {filled_namespace} has several models: abdomen, chest" in result.err) == (2, True)


def test_a_model_rests_and_goes_on(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    assert run("suspend", "-n", filled_namespace, "chest", user="weber").out == "chest is suspended\n"
    assert read_resource(cluster, filled_namespace, "continualmodels", "chest")["spec"]["state"] == "Suspended"
    assert run("resume", "-n", filled_namespace, "chest", user="weber").code == 0
    assert read_resource(cluster, filled_namespace, "continualmodels", "chest")["spec"]["state"] == "Active"
    refused = run("suspend", "-n", filled_namespace, "chest", user="viewer")
    assert (refused.code, "viewer may not patch continualmodels" in refused.err) == (3, True)


def test_kubectl_finds_the_plugin(cluster: ApiServer, filled_namespace: str) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "KUBECONFIG": str(cluster.kubeconfig("weber")),
    }
    kubectl = str(cluster.binaries / "kubectl")

    def run(*arguments: str) -> str:
        return subprocess.run([kubectl, *arguments], env=environment, capture_output=True, text=True, check=True).stdout

    assert "kubectl-anamnesis" in run("plugin", "list")
    assert "chest: champion aa11aa11aa11" in run("anamnesis", "status", "-n", filled_namespace)
    usage = run("anamnesis", "--help")
    assert "Usage: kubectl anamnesis" in usage
    commands = {
        line.split()[0] for line in usage.split("Commands:")[1].split("Examples:")[0].splitlines() if line.strip()
    }
    expected_commands = {"status", "approve", "reject", "rollback", "update", "suspend", "resume", "support-bundle"}
    assert expected_commands <= commands
    assert not {"run", "demo", "registry"} & commands
