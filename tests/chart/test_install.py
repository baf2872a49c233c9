"""Helm with a real API server: the installed objects, and those that stay after an uninstall. No pod runs here."""

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from builders.api_server import ApiServer
from chart.conftest import Json, make_namespace, objects_of, remove_cluster_objects

from charts.golden import CHART, profiles

FOREIGN = {"ServiceMonitor", "PrometheusRule"}
SITE = {
    "apiVersion": "anamnesis.dev/v1alpha1",
    "kind": "Site",
    "metadata": {"name": "north"},
    "spec": {
        "source": {"type": "Folder", "folder": {"path": "/data"}},
        "modalities": ["DX"],
        "store": "file:///data/images",
        "task": {"name": "t", "type": "Classification", "classes": ["a", "b"], "primaryMetric": "AUROC"},
    },
}


def helm(cluster: ApiServer, namespace: str) -> helm_python.Config:
    return helm_python.Config(kubeconfig_path=cluster.kubeconfig(), namespace=namespace)


def paths(cluster: ApiServer) -> Iterator[str]:
    """Our installed definitions and policies."""
    for kind in ("crd", "validatingadmissionpolicies", "validatingadmissionpolicybindings", "clusterroles"):
        names = cluster.kubectl("get", kind, "--output=name").split()
        yield from sorted(name for name in names if "anamnesis" in name)


@pytest.mark.parametrize("name", profiles())
def test_the_api_server_takes_every_object_of_a_profile(
    empty_cluster: ApiServer, release_namespace: str, name: str
) -> None:
    values = profiles()[name]
    for namespace in values.get("watchNamespaces", ()):
        empty_cluster.kubectl("create", "namespace", namespace, check=False)
    objects = [item for item in objects_of(values, release_namespace) if item["kind"] not in FOREIGN]
    output = empty_cluster.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(objects)
    )
    assert output.count("serverside-applied") == len(objects)
    assert "Warning" not in output, "for example of a pod that would not be let in"


def pod_specs(values: Json, namespace: str) -> list[Json]:
    objects = objects_of(values, namespace)
    specs = [item["spec"]["template"]["spec"] for item in objects if item["kind"] == "Deployment"]
    return specs + [item["spec"] for item in objects if item["kind"] == "Pod"]


@pytest.mark.parametrize("name", profiles())
def test_pods_run_where_they_are_restricted_most(empty_cluster: ApiServer, release_namespace: str, name: str) -> None:
    specs = pod_specs(profiles()[name], release_namespace)
    assert len(specs) >= 2
    require_resources(empty_cluster, release_namespace)
    for account in {spec.get("serviceAccountName", "default") for spec in specs} - {"default"}:
        path = f"/api/v1/namespaces/{release_namespace}/serviceaccounts"
        empty_cluster.request("POST", path, {"metadata": {"name": account}})
    for spec in specs:
        containers = [*spec["containers"], *spec.get("initContainers", ())]
        assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in containers)
        pod = {"metadata": {"generateName": "p-"}, "spec": {**spec, "restartPolicy": "Always"}}
        empty_cluster.request("POST", f"/api/v1/namespaces/{release_namespace}/pods?dryRun=All", pod)
    del pod["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    with pytest.raises(urllib.error.HTTPError) as error:
        empty_cluster.request("POST", f"/api/v1/namespaces/{release_namespace}/pods?dryRun=All", pod)
    assert "must specify limits.cpu" in error.value.read().decode(), "the quota is in force"


def require_resources(cluster: ApiServer, namespace: str) -> None:
    """Creates a quota: every pod must then have requests and limits of CPU and memory."""
    hard = {"requests.cpu": "4", "requests.memory": "8Gi", "limits.cpu": "20", "limits.memory": "8Gi"}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    quota = cluster.request("POST", path, {"metadata": {"name": "hospital"}, "spec": {"hard": hard}})
    quota["status"] = {"hard": hard, "used": dict.fromkeys(hard, "0")}  # a controller would count
    cluster.request("PUT", f"{path}/hospital/status", quota)


def test_the_life_of_a_release(empty_cluster: ApiServer, release_namespace: str, tmp_path: Path) -> None:
    def replicas() -> int:
        deployment = empty_cluster.request(
            "GET", f"/apis/apps/v1/namespaces/{release_namespace}/deployments/anamnesis-operator"
        )
        return int(deployment["spec"]["replicas"])

    remove_cluster_objects(empty_cluster)
    with helm(empty_cluster, release_namespace) as client:
        release = client.install(CHART, "anamnesis", {"state": {"enabled": True, "accessMode": "ReadWriteMany"}})
        assert (release["revision"], release["status"]) == (1, "deployed")
        assert "kubectl anamnesis status" in release["notes"]
        empty_cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        empty_cluster.kubectl("apply", "-n", release_namespace, "-f", "-", stdin=json.dumps(SITE))
        everything = list(paths(empty_cluster))
        guarded = policy_state(empty_cluster)

        definitions = ("--server-side", "--kustomize", str(CHART.parents[1] / "manifests" / "crds"))
        empty_cluster.kubectl("apply", *definitions)  # equal definitions conflict with nobody, now and in the upgrade
        values: Json = {"operator": {"replicas": 3}, "state": {"enabled": True, "accessMode": "ReadWriteMany"}}
        assert client.upgrade(newer_chart(tmp_path), "anamnesis", values)["revision"] == 2
        assert replicas() == 3
        assert policy_state(empty_cluster) == guarded, "approvals that wait would not count any more"
        client.rollback("anamnesis", version=1)
        assert replicas() == 2
        assert list(paths(empty_cluster)) == everything

        client.uninstall("anamnesis")
    assert list(paths(empty_cluster)) == [name for name in everything if "operator" not in name], (
        "people keep their roles"
    )
    sites = f"/apis/anamnesis.dev/v1alpha1/namespaces/{release_namespace}/sites/north"
    assert "deletionTimestamp" not in empty_cluster.request("GET", sites)["metadata"]
    remaining_names = empty_cluster.kubectl(
        "get", "deployment,service,role,rolebinding,sa,configmap,pdb", "-n", release_namespace, "-o", "name"
    )
    assert "anamnesis" not in remaining_names
    assert "anamnesis-operator" in empty_cluster.kubectl("get", "pvc", "-n", release_namespace, "-o", "name")

    with helm(empty_cluster, release_namespace) as client:
        assert client.install(CHART, "anamnesis", {"state": {"existingClaim": "anamnesis-operator", "enabled": True}})
        namespaced: Json = {"crds": {"enabled": False}, "people": {"enabled": False}}
        renamed = {**namespaced, "fullnameOverride": "cardiology"}
        for values, kind in ((namespaced, "PodDisruptionBudget|ServiceAccount"), (renamed, "Role")):
            with pytest.raises(
                helm_python.HelmError, match=rf'{kind} "anamnesis-operator".*invalid ownership metadata'
            ):
                client.install(CHART, "cardiology", values)
        client.install(CHART, "cardiology", {**renamed, "watchNamespaces": [make_namespace(empty_cluster)]})
        client.uninstall("cardiology")
        with helm(empty_cluster, second_namespace := make_namespace(empty_cluster)) as second:
            with pytest.raises(helm_python.HelmError, match="invalid ownership metadata"):
                second.install(CHART, "second", {})
            second.install(CHART, "second-2", namespaced)
            second.uninstall("second-2")
        client.uninstall("anamnesis")
    assert second_namespace != release_namespace


def newer_chart(folder: Path) -> Path:
    """The same chart with another version number."""
    with helm_python.Chart.load(CHART) as chart:
        copy = Path(chart.save_dir(folder))
    text = (copy / "Chart.yaml").read_text().replace("0.1.0", "0.2.0")
    (copy / "Chart.yaml").write_text(text)
    return copy


def policy_state(cluster: ApiServer) -> list[Any]:
    """The objects from which the operator reads since when authors are verified."""
    head = "/apis/admissionregistration.k8s.io/v1"
    kinds = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    objects = [cluster.request("GET", f"{head}/{kind}/anamnesis-approvals") for kind in kinds]
    return [(item["metadata"]["generation"], item["metadata"]["creationTimestamp"], item["spec"]) for item in objects]
