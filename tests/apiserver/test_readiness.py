"""Tools that wait for our resources on a real API server: the rules of kstatus, ``kubectl wait``, field managers."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from apiserver.operators import create_operator_account, create_resource, model, site
from builders.api_server import ApiServer
from builders.kstatus import CURRENT, FAILED, IN_PROGRESS, kstatus_of_document
from builders.resource_documents import document
from builders.waiting_model import create_waiting_model, grant_role, read_resource

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.api.condition_types import READY
from anamnesis.operator.api.conditions import make_condition, merge_conditions
from anamnesis.operator.api.problems import Problem, Severity, judge
from anamnesis.operator.api.reasons import READABLE, REFUSED
from anamnesis.operator.runtime.api_access import load_access
from anamnesis.operator.runtime.kube_cluster import KubeCluster
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def kube(cluster: ApiServer, namespace: str) -> KubeCluster:
    kubeconfig: Path = create_operator_account(cluster, namespace)
    return KubeCluster(KubernetesApi(load_access({}, str(kubeconfig))), "test", lambda: NOW)


def wait_for_ready(cluster: ApiServer, namespace: str) -> bool:
    arguments = ("wait", "-n", namespace, "site/guangzhou", f"--for=condition={READY}", "--timeout=1s")
    return "condition met" in cluster.kubectl(*arguments, check=False)


def write_status(kube: KubeCluster, namespace: str, problem: Problem | None) -> None:
    """Writes what the operator writes after a poll."""
    resource = kube.get(Site, namespace, "guangzhou")
    assert resource is not None
    generation = resource.metadata.generation
    ready = make_condition(READY, problem is None, problem.reason if problem else READABLE, "why")
    problems = (problem,) if problem else ()
    health = judge(resource.status, generation, ready=ready, problems=problems, now=NOW)
    conditions = merge_conditions(resource.status.conditions, (ready, *health.conditions), generation, NOW)
    changes = {"observed_generation": generation, "conditions": conditions, "problem_time": health.problem_time}
    kube.put_status(resource, resource.status.model_copy(update=changes))


def test_tools_wait_for_a_site_from_its_first_second(cluster: ApiServer, kube: KubeCluster, namespace: str) -> None:
    def state() -> str:
        return kstatus_of_document(read_resource(cluster, namespace, "sites", "guangzhou"))

    create_resource(cluster, namespace, site("guangzhou"))
    assert (state(), wait_for_ready(cluster, namespace)) == (IN_PROGRESS, False)
    assert read_resource(cluster, namespace, "sites", "guangzhou")["status"] == {"observedGeneration": -1}
    write_status(kube, namespace, None)
    assert (state(), wait_for_ready(cluster, namespace)) == (CURRENT, True)
    cluster.kubectl("patch", "site/guangzhou", "-n", namespace, "--type=merge", "-p", '{"spec":{"testFraction":"0.3"}}')
    assert (state(), wait_for_ready(cluster, namespace)) == (IN_PROGRESS, False)
    write_status(kube, namespace, Problem(Severity.FAILURE, REFUSED, "wrong key"))
    assert (state(), wait_for_ready(cluster, namespace)) == (FAILED, False)
    write_status(kube, namespace, None)
    assert (state(), wait_for_ready(cluster, namespace)) == (CURRENT, True)


@pytest.mark.parametrize("kind", ["continualmodels", "updateapprovals"])
def test_every_kind_is_in_progress_before_the_operator_sees_it(cluster: ApiServer, namespace: str, kind: str) -> None:
    create_resource(cluster, namespace, model("chest", "guangzhou"))
    approval = {"model": "chest", "decision": "Withdraw", "approver": "admin", "reason": "test"}
    create_resource(cluster, namespace, document("UpdateApproval", "chest", approval))
    assert kstatus_of_document(read_resource(cluster, namespace, kind, "chest")) == IN_PROGRESS


def test_what_only_the_types_refuse_is_a_failure_of_its_generation(
    cluster: ApiServer, kube: KubeCluster, namespace: str
) -> None:
    create_resource(cluster, namespace, model("chest", "guangzhou"))
    patch = '{"spec":{"trigger":{"schedule":{"cron":"0 0 31 2 *"}}}}'
    cluster.kubectl("patch", "cmodel/chest", "-n", namespace, "--type=merge", "-p", patch)
    assert kube.report_invalid(ContinualModel, namespace, "chest", READY)
    assert kstatus_of_document(read_resource(cluster, namespace, "continualmodels", "chest")) == FAILED


def managers(cluster: ApiServer, namespace: str) -> dict[str, set[str]]:
    """Manager -> the fields of spec and annotations that it owns in the model."""
    arguments = ("get", "cmodel", "chest", "-n", namespace, "-o", "json", "--show-managed-fields")

    owned: dict[str, set[str]] = {}
    for entry in json.loads(cluster.kubectl(*arguments))["metadata"]["managedFields"]:
        fields: dict[str, Any] = entry["fieldsV1"]
        names = {*fields.get("f:spec", {}), *fields.get("f:metadata", {}).get("f:annotations", {})}
        owned.setdefault(entry["manager"], set()).update(names - {"."})
    return owned


def test_a_command_owns_only_what_it_wrote(cluster: ApiServer, namespace: str, run: Callable[..., Any]) -> None:
    create_waiting_model(cluster, namespace)
    grant_role(cluster, namespace, "weber", "anamnesis-editor")
    assert run("update", "-n", namespace, "chest", "--site", "guangzhou", user="weber").code == 0
    assert run("suspend", "-n", namespace, "chest", user="weber").code == 0
    assert managers(cluster, namespace)["anamnesis-cli"] == {"f:update.anamnesis.dev/guangzhou", "f:state"}


def test_the_health_checks_are_added_to_the_settings_of_argo_cd(cluster: ApiServer, namespace: str) -> None:
    cluster.kubectl("create", "configmap", "argocd-cm", "-n", namespace, "--from-literal=url=https://argocd")
    file = str(ROOT / "manifests" / "argocd" / "health.yaml")
    cluster.kubectl("patch", "configmap", "argocd-cm", "-n", namespace, "--patch-file", file)
    settings = cluster.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/argocd-cm")["data"]
    assert settings.pop("url") == "https://argocd"
    assert settings == yaml.safe_load(Path(file).read_text(encoding="utf-8"))["data"]
