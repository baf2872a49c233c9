"""What a person sees of a field that the API server accepts and that means nothing: at once, without a log."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apiserver.operators import create_operator_account, create_resource, model, site
from builders.api_server import ApiServer
from builders.waiting import eventually
from builders.waiting_model import REPORT, UPDATE, create_waiting_model
from fakes.memory_store import MemoryStore

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.continualmodel.reports import report_config_map
from anamnesis.operator.controllers.dispatch import ReconcileOptions, create_reconciler
from anamnesis.operator.runtime.api_access import load_access
from anamnesis.operator.runtime.kube_cluster import KubeCluster
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi
from anamnesis.operator.runtime.reconcile_key import Reconcile, ReconcileKey
from anamnesis.records import UnreachableError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def kube(cluster: ApiServer, namespace: str) -> KubeCluster:
    kubeconfig = create_operator_account(cluster, namespace)
    return KubeCluster(KubernetesApi(load_access({}, str(kubeconfig))), "test", lambda: NOON)


@pytest.fixture
def reconcile(kube: KubeCluster) -> Reconcile:
    stores: dict[str, MemoryStore] = {}

    def no_backend(loaded_model: object) -> Any:
        raise UnreachableError("there is no back end")

    options = ReconcileOptions(
        {}, Path("/nowhere"), no_backend, lambda url, environment: stores.setdefault(url, MemoryStore(url))
    )
    reconcile_once = create_reconciler(kube, lambda: NOON, options)

    def reconcile(key: ReconcileKey) -> timedelta | None:
        for kind in (ContinualModel, Site, ModelUpdate, UpdateApproval):
            eventually(lambda: _is_served(kube, kind, key.namespace))  # noqa: B023  (a fresh server is not ready)
        return reconcile_once(key)

    return reconcile


def _is_served(kube: KubeCluster, kind: type[Resource], namespace: str) -> bool:
    try:
        kube.list(kind, namespace)
    except UnreachableError:
        return False
    return True


def problem_column(cluster: ApiServer, namespace: str, plural: str) -> str:
    head, row = cluster.kubectl("-n", namespace, "get", plural).splitlines()
    return row[head.index("PROBLEM") :].strip()


def events(cluster: ApiServer, namespace: str) -> list[tuple[str, str, str]]:
    items = cluster.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    return [(event["type"], event["reason"], event["note"]) for event in items]


def condition(cluster: ApiServer, namespace: str, plural: str, name: str, kind: str) -> tuple[str, str]:
    path = f"/apis/anamnesis.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}"
    conditions = cluster.request("GET", path)["status"]["conditions"]
    return next((each["status"], each["reason"]) for each in conditions if each["type"] == kind)


def test_limits_of_a_task_that_no_site_has(cluster: ApiServer, namespace: str, reconcile: Reconcile) -> None:
    create_resource(cluster, namespace, site("guangzhou"))
    document = model("chest", "guangzhou")
    document["spec"]["gate"]["tasks"] = [{"name": "pnuemonia", "floor": "0.9"}]
    create_resource(cluster, namespace, document)
    reconcile(ReconcileKey("ContinualModel", namespace, "chest"))
    problem = problem_column(cluster, namespace, "cmodel")
    assert problem.startswith("spec.gate.tasks[0].name: no Site of the model has a task 'pnuemonia'")
    assert condition(cluster, namespace, "continualmodels", "chest", "Stalled") == ("True", "InvalidSpec")
    assert ("Warning", "InvalidSpec", problem) in events(cluster, namespace)


def test_a_schedule_that_never_fires(cluster: ApiServer, namespace: str, reconcile: Reconcile) -> None:
    document = model("chest", "guangzhou")
    document["spec"]["trigger"] = {"schedule": {"cron": "0 0 31 2 *"}}  # the API server cannot know the calendar
    create_resource(cluster, namespace, document)
    for _ in range(2):
        reconcile(ReconcileKey("ContinualModel", namespace, "chest"))
    problem = problem_column(cluster, namespace, "cmodel")
    assert problem.startswith("spec.trigger.schedule: cron: '0 0 31 2 *': bad day-of-month; correct that field")
    assert condition(cluster, namespace, "continualmodels", "chest", "Stalled") == ("True", "InvalidSpec")
    assert [event for event in events(cluster, namespace) if event[1] == "InvalidSpec"] == [
        ("Warning", "InvalidSpec", problem)
    ]


def test_a_store_inside_the_source_of_its_site(cluster: ApiServer, namespace: str, reconcile: Reconcile) -> None:
    document = site("guangzhou")
    document["spec"]["source"] = {"type": "S3", "s3": {"url": "s3://incoming/guangzhou"}}
    document["spec"]["store"] = "s3://incoming/guangzhou/store"
    create_resource(cluster, namespace, document)
    reconcile(ReconcileKey("Site", namespace, "guangzhou"))
    assert "overlaps spec.source" in problem_column(cluster, namespace, "sites")
    assert condition(cluster, namespace, "sites", "guangzhou", "Stalled") == ("True", "Invalid")
    assert [event[1] for event in events(cluster, namespace)] == ["Invalid"]


def test_the_operator_may_write_a_report_once_and_nobody_may_change_it(
    cluster: ApiServer, namespace: str, kube: KubeCluster
) -> None:
    create_waiting_model(cluster, namespace)
    update = kube.get(ModelUpdate, namespace, UPDATE)
    assert update
    config_map = report_config_map(update, CandidateReport.model_validate(REPORT))
    for _ in range(2):
        kube.create_config_map(config_map, owner=update)
    stored = cluster.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{config_map.name}")
    assert stored["immutable"] is True
    assert stored["metadata"]["labels"]["anamnesis.dev/report"] == "candidate"
    assert [owner["uid"] for owner in stored["metadata"]["ownerReferences"]] == [update.metadata.uid]
