"""``manifests/base``: it renders, the API server takes it, its pods may run where the strictest rules hold."""

import copy
import json
import urllib.error
from typing import Any

import pytest
import yaml
from apiserver.operators import BASE
from builders.api_server import ApiServer
from typer.testing import CliRunner

from anamnesis.cli.app import app


@pytest.fixture(scope="module")
def rendered(cluster: ApiServer) -> list[dict[str, Any]]:
    """The objects of the base."""
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(BASE))))


@pytest.fixture
def deployment(rendered: list[dict[str, Any]]) -> dict[str, Any]:
    return next(copy.deepcopy(manifest) for manifest in rendered if manifest["kind"] == "Deployment")


def test_the_base_holds_all_that_is_needed(rendered: list[dict[str, Any]]) -> None:
    kinds = [manifest["kind"] for manifest in rendered]
    assert kinds.count("CustomResourceDefinition") == 4
    assert {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Role", "ServiceAccount"} <= set(kinds)


def test_the_api_server_takes_every_object(cluster: ApiServer, rendered: list[dict[str, Any]]) -> None:
    cluster.kubectl("create", "namespace", "anamnesis", check=False)
    output = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-k", str(BASE))
    assert len(output.split("serverside-applied")) - 1 == len(rendered)


def test_its_pods_run_where_pods_are_restricted_most(
    cluster: ApiServer, namespace: str, deployment: dict[str, Any]
) -> None:
    strict = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.kubectl("patch", "namespace", namespace, "-p", json.dumps(strict))
    account = {"metadata": {"name": "anamnesis-operator"}}
    cluster.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    pod = {"metadata": {"name": "operator"}, "spec": deployment["spec"]["template"]["spec"]}
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    assert cluster.request("POST", path, pod)["spec"]["containers"][0]["image"] == "anamnesis-operator:0.1.0"
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(urllib.error.HTTPError):
        cluster.request("POST", path, pod)


def test_its_command_line_is_one_that_the_operator_knows(deployment: dict[str, Any]) -> None:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert CliRunner().invoke(app, [*container["args"], "--help"]).exit_code == 0
    assert CliRunner().invoke(app, [*container["args"], "--unknown=1", "--help"]).exit_code == 2
    grace = next(int(argument.partition("=")[2]) for argument in container["args"] if argument.startswith("--grace"))
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > grace
    probes = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")}
    assert probes == {"/healthz", "/readyz"}
