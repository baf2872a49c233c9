"""What an update on a real cluster needs: a bucket with a made-up site, secrets, and a back end."""

import json
import os
import subprocess
import time
import uuid
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO

import pytest
from minio import Minio
from toys.bars import bars

from anamnesis import __version__
from anamnesis.operator.backends.base import Run
from anamnesis.operator.backends.kubeflow import KubeflowBackend
from anamnesis.operator.backends.pipelines_client import connect
from anamnesis.pipelines.specialise import Runtime, SecretEnv

SPACE = "kubeflow"
IMAGE = f"anamnesis-training:{__version__}"
KEYS = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
SECONDS = 600


@dataclass(frozen=True)
class Lab:
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

    def bring(self, site: str, classes: tuple[str, ...], patients: int = 36) -> str:
        """Puts a site's images into the bucket, whose bright band tells the class; returns their URL."""
        data = bars(site, patients, len(site), classes, side=32, rows=True)
        bucket, _, prefix = self.bucket.removeprefix("s3://").partition("/")
        name = f"{prefix}/sources/{site}/images.npz"
        self._minio().put_object(bucket, name, BytesIO(data), len(data))
        return f"{self.bucket}/sources/{site}"

    def ended(self, run: Run) -> Run:
        """Waits for the end of a run, by its name, as a restarted operator finds it."""
        deadline = time.monotonic() + SECONDS
        while not (found := self.backend.runs(run.name)[0]).state.final:
            assert time.monotonic() < deadline, f"{run.name} is still {found.state}"
            time.sleep(2)
        return found

    def runs_of(self, model: str) -> Callable[[], tuple[Run, ...]]:
        """Returns what lists the runs that an operator has begun for a model."""
        theirs = replace(self.backend, experiment=f"anamnesis/{SPACE}/{model}")
        return lambda: theirs.runs("")

    def _minio(self) -> Minio:
        keys = [self.environment[name] for name in KEYS.values()]
        return Minio(self.environment["AWS_ENDPOINT_URL"].removeprefix("http://"), *keys, secure=False)


@pytest.fixture
def kubectl() -> Callable[..., str]:
    return _kubectl


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The cluster's own object store, and secrets that tell the pods where it is."""
    url = os.environ.get("PIPELINES_URL")
    if not url:
        pytest.skip("PIPELINES_URL is not set; `make cluster-test` sets it")
    address = _kubectl("get", "service", "minio-service", "--output=jsonpath={.spec.clusterIP}")
    environment = {"AWS_ENDPOINT_URL": f"http://{address}:9000", **_keys()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    split_key = {"ANAMNESIS_SPLIT_KEY": "k" * 32}
    name = f"anamnesis-{uuid.uuid4().hex[:8]}"
    literals = [f"--from-literal={key}={value}" for key, value in {**environment, **split_key}.items()]
    _kubectl("create", "secret", "generic", name, *literals)
    secret = SecretEnv(name, {key: key for key in {**environment, **split_key}})
    runtime = Runtime(image=IMAGE, secrets=(secret,))
    lab = Lab(
        KubeflowBackend(url, connect(url, {}), f"lab/{name}", runtime=lambda _: runtime),
        f"s3://{name}/lab",
        environment,
        name,
    )
    lab._minio().make_bucket(name)
    return lab


def _keys() -> dict[str, str]:
    secret = json.loads(_kubectl("get", "secret", "mlpipeline-minio-artifact", "--output=json"))
    return {variable: b64decode(secret["data"][key]).decode() for key, variable in KEYS.items()}


def _kubectl(*arguments: str, text: str = "") -> str:
    command = ["kubectl", f"--namespace={SPACE}", *arguments]
    done = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout
