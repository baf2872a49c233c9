"""Sets a cluster's constants in a compiled pipeline before it is uploaded. Pure; needs no kfp.

Kubeflow cannot take labels and tolerations as parameters, and older back ends ignore parametrised images and GPU
counts; as constants all of them work on every back end. The result is what ``kfp.kubernetes`` itself would have
compiled (a test compares them), but for one thing: kfp names a secret and a claim twice, as a constant and as a
parameter that is a constant. Back ends before 2.5 refuse the second and all later ones read the first, so only the
first is written.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from anamnesis.records import InputError, digest_hex, digest_json

Executor = dict[str, Any]
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_ACCELERATED_EXECUTORS = ("exec-train-", "exec-evaluate-scheduled")
"""Executors that get accelerators; the evaluations of an update judge a few test sets and do without."""


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that pods of the pipeline tolerate; empty fields are left out, as Kubernetes reads them."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class SecretEnv:
    """A secret whose keys become environment variables.

    Attributes:
        name: of the Kubernetes secret.
        variables: key in the secret -> environment variable.
    """

    name: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """A secret whose keys become files.

    Attributes:
        name: of the Kubernetes secret.
        path: absolute, the folder in every step.
    """

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Volume:
    """A PersistentVolumeClaim and where it is mounted.

    Attributes:
        claim: its name, in the namespace of the pipelines.
        path: absolute, in every step.
    """

    claim: str
    path: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a pipeline runs on one cluster.

    Attributes:
        image: of every step, best with its digest; empty leaves the compiled one.
        accelerators: how many each training step and each scheduled evaluation gets; 0 does without.
        accelerator_type: resource name of the accelerator.
        tolerations: of every step.
        node_selector: of every step.
        secrets: of every step, for the store and the split key.
        queue: Kueue's local queue; empty sets no label.
        pull_secrets: names of the secrets that fetch the image.
        shared_memory: size of ``/dev/shm`` in training steps, for example ``2Gi``; empty leaves the default.
        volumes: of every step.
        environment: variables of every step.
        secret_files: of every step.
    """

    image: str = ""
    accelerators: int = 0
    accelerator_type: str = "nvidia.com/gpu"
    tolerations: tuple[Toleration, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[SecretEnv, ...] = ()
    queue: str = ""
    pull_secrets: tuple[str, ...] = ()
    shared_memory: str = ""
    volumes: tuple[Volume, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secret_files: tuple[SecretFiles, ...] = ()

    def __post_init__(self) -> None:
        if self.accelerators < 0:
            raise InputError(f"runtime.accelerators: expected 0 or more, found {self.accelerators}")


@dataclass(frozen=True, slots=True)
class PipelineIR:
    """A compiled pipeline as data.

    Attributes:
        pipeline: the first YAML document.
        platform: the second, with what only Kubernetes knows; empty where there is none.
    """

    pipeline: Mapping[str, Any]
    platform: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version_name(self) -> str:
        """The pipeline version's name: the pipeline's, and twelve digits of the digest of both documents."""
        digest = digest_json([self.pipeline, self.platform])
        return f"{self.pipeline['pipelineInfo']['name']}-{digest_hex(digest)[:12]}"

    def to_yaml(self) -> str:
        """Returns the text to upload."""
        documents = [self.pipeline, self.platform] if self.platform else [self.pipeline]
        return yaml.safe_dump_all([dict(document) for document in documents], sort_keys=True)


def load_ir(path: Path) -> PipelineIR:
    """Reads a compiled pipeline.

    Raises:
        InputError: the file is missing or is no compiled pipeline.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; compile the pipelines first") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    if not documents or not isinstance(documents[0], dict) or "deploymentSpec" not in documents[0]:
        raise InputError(f"{path}: not a compiled pipeline")
    return PipelineIR(*documents)


def specialise(ir: PipelineIR, runtime: Runtime) -> PipelineIR:
    """Returns ``ir`` with the constants of ``runtime``; an empty ``Runtime`` changes nothing."""
    pipeline, platform = deepcopy(dict(ir.pipeline)), deepcopy(dict(ir.platform))
    executor_settings = (
        platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    )
    for label, executor in pipeline["deploymentSpec"]["executors"].items():
        uses_accelerator = label.startswith(_ACCELERATED_EXECUTORS)
        _set_container(executor["container"], runtime, uses_accelerator)
        if settings := _kubernetes_settings(runtime, uses_accelerator):
            executor_settings[label] = executor_settings.get(label, {}) | settings
    if executor_settings:
        platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executor_settings}}}}
    return PipelineIR(pipeline, platform)


def _set_container(container: Executor, runtime: Runtime, uses_accelerator: bool) -> None:
    if runtime.image:
        container["image"] = runtime.image
    if runtime.environment:
        container["env"] = [{"name": name, "value": text} for name, text in runtime.environment.items()]
    if uses_accelerator and runtime.accelerators:
        # each twice: older back ends read the fields without "resource"
        count, kind = str(runtime.accelerators), runtime.accelerator_type
        accelerator = {"count": count, "resourceCount": count, "resourceType": kind, "type": kind}
        container.setdefault("resources", {})["accelerator"] = accelerator


def _kubernetes_settings(runtime: Runtime, uses_accelerator: bool) -> Executor:
    """Returns the executor's part of the platform document."""
    shared_memory_mount = {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory"}
    settings: Executor = {
        "imagePullSecret": [{"secretName": name} for name in runtime.pull_secrets],
        "nodeSelector": {"labels": dict(runtime.node_selector)} if runtime.node_selector else {},
        "podMetadata": {"labels": {_QUEUE_LABEL: runtime.queue}} if runtime.queue else {},
        "pvcMount": [{"constant": volume.claim, "mountPath": volume.path} for volume in runtime.volumes],
        "secretAsVolume": [
            {"secretName": secret_file.name, "mountPath": secret_file.path} for secret_file in runtime.secret_files
        ],
        "secretAsEnv": [_secret_env(secret) for secret in runtime.secrets],
        "tolerations": [_toleration(toleration) for toleration in runtime.tolerations],
        "emptyDirMounts": [shared_memory_mount | {"sizeLimit": runtime.shared_memory}]
        if uses_accelerator and runtime.shared_memory
        else [],
    }
    return {name: value for name, value in settings.items() if value}


def _secret_env(secret: SecretEnv) -> Executor:
    variables = [{"secretKey": key, "envVar": variable} for key, variable in secret.variables.items()]
    return {"secretName": secret.name, "keyToEnv": variables}


def _toleration(toleration: Toleration) -> Executor:
    fields = {
        "key": toleration.key,
        "operator": toleration.operator,
        "value": toleration.value,
        "effect": toleration.effect,
    }
    return {name: value for name, value in fields.items() if value}
