"""The chart and ``manifests/base``, for users of kustomize, agree in everything that matters."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart.conftest import Json, find_object, objects_of

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


def read_manifests(name: str) -> list[Json]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


def pod_spec(objects: list[Json]) -> Json:
    spec: Json = find_object(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def chart() -> list[Json]:
    return objects_of({"people": {"enabled": False}})


def test_the_same_rights(chart: list[Json]) -> None:
    base = find_object(read_manifests("base/role.yaml"), "Role")["rules"]
    assert find_object(chart, "Role")["rules"] + find_object(chart, "Role", "anamnesis-operator-lease")["rules"] == base
    reader = find_object(read_manifests("base/admission-reader.yaml"), "ClusterRole", "anamnesis-operator-admission")
    assert find_object(chart, "ClusterRole", "anamnesis-operator-admission-anamnesis")["rules"] == reader["rules"]


def test_who_installs_may_grant_what_the_operator_needs_and_no_more() -> None:
    def rights(rules: list[Json]) -> set[tuple[str, str, str]]:
        return {
            (*group_and_resource, verb)
            for rule in rules
            for group_and_resource in product(rule["apiGroups"], rule["resources"])
            for verb in rule["verbs"]
        }

    operator = find_object(read_manifests("base/role.yaml"), "Role")["rules"]
    assert rights(
        find_object(read_manifests("people/roles.yaml"), "ClusterRole", "anamnesis-installer")["rules"]
    ) == rights(operator)


def test_the_same_process(chart: list[Json]) -> None:
    ours, base = (pod_spec(objects)["containers"][0] for objects in (chart, read_manifests("base/deployment.yaml")))
    added = {"--workers=4", "--resync=600", "--patience=600", "--pod-defaults=/etc/anamnesis/operator/pods.yaml"}
    arguments = {argument.replace("--namespace=anamnesis", "--namespace=$(POD_NAMESPACE)") for argument in ours["args"]}
    assert arguments == set(base["args"]) | added
    for field in ("env", "ports", "livenessProbe", "readinessProbe", "startupProbe", "resources", "securityContext"):
        assert ours[field] == base[field], field


def test_the_same_pod(chart: list[Json]) -> None:
    ours, base = pod_spec(chart), pod_spec(read_manifests("base/deployment.yaml"))
    fields = ("securityContext", "terminationGracePeriodSeconds", "automountServiceAccountToken", "serviceAccountName")
    assert [ours[field] for field in fields] == [base[field] for field in fields]
    assert len(base["volumes"]) + 1 == len(ours["volumes"]), "the chart has a volume for --pod-defaults"
    assert [volume for volume in ours["volumes"] if "configMap" not in volume] == base["volumes"]
    assert without_selector(ours) == without_selector(base)


def without_selector(spec: Json) -> list[dict[str, Any]]:
    return [{**constraint, "labelSelector": None} for constraint in spec["topologySpreadConstraints"]]


def test_the_same_replicas_and_service(chart: list[Json]) -> None:
    assert (
        find_object(chart, "Deployment")["spec"]["replicas"]
        == find_object(read_manifests("base/deployment.yaml"), "Deployment")["spec"]["replicas"]
    )
    assert (
        find_object(chart, "Service")["spec"]["ports"]
        == find_object(read_manifests("base/service.yaml"), "Service")["spec"]["ports"]
    )
