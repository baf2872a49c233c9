"""The operator, started as the chart starts it, with exactly the rights that the chart grants; and people's rights."""

import json
import os
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from apiserver.hospital import Process
from apiserver.operators import free_port
from chart.conftest import Json, make_namespace, objects_of, one
from chart.test_install import helm
from toys.apiserver import ApiServer
from toys.bars import bars
from toys.waiting import eventually

from anamnesis.operator.api.load_files import KINDS
from charts.golden import CHART

GROUP = "/apis/anamnesis.dev/v1alpha1"
CLASSES = ("left", "right")


@dataclass
class Ward:
    """A release, and a model and a site in one of the namespaces that it watches."""

    cluster: ApiServer
    home: str
    space: str
    folder: Path
    values: Json

    def apply(self) -> None:
        incoming = self.folder / "incoming"
        incoming.mkdir()
        (incoming / "images.npz").write_bytes(bars("north", 24, 0, CLASSES))
        for document in (self.secret(), self.site(str(incoming)), self.model()):
            self.cluster.kubectl("apply", "--server-side", "-n", self.space, "-f", "-", stdin=json.dumps(document))

    def secret(self) -> Json:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "split"}, "stringData": {"key": "k" * 64}}

    def site(self, path: str) -> Json:
        task = {"name": "bars", "type": "Classification", "classes": CLASSES, "primaryMetric": "Accuracy"}
        source = {"type": "Folder", "folder": {"path": path}, "pollInterval": "1s"}
        store = f"file://{self.folder}/images"
        return resource("Site", "north", {"source": source, "modalities": ["OT"], "task": task, "store": store})

    def model(self) -> Json:
        spec = {
            "network": {"input": {"size": [16, 16]}, "width": 8},
            "method": {"name": "Finetune"},
            "sites": [{"name": "north"}],
            "trigger": {"quietPeriod": "1s"},
            "gate": {"floor": "0.1", "margin": "1", "approval": "Automatic"},
            "registry": {"url": f"file://{self.folder}/registry"},
            "splitKey": {"type": "Secret", "secret": {"name": "split", "key": "key"}},
        }
        return resource("ContinualModel", "chest", spec)

    def operator(self) -> Process:
        """Starts it with the arguments that the Deployment gives; only port and folders are those of this machine."""
        found = objects_of(self.values, self.home)
        (self.folder / "pods.yaml").write_text(one(found, "ConfigMap")["data"]["pods.yaml"])
        (container,) = one(found, "Deployment")["spec"]["template"]["spec"]["containers"]
        port = free_port()
        arguments = [
            each.replace("$(POD_NAMESPACE)", self.home).replace("$(POD_NAME)", "one") for each in container["args"]
        ]
        here = {"--port": port, "--pod-defaults": self.folder / "pods.yaml", "--grace": 1}
        arguments = [each for each in arguments if each.partition("=")[0] not in here]
        command = [sys.executable, "-m", "anamnesis.cli", *arguments, f"--state={self.folder}"]
        command += [f"{name}={value}" for name, value in here.items()]
        account = self.cluster.service_account(self.home, "anamnesis-operator")
        environment = {**os.environ, "KUBECONFIG": str(account)}
        return Process("one", command, environment, port, self.folder / "operator.log")

    def helm_test(self, port: int) -> int:
        """Runs what the pod of ``helm test`` runs; returns its exit code."""
        (container,) = one(objects_of(self.values, self.home), "Pod", "anamnesis-operator-test")["spec"]["containers"]
        address = container["args"][-1].replace(f"anamnesis-operator.{self.home}:8080", f"127.0.0.1:{port}")
        assert "127.0.0.1" in address
        command = [sys.executable, *container["command"][1:], *container["args"][:-1], address]
        return subprocess.run(command, capture_output=True).returncode

    def get(self, plural: str, name: str = "") -> Json:
        path = f"{GROUP}/namespaces/{self.space}/{plural}{'/' if name else ''}{name}"
        found: Json = self.cluster.request("GET", path)
        return found

    def condition(self, plural: str, name: str, kind: str) -> str:
        found = self.get(plural, name).get("status", {}).get("conditions", ())
        return next((f"{one['status']} {one['reason']}" for one in found if one["type"] == kind), "")

    def updates(self) -> list[Json]:
        found: list[Json] = self.get("modelupdates")["items"]
        return found

    def can(self, user: str, verb: str, resource: str, namespace: str = "") -> bool:
        """Asks the API server as ``kubectl auth can-i`` does; ``resource`` is like ``sites.anamnesis.dev``."""
        plural, _, group = resource.partition(".")
        groups = ["system:serviceaccounts", "system:authenticated"]
        what = {"verb": verb, "resource": plural, "group": group, "namespace": namespace or self.space}
        review = {"spec": {"user": user, "groups": groups, "resourceAttributes": what}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.cluster.request("POST", path, review)["status"]["allowed"])


def resource(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": "anamnesis.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def defined(empty_cluster: ApiServer) -> ApiServer:
    """The server with our definitions, which it serves already."""
    files = [f"--filename={file}" for file in sorted((CHART / "files" / "crds").glob("*.yaml"))]
    empty_cluster.kubectl("apply", "--server-side", "--force-conflicts", *files)
    eventually(lambda: all(served(empty_cluster, f"{kind.lower()}s") for kind in KINDS))
    return empty_cluster


def served(cluster: ApiServer, plural: str) -> bool:
    try:
        return bool(cluster.request("GET", f"{GROUP}/{plural}"))
    except urllib.error.HTTPError:  # 404, then 429 while its storage begins
        return False


@pytest.fixture
def ward(request: pytest.FixtureRequest, defined: ApiServer, tmp_path: Path) -> Iterator[Ward]:
    """A release that watches its own namespace, another one, or all; uninstalled afterwards."""
    home = make_namespace(defined)
    space = home if request.param == "own" else make_namespace(defined)
    watched = {"own": [], "another": [space], "all": ["*"]}[request.param]
    values: Json = {"crds": {"enabled": False}, "watchNamespaces": watched}
    with helm(defined, home) as client:
        client.install(CHART, "anamnesis", values)
        try:
            yield Ward(defined, home, space, tmp_path, values)
        finally:
            client.uninstall("anamnesis")


@pytest.mark.parametrize("ward", ["own", "another", "all"], indirect=True)
def test_the_operator_works_with_what_the_chart_grants(ward: Ward) -> None:
    ward.apply()
    process = ward.operator()
    try:
        eventually(lambda: ward.condition("sites", "north", "Readable") == "True Readable", 60)
        eventually(lambda: ward.condition("continualmodels", "chest", "Ready") == "False NoChampion", 60)
        eventually(lambda: any(one.get("status", {}).get("run") for one in ward.updates()), 60)
        events = f"/apis/events.k8s.io/v1/namespaces/{ward.space}/events"
        eventually(lambda: bool(ward.cluster.request("GET", events)["items"]))
        assert process.leads()
        eventually(lambda: ward.helm_test(process.port) == 0)
    finally:
        process.kill()
    assert ward.helm_test(process.port) == 1
    log = process.log.read_text()
    assert "refuses with 403" not in log, log
    assert "orbidden" not in log, log


@pytest.mark.parametrize("ward", ["own", "another", "all"], indirect=True)
def test_the_operator_may_do_nothing_else(ward: Ward) -> None:
    account = f"system:serviceaccount:{ward.home}:anamnesis-operator"
    other = make_namespace(ward.cluster)
    everywhere = ward.values["watchNamespaces"] == ["*"]
    assert ward.can(account, "get", "secrets")
    assert ward.can(account, "get", "secrets", other) == everywhere
    assert ward.can(account, "list", "sites.anamnesis.dev", other) == everywhere
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
    assert [what for what in refused if ward.can(account, *what)] == []


PEOPLE = {"moretti": "viewer", "weber": "editor", "rossi": "approver"}


@pytest.mark.parametrize("ward", ["own"], indirect=True)
def test_people_see_change_and_approve_each_by_a_role(ward: Ward) -> None:
    for person, role in PEOPLE.items():
        binding = ["rolebinding", role, f"--clusterrole=anamnesis-{role}", f"--user={person}"]
        ward.cluster.kubectl("create", "-n", ward.space, *binding)

    def who(verb: str, plural: str) -> list[str]:
        return [person for person in PEOPLE if ward.can(person, verb, f"{plural}.anamnesis.dev")]

    assert who("list", "continualmodels") == ["moretti", "weber", "rossi"]
    assert who("update", "continualmodels") == who("create", "sites") == ["weber"]
    assert who("create", "updateapprovals") == ["rossi"]
    assert who("update", "updateapprovals") == who("delete", "updateapprovals") == who("create", "modelupdates") == []
