"""The whole way: data arrives in a bucket, the operator submits, pods run every step, the champion changes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from builders.waiting import eventually
from kubeflow.conftest import IMAGE

from anamnesis.operator.backends.base import RunState

if TYPE_CHECKING:
    from kubeflow.conftest import PipelinesTestbed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
CLASSES = ("top", "middle", "bottom")
SPACE = "kubeflow"
MODEL = """
apiVersion: anamnesis.dev/v1alpha1
kind: ContinualModel
metadata: {{name: {model}}}
spec:
  network: {{input: {{size: [32, 32]}}, options: {{width: 8}}}}
  method: {{name: EWCPrototype}}
  training: {{epochs: 2, batchSize: 8, learningRate: "0.005"}}
  sites: [{{name: {model}-north}}, {{name: {model}-east}}]
  trigger: {{quietPeriod: 1s, minimumNewPatients: 0}}
  changePlan: {{minimumPatients: 1}}
  gate:
    {{floor: "0", margin: "1", recallFloor: "0", recallMargin: "1", siteInferred: "0", calibrationError: "1",
      approval: Automatic, minimumTestPatients: 0}}
  registry: {{url: "{bucket}/registry", credentialsSecret: {{name: {secret}}}}}
  splitKey: {{type: Secret, secret: {{name: {secret}, key: ANAMNESIS_SPLIT_KEY}}}}
  backend: {{type: Kubeflow, kubeflow: {{endpoint: "{endpoint}", image: "{image}"}}}}
"""
SITE = """
---
apiVersion: anamnesis.dev/v1alpha1
kind: Site
metadata: {{name: {model}-{site}}}
spec:
  source: {{type: S3, s3: {{url: "{bucket}/sources/{site}"}}, credentialsSecret: {{name: {secret}}}, pollInterval: 2s}}
  modalities: [OT]
  store: "{bucket}/images/{site}"
  task: {{name: rows, type: Classification, classes: [top, middle, bottom], primaryMetric: Accuracy}}
"""

Kubectl = Callable[..., str]
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts operators outside of the cluster, as an administrator would."""
    running: list[subprocess.Popen[bytes]] = []

    def start_operator() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "anamnesis.cli", "operator", f"--namespace={SPACE}", "--port=0"]
        command += [f"--state={tmp_path}", "--lease-duration=3", "--grace=2"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with (tmp_path / "operator.log").open("ab") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        return running[-1]

    yield start_operator
    for process in running:
        process.kill()
        process.wait()


def test_data_arrives_and_the_champion_changes(testbed: "PipelinesTestbed", kubectl: Kubectl, start: Start) -> None:
    model = apply(testbed, kubectl)
    operator = start()
    await_sites(kubectl, model, north="WaitingForData", east="WaitingForData")
    testbed.upload_site("north", CLASSES)
    runs = testbed.run_lister(model)
    eventually(lambda: [run.state for run in runs()] == [RunState.RUNNING], 60)
    operator.kill()
    operator = start()
    await_sites(kubectl, model, north="Learned", east="WaitingForData")
    first = status(kubectl, model)["champion"]
    testbed.upload_site("east", CLASSES)
    await_sites(kubectl, model, north="Learned", east="Learned")
    assert status(kubectl, model)["champion"] not in ("", first)
    assert len(runs()) == 2, "one for each site, although an operator was killed"
    eventually(lambda: {run.state for run in runs()} == {RunState.SUCCEEDED}, 60)
    operator.terminate()
    assert operator.wait(30) == 0


def test_a_deleted_model_takes_its_run_along(testbed: "PipelinesTestbed", kubectl: Kubectl, start: Start) -> None:
    model = apply(testbed, kubectl)
    testbed.upload_site("north", CLASSES)
    start()
    runs = testbed.run_lister(model)
    eventually(lambda: [run.state for run in runs()] == [RunState.RUNNING], 90)
    kubectl("delete", "continualmodel", model, "--timeout=60s")
    eventually(lambda: runs()[0].state.is_final, 60)
    assert runs()[0].state is not RunState.SUCCEEDED


def apply(testbed: "PipelinesTestbed", kubectl: Kubectl) -> str:
    """Installs what the operator needs, and a model of two sites; returns the model's name."""
    # Helm's tests leave their definitions behind, as an uninstall does: here these are taken over.
    kubectl("apply", "--server-side", "--force-conflicts", f"--kustomize={MANIFESTS / 'crds'}")
    kubectl("wait", "--for=condition=Established", "crd", "--all")
    model = testbed.secret.replace("anamnesis", "chest")
    text = MODEL.format(
        model=model,
        bucket=testbed.bucket,
        secret=testbed.secret,
        endpoint=os.environ["PIPELINES_URL"],
        image=IMAGE,
    )
    for site in ("north", "east"):
        text += SITE.format(model=model, site=site, bucket=testbed.bucket, secret=testbed.secret)
    kubectl("apply", "--server-side", "--filename=-", text=text)
    return model


def status(kubectl: Kubectl, model: str) -> dict[str, Any]:
    model_status: dict[str, Any] = json.loads(kubectl("get", "continualmodel", model, "--output=json")).get(
        "status", {}
    )
    return model_status


def await_sites(kubectl: Kubectl, model: str, **expected: str) -> None:
    """Waits until the model's sites stand so."""
    names = {f"{model}-{site}": state for site, state in expected.items()}

    def states() -> dict[str, str]:
        return {site["name"]: site["state"] for site in status(kubectl, model).get("sites", ())}

    try:
        eventually(lambda: states() == names, 300)
    except AssertionError:
        raise AssertionError(f"wanted {names}: {json.dumps(status(kubectl, model), indent=1)}") from None
