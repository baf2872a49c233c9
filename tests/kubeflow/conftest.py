"""What an update on a real cluster needs: a bucket with a made-up site, secrets, and a back end."""

import json
import os
import time
import uuid
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO

import helm_python
import pytest
from builders.bar_images import bar_images
from images.node_pods import kubectl as kubectl_anywhere
from kubeflow.hospital_release import RELEASE_NAMESPACE, HospitalRelease, object_store_client
from kubeflow.prerequisites import (
    IMAGES,
    PEOPLE,
    RELEASE,
    VALUES,
    advertise_gpus,
    create_namespaces,
    create_person,
    tag_by_digest,
)

from anamnesis import __version__
from anamnesis.operator.backends.base import Run
from anamnesis.operator.backends.kubeflow import KubeflowBackend
from anamnesis.operator.backends.kubeflow_client import connect
from anamnesis.pipelines.runtime import Runtime, SecretEnv
from charts.golden import CHART

SPACE = "kubeflow"
IMAGE = f"anamnesis-training:{__version__}"
KEYS = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
SECONDS = 600


@dataclass(frozen=True)
class PipelinesTestbed:
    """A real back end and a bucket of its own.

    Attributes:
        backend: carries pipelines out.
        bucket: URL of a prefix that nobody else uses.
        environment: in which this process finds the bucket.
        secret: in which pods do, and the split key.
    """

    backend: KubeflowBackend
    bucket: str
    environment: Mapping[str, str]
    secret: str

    def upload_site(self, site: str, classes: tuple[str, ...], patients: int = 36) -> str:
        """Puts a site's images into the bucket, whose bright band shows the class; returns their URL."""
        data = bar_images(site, patients, len(site), classes, side=32, rows=True)
        bucket, _, prefix = self.bucket.removeprefix("s3://").partition("/")
        name = f"{prefix}/sources/{site}/images.npz"
        object_store_client(self.environment).put_object(bucket, name, BytesIO(data), len(data))
        return f"{self.bucket}/sources/{site}"

    def wait_for_end(self, run: Run) -> Run:
        """Waits for the end of a run, by its name, as after a restart of the operator."""
        deadline = time.monotonic() + SECONDS
        while not (current_run := self.backend.runs(run.name)[0]).state.is_final:
            assert time.monotonic() < deadline, f"{run.name} is still {current_run.state}"
            time.sleep(2)
        return current_run

    def run_lister(self, model: str) -> Callable[[], tuple[Run, ...]]:
        """Returns a function that lists the runs of an operator for a model."""
        operator_backend = replace(self.backend, experiment=f"anamnesis/{SPACE}/{model}")
        return lambda: operator_backend.runs("")


@pytest.fixture
def kubectl() -> Callable[..., str]:
    return _kubectl


@pytest.fixture
def testbed(monkeypatch: pytest.MonkeyPatch) -> PipelinesTestbed:
    """The cluster's own object store, and secrets with its address for the pods."""
    url, environment = _url(), _environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    split_key = {"ANAMNESIS_SPLIT_KEY": "k" * 32}
    name = f"anamnesis-{uuid.uuid4().hex[:8]}"
    literals = [f"--from-literal={key}={value}" for key, value in {**environment, **split_key}.items()]
    _kubectl("create", "secret", "generic", name, *literals)
    secret = SecretEnv(name, {key: key for key in {**environment, **split_key}})
    runtime = Runtime(image=IMAGE, secrets=(secret,))
    testbed = PipelinesTestbed(
        KubeflowBackend(url, connect(url, {}), f"lab/{name}", runtime=lambda _: runtime),
        f"s3://{name}/lab",
        environment,
        name,
    )
    object_store_client(environment).make_bucket(name)
    return testbed


@pytest.fixture(scope="session")
def hospital_release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HospitalRelease]:
    """A release of the chart, as a hospital would have it, and who works there."""
    _url()
    bucket = _environment()
    create_namespaces(bucket)
    advertise_gpus(1)
    values = VALUES | {"images": {image.partition("-")[2]: {"digest": tag_by_digest(image)} for image in IMAGES}}
    with helm_python.Config(kubeconfig_path=os.environ["KUBECONFIG"], namespace=RELEASE_NAMESPACE) as helm:
        helm.install(CHART, RELEASE, values, wait="watcher", timeout=180)
        folder = tmp_path_factory.mktemp("people")
        people = {name: create_person(folder, name, role) for name, role in PEOPLE.items()}
        yield HospitalRelease(helm, values, bucket, people)
        helm.uninstall(RELEASE, ignore_not_found=True)


def _url() -> str:
    if not (url := os.environ.get("PIPELINES_URL")):
        pytest.skip("PIPELINES_URL is not set; `make cluster-test` sets it")
    return url


def _environment() -> dict[str, str]:
    """In which this process finds the cluster's object store."""
    address = _kubectl("get", "service", "minio-service", "--output=jsonpath={.spec.clusterIP}")
    return {"AWS_ENDPOINT_URL": f"http://{address}:9000", **_keys()}


def _keys() -> dict[str, str]:
    secret = json.loads(_kubectl("get", "secret", "mlpipeline-minio-artifact", "--output=json"))
    return {variable: b64decode(secret["data"][key]).decode() for key, variable in KEYS.items()}


def _kubectl(*arguments: str, text: str = "") -> str:
    return kubectl_anywhere(f"--namespace={SPACE}", *arguments, text=text)
