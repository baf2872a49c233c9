"""The commands of the runbooks work: each silence silences its alert, and kubectl accepts each command."""

import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest
from alerts.alert_cases import CASES
from alerts.rules import ROOT, find_program
from apiserver.operators import create_operator_account, create_resource
from builders.alerting_stack import AlertingStack
from builders.api_server import ApiServer
from builders.resource_documents import REQUEST_DOCUMENT, document, model_spec, site_spec

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
AMTOOL = re.compile(r"^    amtool \$ALERTMANAGER (silence add .*)$", re.MULTILINE)
KUBECTL = re.compile(r"^    kubectl ([^#\n|]*)", re.MULTILINE)
NEEDS_MORE = ("servicemonitor", "--previous")
"""Commands that need a Prometheus operator or a crashed pod."""


@pytest.fixture(scope="module")
def alerting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertingStack]:
    programs = (
        find_program("prometheus", "ANAMNESIS_PROMETHEUS", "prometheus"),
        find_program("prometheus-alertmanager", "ANAMNESIS_ALERTMANAGER", "prometheus-alertmanager"),
    )
    stack = AlertingStack(tmp_path_factory.mktemp("alerting"), *programs, {"groups": []}, ())
    yield stack
    stack.stop()


def amtool(alerting: AlertingStack, *arguments: str) -> str:
    command = [
        find_program("amtool", "ANAMNESIS_AMTOOL", "prometheus-alertmanager"),
        f"--alertmanager.url={alerting.alertmanager_url}",
    ]
    return subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout


def test_the_silence_of_a_runbook_silences_its_alert_and_no_other(alerting: AlertingStack) -> None:
    for case in CASES:
        labels = [f"{name}={value}" for name, value in case.labels.items()]
        amtool(alerting, "alert", "add", f"alertname={case.alert}", *labels)
        amtool(alerting, "alert", "add", f"alertname={case.alert}", *labels, "namespace=another")
    assert len(active_alerts(alerting)) == 2 * len(CASES)
    for number, path in enumerate(RUNBOOKS, 1):
        (command,) = AMTOOL.findall(path.read_text().replace("\\\n", ""))
        amtool(alerting, *shlex.split(command))
        assert len(active_alerts(alerting)) == 2 * len(CASES) - number, path.name


def active_alerts(alerting: AlertingStack) -> list[str]:
    return amtool(alerting, "alert", "query", "--output=simple").splitlines()[1:]


def test_kubectl_accepts_the_commands_of_the_runbooks(cluster: ApiServer) -> None:
    cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": "wards"}})
    source = {"type": "Folder", "folder": {"path": "/data"}}
    update = {
        "model": "chest",
        "site": "ulm",
        "claim": DIGEST,
        "sourceFingerprint": DIGEST,
        "request": REQUEST_DOCUMENT,
    }
    create_resource(cluster, "wards", document("Site", "ulm", site_spec(source, "file:///store")))
    create_resource(cluster, "wards", document("ContinualModel", "chest", model_spec(("ulm",))))
    create_resource(cluster, "wards", document("ModelUpdate", "name", update))
    create_operator_account(cluster, "wards")
    cluster.kubectl("apply", "--server-side", f"--kustomize={ROOT / 'manifests' / 'people'}")
    cluster.kubectl("create", "rolebinding", "a", "-n=wards", "--clusterrole=anamnesis-approver", "--user=rossi")
    lease = {"metadata": {"name": "anamnesis-operator"}, "spec": {}}
    cluster.request("POST", "/apis/coordination.k8s.io/v1/namespaces/wards/leases", lease)
    cluster.request("POST", "/api/v1/namespaces/wards/secrets", {"metadata": {"name": "name"}})
    kubectl_lines = {line.strip() for path in RUNBOOKS for line in KUBECTL.findall(path.read_text())}
    kubectl_lines = {line for line in kubectl_lines if not any(word in line for word in NEEDS_MORE)}
    assert len(kubectl_lines) > 20
    for line in sorted(kubectl_lines):
        cluster.kubectl(*shlex.split(line.replace("NAME", "name")))


DIGEST = f"sha256:{'1' * 64}"
