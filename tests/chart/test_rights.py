"""The operator with the arguments and the rights of the chart; and the rights of people."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from apiserver.hospital_namespace import OperatorProcess
from apiserver.operators import free_port
from builders.api_server import ApiServer
from builders.bar_images import bar_images
from builders.gates import OPEN_GATE
from builders.waiting import eventually
from chart.conftest import Json, find_object, make_namespace, objects_of, remove_cluster_objects
from chart.test_install import helm

from anamnesis.operator.api import condition_types
from anamnesis.operator.api.load_files import KINDS
from charts.golden import CHART

GROUP = "/apis/anamnesis.dev/v1alpha1"
CLASSES = ("left", "right")


@dataclass
class WatchedRelease:
    """A release, with a model and a site in one of its watched namespaces."""

    cluster: ApiServer
    release_namespace: str
    watched_namespace: str
    folder: Path
    values: Json

    def apply(self) -> None:
        incoming = self.folder / "incoming"
        incoming.mkdir()
        (incoming / "images.npz").write_bytes(bar_images("north", 24, 0, CLASSES))
        for document in (self.secret(), self.site(str(incoming)), self.model()):
            self.cluster.kubectl(
                "apply", "--server-side", "-n", self.watched_namespace, "-f", "-", stdin=json.dumps(document)
            )

    def secret(self) -> Json:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "split"}, "stringData": {"key": "k" * 64}}

    def site(self, path: str) -> Json:
        task = {"name": "bars", "type": "Classification", "classes": CLASSES, "primaryMetric": "Accuracy"}
        source = {"type": "Folder", "folder": {"path": path}, "pollInterval": "1s"}
        store = f"file://{self.folder}/images"
        return resource_document(
            "Site", "north", {"source": source, "modalities": ["OT"], "task": task, "store": store}
        )

    def model(self) -> Json:
        spec = {
            "network": {"input": {"size": [16, 16]}, "options": {"width": 8}},
            "method": {"name": "Finetune"},
            "sites": [{"name": "north"}],
            "trigger": {"quietPeriod": "1s", "minimumNewPatients": 0},
            "changePlan": {"minimumPatients": 1},
            "gate": OPEN_GATE | {"minimumTestPatients": 30},
            "registry": {"url": f"file://{self.folder}/registry"},
            "splitKey": {"type": "Secret", "secret": {"name": "split", "key": "key"}},
        }
        return resource_document("ContinualModel", "chest", spec)

    def start_operator(self, identity: str = "one", leader_metrics_port: int = 0) -> OperatorProcess:
        """Starts a process with the Deployment's arguments; address, ports and folders are those of this machine."""
        objects = objects_of(self.values, self.release_namespace)
        (self.folder / "pods.yaml").write_text(find_object(objects, "ConfigMap")["data"]["pods.yaml"])
        (container,) = find_object(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        port = free_port()
        arguments = [
            argument.replace("$(POD_NAMESPACE)", self.release_namespace).replace("$(POD_NAME)", identity)
            for argument in container["args"]
        ]
        local_options = {
            "--address": "127.0.0.1",
            "--port": port,
            "--leader-metrics-port": leader_metrics_port or free_port(),
            "--pod-defaults": self.folder / "pods.yaml",
            "--grace": 1,
        }
        arguments = [argument for argument in arguments if argument.partition("=")[0] not in local_options]
        command = [sys.executable, "-m", "anamnesis.cli", *arguments, f"--state={self.folder}"]
        command += [f"{name}={value}" for name, value in local_options.items()]
        account = self.cluster.service_account(self.release_namespace, "anamnesis-operator")
        environment = {**os.environ, "KUBECONFIG": str(account)}
        return OperatorProcess(
            identity, command, environment=environment, port=port, log=self.folder / f"{identity}.log"
        )

    def helm_test(self, port: int) -> int:
        """Runs the command of the pod of ``helm test``; returns its exit code."""
        (container,) = find_object(objects_of(self.values, self.release_namespace), "Pod", "anamnesis-operator-test")[
            "spec"
        ]["containers"]
        address = container["args"][-1].replace(
            f"anamnesis-operator.{self.release_namespace}:8080", f"127.0.0.1:{port}"
        )
        assert "127.0.0.1" in address
        command = [sys.executable, *container["command"][1:], *container["args"][:-1], address]
        return subprocess.run(command, capture_output=True).returncode

    def get(self, plural: str, name: str = "") -> Json:
        path = f"{GROUP}/namespaces/{self.watched_namespace}/{plural}{'/' if name else ''}{name}"
        resource: Json = self.cluster.request("GET", path)
        return resource

    def condition(self, plural: str, name: str, kind: str) -> str:
        conditions = self.get(plural, name).get("status", {}).get("conditions", ())
        return next(
            (f"{condition['status']} {condition['reason']}" for condition in conditions if condition["type"] == kind),
            "",
        )

    def updates(self) -> list[Json]:
        updates: list[Json] = self.get("modelupdates")["items"]
        return updates

    def is_allowed(self, user: str, verb: str, resource: str, namespace: str = "") -> bool:
        """Asks the API server as ``kubectl auth can-i`` does; ``resource`` is like ``sites.anamnesis.dev``."""
        plural, _, group = resource.partition(".")
        groups = ["system:serviceaccounts", "system:authenticated"]
        attributes = {
            "verb": verb,
            "resource": plural,
            "group": group,
            "namespace": namespace or self.watched_namespace,
        }
        review = {"spec": {"user": user, "groups": groups, "resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.cluster.request("POST", path, review)["status"]["allowed"])


def resource_document(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": "anamnesis.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def cluster_with_crds(empty_cluster: ApiServer) -> ApiServer:
    """The API server with our definitions installed and served."""
    files = [f"--filename={file}" for file in sorted((CHART / "files" / "crds").glob("*.yaml"))]
    empty_cluster.kubectl("apply", "--server-side", "--force-conflicts", *files)
    eventually(lambda: all(is_served(empty_cluster, f"{kind.lower()}s") for kind in KINDS))
    return empty_cluster


def is_served(cluster: ApiServer, plural: str) -> bool:
    try:
        return bool(cluster.request("GET", f"{GROUP}/{plural}"))
    except urllib.error.HTTPError:  # 404, then 429 while its storage begins
        return False


@pytest.fixture
def watched_release(
    request: pytest.FixtureRequest, cluster_with_crds: ApiServer, tmp_path: Path
) -> Iterator[WatchedRelease]:
    """A release that watches its own namespace, another one, or all; uninstalled afterwards."""
    remove_cluster_objects(cluster_with_crds, ("clusterrole",))
    release_namespace = make_namespace(cluster_with_crds)
    watched_namespace = release_namespace if request.param == "own" else make_namespace(cluster_with_crds)
    watched = {"own": [], "another": [watched_namespace], "all": ["*"]}[request.param]
    values: Json = {"crds": {"enabled": False}, "watchNamespaces": watched}
    with helm(cluster_with_crds, release_namespace) as client:
        client.install(CHART, "anamnesis", values)
        try:
            yield WatchedRelease(
                cluster_with_crds,
                release_namespace,
                watched_namespace=watched_namespace,
                folder=tmp_path,
                values=values,
            )
        finally:
            client.uninstall("anamnesis")
            remove_cluster_objects(cluster_with_crds, ("clusterrole",))


@pytest.mark.parametrize("watched_release", ["own", "another", "all"], indirect=True)
def test_the_operator_works_with_what_the_chart_grants(watched_release: WatchedRelease) -> None:
    watched_release.apply()
    process = watched_release.start_operator()
    try:
        eventually(lambda: watched_release.condition("sites", "north", condition_types.READY) == "True Readable", 60)
        eventually(
            lambda: watched_release.condition("continualmodels", "chest", condition_types.READY) == "False NoChampion",
            60,
        )
        eventually(lambda: any(update.get("status", {}).get("run") for update in watched_release.updates()), 60)
        events = f"/apis/events.k8s.io/v1/namespaces/{watched_release.watched_namespace}/events"
        eventually(lambda: bool(watched_release.cluster.request("GET", events)["items"]))
        assert process.is_leader()
        eventually(lambda: watched_release.helm_test(process.port) == 0)
    finally:
        process.kill()
    assert watched_release.helm_test(process.port) == 1
    log = process.log.read_text()
    assert "refuses with 403" not in log, log
    assert "orbidden" not in log, log


def page(port: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("watched_release", ["own"], indirect=True)
def test_the_service_answers_with_the_leaders_metrics_at_every_replica(watched_release: WatchedRelease) -> None:
    series = 'anamnesis_site_files{namespace="'
    watched_release.apply()
    ports = [free_port(), free_port()]
    leader = watched_release.start_operator("one", ports[0])
    processes = [leader]
    try:
        eventually(lambda: leader.is_leader() and series in leader.get("/metrics"), 60)
        processes.append(standby := watched_release.start_operator("two", ports[1]))
        eventually(lambda: standby.get("/readyz") == "ok\n", 60)
        own = standby.get("/metrics")
        assert "anamnesis_operator_leader 0.0" in own
        assert series not in own, "Prometheus by pods finds each series once"
        for port in ports:
            eventually(lambda port=port: page(port)[0] == 200, 10)  # type: ignore[misc]
            status, text = page(port)
            assert (status, series in text, "anamnesis_operator_leader 1.0" in text) == (200, True, True)
        leader.kill()
        assert page(ports[1])[0] == 503
        assert "does not answer with its metrics" in page(ports[1])[1]
        eventually(lambda: page(ports[1])[0] == 200 and series in page(ports[1])[1], 60)
        assert standby.is_leader()
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize("watched_release", ["own", "another", "all"], indirect=True)
def test_the_operator_may_do_nothing_else(watched_release: WatchedRelease) -> None:
    account = f"system:serviceaccount:{watched_release.release_namespace}:anamnesis-operator"
    other_namespace = make_namespace(watched_release.cluster)
    everywhere = watched_release.values["watchNamespaces"] == ["*"]
    assert watched_release.is_allowed(account, "get", "secrets")
    assert watched_release.is_allowed(account, "get", "secrets", other_namespace) == everywhere
    assert watched_release.is_allowed(account, "list", "sites.anamnesis.dev", other_namespace) == everywhere
    refused = [
        ("list", "secrets"),
        ("create", "updateapprovals.anamnesis.dev"),
        ("delete", "continualmodels.anamnesis.dev"),
        ("update", "sites.anamnesis.dev"),
        ("create", "pods"),
        ("get", "configmaps"),
        ("list", "namespaces"),
        ("list", "customresourcedefinitions.apiextensions.k8s.io"),
        ("update", "validatingadmissionpolicies.admissionregistration.k8s.io"),
    ]
    assert [refused_right for refused_right in refused if watched_release.is_allowed(account, *refused_right)] == []


PEOPLE = {"moretti": "viewer", "weber": "editor", "rossi": "approver"}


@pytest.mark.parametrize("watched_release", ["own"], indirect=True)
def test_people_see_change_and_approve_each_by_a_role(watched_release: WatchedRelease) -> None:
    for person, role in PEOPLE.items():
        binding = ["rolebinding", role, f"--clusterrole=anamnesis-{role}", f"--user={person}"]
        watched_release.cluster.kubectl("create", "-n", watched_release.watched_namespace, *binding)

    def allowed_people(verb: str, plural: str) -> list[str]:
        return [person for person in PEOPLE if watched_release.is_allowed(person, verb, f"{plural}.anamnesis.dev")]

    assert allowed_people("list", "continualmodels") == ["moretti", "weber", "rossi"]
    assert allowed_people("update", "continualmodels") == allowed_people("create", "sites") == ["weber"]
    assert allowed_people("create", "updateapprovals") == ["rossi"]
    assert (
        allowed_people("update", "updateapprovals")
        == allowed_people("delete", "updateapprovals")
        == allowed_people("create", "modelupdates")
        == []
    )
