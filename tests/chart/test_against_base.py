"""The chart and ``manifests/base``, for those who use kustomize, say the same where it counts."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart.conftest import Json, objects_of, one

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


def read(name: str) -> list[Json]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


def pod(objects: list[Json]) -> Json:
    spec: Json = one(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def chart() -> list[Json]:
    return objects_of({"people": {"enabled": False}})


def test_the_same_rights(chart: list[Json]) -> None:
    base = one(read("base/role.yaml"), "Role")["rules"]
    assert one(chart, "Role")["rules"] + one(chart, "Role", "anamnesis-operator-lease")["rules"] == base
    reader = one(read("base/admission-reader.yaml"), "ClusterRole", "anamnesis-operator-admission")
    assert one(chart, "ClusterRole", "anamnesis-operator-admission-anamnesis")["rules"] == reader["rules"]


def test_who_installs_may_grant_what_the_operator_needs_and_no_more() -> None:
    def rights(rules: list[Json]) -> set[tuple[str, str, str]]:
        return {
            (*where, verb)
            for rule in rules
            for where in product(rule["apiGroups"], rule["resources"])
            for verb in rule["verbs"]
        }

    operator = one(read("base/role.yaml"), "Role")["rules"]
    assert rights(one(read("people/roles.yaml"), "ClusterRole", "anamnesis-installer")["rules"]) == rights(operator)


def test_the_same_process(chart: list[Json]) -> None:
    ours, base = (pod(objects)["containers"][0] for objects in (chart, read("base/deployment.yaml")))
    added = {"--workers=4", "--resync=600", "--patience=600", "--pod-defaults=/etc/anamnesis/operator/pods.yaml"}
    there = {argument.replace("--namespace=anamnesis", "--namespace=$(POD_NAMESPACE)") for argument in ours["args"]}
    assert there == set(base["args"]) | added
    for field in ("env", "ports", "livenessProbe", "readinessProbe", "startupProbe", "resources", "securityContext"):
        assert ours[field] == base[field], field


def test_the_same_pod(chart: list[Json]) -> None:
    ours, base = pod(chart), pod(read("base/deployment.yaml"))
    fields = ("securityContext", "terminationGracePeriodSeconds", "automountServiceAccountToken", "serviceAccountName")
    assert [ours[field] for field in fields] == [base[field] for field in fields]
    assert len(base["volumes"]) + 1 == len(ours["volumes"]), "the chart has a volume for --pod-defaults"
    assert [each for each in ours["volumes"] if "configMap" not in each] == base["volumes"]
    assert without_selector(ours) == without_selector(base)


def without_selector(spec: Json) -> list[dict[str, Any]]:
    return [{**each, "labelSelector": None} for each in spec["topologySpreadConstraints"]]


def test_the_same_replicas_and_service(chart: list[Json]) -> None:
    assert (
        one(chart, "Deployment")["spec"]["replicas"]
        == one(read("base/deployment.yaml"), "Deployment")["spec"]["replicas"]
    )
    assert one(chart, "Service")["spec"]["ports"] == one(read("base/service.yaml"), "Service")["spec"]["ports"]
