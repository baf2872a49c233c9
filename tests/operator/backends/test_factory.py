"""Which back end a model gets, how its pods look, and which Secrets they get."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.pipelines_server import HttpReply, PipelinesServer

from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.model import ContinualModel, ContinualModelSpec
from anamnesis.operator.api.site import Site
from anamnesis.operator.backends.background import BackgroundBackend
from anamnesis.operator.backends.base import PipelineJob
from anamnesis.operator.backends.factory import BackendFactory
from anamnesis.operator.backends.kubeflow import KubeflowBackend
from anamnesis.operator.backends.kubeflow_client import connect
from anamnesis.operator.backends.pod_defaults import PodDefaults, load_pod_defaults
from anamnesis.operator.backends.pod_runtime import runtime_for
from anamnesis.pipelines.runtime import (
    ComputeResources,
    ConfigMapEnv,
    ConfigMapFiles,
    NodeAffinity,
    NodeCondition,
    Runtime,
    SecretEnv,
    SecretFiles,
    Toleration,
    Volume,
)
from anamnesis.records import InputError, UnreachableError

S3 = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "note": "for people"}
SITE = """
apiVersion: anamnesis.dev/v1alpha1
kind: Site
metadata: {name: NAME}
spec:
  source: {type: DICOMweb, dicomweb: {url: "https://pacs"}, credentialsSecret: {name: NAME}}
  modalities: [DX]
  store: s3://images/NAME
  labels: {from: Manifest, manifest: "s3://labels/lyon.csv"}
  task: {name: pneumonia, type: Classification, classes: [normal, pneumonia], primaryMetric: AUROC}
"""
MODEL = """
apiVersion: anamnesis.dev/v1alpha1
kind: ContinualModel
metadata: {name: chest, namespace: lab}
spec:
  method: {name: Finetune}
  sites: [{name: lyon}, {name: paris}]
  gate: {floor: "0.8", margin: "0.1", approval: Automatic}
  registry: {url: "s3://models/chest", credentialsSecret: {name: s3}}
  splitKey: {type: Secret, secret: {name: split, key: hex}}
  backend:
    type: Kubeflow
    kubeflow:
      endpoint: ENDPOINT
      image: hospital/anamnesis:1
      imagePullSecrets: [{name: mirror}]
      gpus: 2
      gpuResource: amd.com/gpu
      queueName: research
      sharedMemory: 2Gi
      nodeSelector: [{name: zone, value: radiology}]
      tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]
      volumes: [{claimName: scans, path: /data}]
"""

MORE_POD_FIELDS = """\
      nodeAffinity: [{weight: 3, matchExpressions: [{key: disk, operator: In, values: [ssd]}]}]
      volumes:
      - {claimName: scans, path: /data}
      - {secretName: licence, path: /licence}
      - {configMapName: protocols, path: /protocols}
      env:
      - {name: USER, type: Secret, secret: {name: login, key: user}}
      - {name: OWNER, type: Secret, secret: {name: login, key: user}}
      - {name: REGION, type: ConfigMap, configMap: {name: site, key: region}}
      resources: [{step: Train, requests: {cpu: 500m}, limits: {memory: 8Gi}}]
"""


class FakeResourceReader:
    """As much of a cluster as a back end asks for."""

    def __init__(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        self.secrets = secrets

    def get(self, kind: type[Site], namespace: str, name: str) -> Site | None:
        assert (kind, namespace) == (Site, "lab")
        document = yaml.safe_load(SITE.replace("NAME", name))
        if f"{name}-key" in self.secrets:
            document["spec"]["splitKey"] = {"type": "Secret", "secret": {"name": f"{name}-key"}}
        return Site.model_validate(document)

    def read_secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return self.secrets.get(name)


@pytest.fixture
def secrets() -> dict[str, dict[str, str]]:
    return {
        "s3": dict(S3),
        "split": {"hex": "k" * 32 + "\n"},
        "lyon": {"username": "anna", "password": "x"},
        "paris": {"token": "t"},
    }


@pytest.fixture
def backends(secrets: dict[str, dict[str, str]], tmp_path: Path) -> BackendFactory:
    cluster: Any = FakeResourceReader(secrets)
    return BackendFactory(cluster, {**os.environ, "HERE": "yes"}, tmp_path, lambda: datetime.now(UTC))


def model(text: str) -> LoadedResource[ContinualModel]:
    return LoadedResource(ContinualModel.model_validate(yaml.safe_load(text)), Path("/lab/chest"))


def job(site: str = "lyon") -> PipelineJob:
    return PipelineJob("chest-5aa-1", Path("p.yaml"), {"site": site} if site else {})


def test_every_field_of_the_spec_reaches_the_pods() -> None:
    fields = MODEL.replace("ENDPOINT", "http://x").replace("      volumes: [{claimName: scans, path: /data}]\n", "")
    assert runtime_for(model(fields + MORE_POD_FIELDS).resource.spec) == Runtime(
        image="hospital/anamnesis:1",
        accelerators=2,
        accelerator_type="amd.com/gpu",
        tolerations=(Toleration("gpu", "Exists", "", "NoSchedule"),),
        node_selector={"zone": "radiology"},
        queue="research",
        pull_secrets=("mirror",),
        shared_memory="2Gi",
        node_affinity=(NodeAffinity((NodeCondition("disk", "In", ("ssd",)),), 3),),
        volumes=(Volume("scans", "/data"),),
        secret_files=(SecretFiles("licence", "/licence"),),
        config_map_files=(ConfigMapFiles("protocols", "/protocols"),),
        secrets=(SecretEnv("login", {"user": "USER"}), SecretEnv("login", {"user": "OWNER"})),
        config_maps=(ConfigMapEnv("site", {"region": "REGION"}),),
        resources={"Train": ComputeResources(cpu_request="500m", memory_limit="8Gi")},
    )


DEFAULTS = """
image: registry.hospital/anamnesis-training:1
imagePullSecrets: [{name: mirror}]
gpus: 1
queueName: nightly
tolerations: [{key: nvidia.com/gpu, operator: Exists}]
environment: {HTTPS_PROXY: "http://proxy:3128"}
trust: {secret: authorities}
"""


def defaults(folder: Path, text: str) -> PodDefaults:
    (folder / "pods.yaml").write_text(text)
    return load_pod_defaults(folder / "pods.yaml")


def kubeflow(fields: str) -> ContinualModelSpec:
    head = MODEL.partition("    kubeflow:")[0]
    return model(f"{head}    kubeflow: {{endpoint: 'http://x'{fields}}}").resource.spec


def test_the_installation_sets_the_defaults_of_a_model(tmp_path: Path) -> None:
    installed = defaults(tmp_path, DEFAULTS)
    trusted = dict.fromkeys(("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), "/etc/anamnesis/trust/ca.crt")
    expected_runtime = Runtime(
        image="registry.hospital/anamnesis-training:1",
        accelerators=1,
        tolerations=(Toleration("nvidia.com/gpu", "Exists", "", ""),),
        queue="nightly",
        pull_secrets=("mirror",),
        environment={"HTTPS_PROXY": "http://proxy:3128"} | trusted,
        secret_files=(SecretFiles("authorities", "/etc/anamnesis/trust"),),
    )
    assert runtime_for(kubeflow(""), pod_defaults=installed) == expected_runtime
    overridden = runtime_for(kubeflow(", image: other, gpus: 0, queueName: day"), pod_defaults=installed)
    assert overridden == replace(expected_runtime, image="other", accelerators=0, queue="day")
    assert runtime_for(kubeflow(""), pod_defaults=defaults(tmp_path, "")) == Runtime()


INSTALLED_RESOURCES = """
resources:
- {step: Evaluate, requests: {cpu: 500m, memory: 2Gi}, limits: {cpu: "2", memory: 8Gi}}
- {step: Train, requests: {cpu: "1", memory: 2Gi}, limits: {cpu: "4", memory: 16Gi}}
"""


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("", ComputeResources("1", "4", "2Gi", "16Gi")),
        (", requests: {memory: 4Gi}", ComputeResources("1", "4", "4Gi", "16Gi")),
        (", requests: {memory: 32Gi}, limits: {cpu: '8'}", ComputeResources("1", "8", "32Gi", "32Gi")),
        (", limits: {cpu: 600m, memory: 1500M}", ComputeResources("600m", "600m", "1500M", "1500M")),
    ],
    ids=["the installation's", "one amount", "the limit follows the request", "the request follows the limit"],
)
def test_amounts_of_a_model_replace_those_of_the_installation_one_by_one(
    train: str, expected: ComputeResources, tmp_path: Path
) -> None:
    spec = kubeflow(f", resources: [{{step: Train{train}}}, {{step: Ingest, limits: {{cpu: '3'}}}}]")
    assert runtime_for(spec, pod_defaults=defaults(tmp_path, INSTALLED_RESOURCES)).resources == {
        "Evaluate": ComputeResources("500m", "2", "2Gi", "8Gi"),
        "Ingest": ComputeResources(cpu_limit="3"),
        "Train": expected,
    }


def test_a_variable_from_a_secret_replaces_the_installation_s_text(tmp_path: Path) -> None:
    variables = "env: [{name: HTTPS_PROXY, type: Secret, secret: {name: proxy, key: url}}]"
    runtime = runtime_for(kubeflow(""), pod_defaults=defaults(tmp_path, DEFAULTS + variables))
    assert "HTTPS_PROXY" not in runtime.environment
    assert runtime.secrets == (SecretEnv("proxy", {"url": "HTTPS_PROXY"}),)


def test_a_volume_with_the_name_of_the_trust_secret_is_refused(tmp_path: Path) -> None:
    installed = defaults(tmp_path, DEFAULTS)
    with pytest.raises(InputError, match="the ConfigMap 'authorities' has the name of the Secret of certificate auth"):
        runtime_for(kubeflow(", volumes: [{configMapName: authorities, path: /ca}]"), pod_defaults=installed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "resources: [{step: Train, requests: {cpu: '2'}, limits: {cpu: '1'}}]",
            "limits.cpu is less than requests.cpu",
        ),
        ("gpu: 1", r"pods\.yaml: gpu: unknown field; valid fields are .*gpus"),
        ("endpoint: http://x", "endpoint: unknown field"),
        ("gpus: -1", "gpus: expected at least 0, found -1"),
        ("[", "invalid YAML"),
    ],
)
def test_errors_in_the_installations_file_are_reported(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        defaults(tmp_path, text)
    with pytest.raises(InputError, match="the file of --pod-defaults is unreadable"):
        load_pod_defaults(tmp_path / "missing.yaml")


def test_a_model_gets_an_experiment_of_its_own_and_its_sites_secrets(
    backends: BackendFactory, server: PipelinesServer
) -> None:
    backend = backends(model(MODEL.replace("ENDPOINT", server.url)))
    assert isinstance(backend, KubeflowBackend)
    assert (backend.experiment, backend.namespace) == ("anamnesis/lab/chest", "")
    assert backend.runtime(job()).secrets == (
        SecretEnv("s3", {name: name for name in sorted(S3) if name.startswith("AWS")}),
        SecretEnv("split", {"hex": "ANAMNESIS_SPLIT_KEY"}),
        SecretEnv("lyon", {"password": "DICOM_PASSWORD", "username": "DICOM_USERNAME"}),
    )
    names = [secret.name for secret in backend.runtime(job("")).secrets]
    assert names == ["s3", "split", "lyon", "paris"], "an evaluation opens every site"
    second_backend = backends(model(MODEL.replace("ENDPOINT", server.url)))
    assert isinstance(second_backend, KubeflowBackend)
    assert second_backend.client is backend.client
    assert server.requests == ["GET /healthz"]


def test_a_site_with_its_own_key_never_sees_the_network_key(
    backends: BackendFactory, server: PipelinesServer, secrets: dict[str, dict[str, str]]
) -> None:
    secrets["lyon-key"] = {"key": "k" * 64}
    backend = backends(model(MODEL.replace("ENDPOINT", server.url)))
    assert isinstance(backend, KubeflowBackend)
    secret_env = {secret.name: secret.variables for secret in backend.runtime(job()).secrets}
    assert secret_env["lyon-key"] == {"key": "ANAMNESIS_SPLIT_KEY_LYON"}
    assert "split" not in secret_env
    names = [secret.name for secret in backend.runtime(job("")).secrets]
    assert names == ["s3", "split", "lyon-key", "lyon", "paris"], "an evaluation opens every site"


def test_in_a_multi_user_installation_the_model_s_namespace_counts(
    backends: BackendFactory, server: PipelinesServer
) -> None:
    server.faults.replies = [HttpReply(200, b'{"multi_user": true}')]
    backend = backends(model(MODEL.replace("ENDPOINT", server.url)))
    assert isinstance(backend, KubeflowBackend)
    assert backend.namespace == "lab"


def test_an_unreachable_server_is_tried_again_at_the_next_call(
    backends: BackendFactory, server: PipelinesServer
) -> None:
    server.faults.permanent_reply = HttpReply(503)
    with pytest.raises(UnreachableError, match=server.url):
        backends(model(MODEL.replace("ENDPOINT", server.url)))
    server.faults.permanent_reply = None
    backends(model(MODEL.replace("ENDPOINT", server.url)))


def test_a_missing_secret_or_key_is_reported(
    backends: BackendFactory, server: PipelinesServer, secrets: dict[str, dict[str, str]]
) -> None:
    backend = backends(model(MODEL.replace("ENDPOINT", server.url)))
    assert isinstance(backend, KubeflowBackend)
    secrets["split"] = {"other": ""}
    with pytest.raises(InputError, match=r"splitKey.secret: the Secret 'split' has no key 'hex'"):
        backend.runtime(job())
    del secrets["s3"]
    with pytest.raises(
        InputError, match=r"registry.credentialsSecret: the Secret 's3' does not exist or is not readable"
    ):
        backend.runtime(job())


def test_two_secrets_that_contradict_are_refused_and_not_shown(
    backends: BackendFactory, server: PipelinesServer, secrets: dict[str, dict[str, str]]
) -> None:
    backend = backends(model(MODEL.replace("ENDPOINT", server.url)))
    assert isinstance(backend, KubeflowBackend)
    secrets["lyon"] = {"AWS_ACCESS_KEY_ID": "id"}
    assert [secret.name for secret in backend.runtime(job()).secrets] == ["s3", "split"], "it says nothing new"
    secrets["lyon"] = {"AWS_ACCESS_KEY_ID": "another"}
    with pytest.raises(InputError, match=r"Site lyon: .* and spec.registry.* different values of AWS_ACCESS") as raised:
        backend.runtime(job())
    assert "another" not in str(raised.value)


def test_without_a_server_runs_are_local(backends: BackendFactory, tmp_path: Path) -> None:
    backend = backends(model(MODEL.partition("  backend:")[0]))
    assert isinstance(backend, BackgroundBackend)
    assert backend.records_folder == tmp_path / "lab" / "chest" / "runs"
    environment = backend.environment_for(job())
    expected = {"HERE": "yes", "ANAMNESIS_SPLIT_KEY": "k" * 32, "DICOM_USERNAME": "anna", "AWS_ACCESS_KEY_ID": "id"}
    assert environment.items() >= expected.items()
    assert "note" not in environment
    with pytest.raises(InputError, match="found Local, which has no pods"):
        runtime_for(model(MODEL.partition("  backend:")[0]).resource.spec)


def test_a_server_with_a_certificate_of_the_hospital_is_trusted(tmp_path: Path) -> None:
    bundle = str(tmp_path / "ca.crt")
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        client = connect("https://ml-pipeline.example", {name: bundle})
        assert client.runs.api_client.configuration.ssl_ca_cert == bundle
    assert connect("https://ml-pipeline.example", {}).runs.api_client.configuration.ssl_ca_cert is None
