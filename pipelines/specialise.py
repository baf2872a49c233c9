"""Sets the constants of a cluster in a compiled pipeline before the upload. Needs no kfp.

Kubeflow does not accept labels and tolerations as parameters, and older back ends ignore images and GPU counts in
parameters. As constants they work on every back end. The result equals the output of ``kfp.kubernetes`` (a test
compares them) with one difference: kfp writes the name of a secret or claim twice, as a constant and as a constant
parameter. Back ends before 2.5 refuse the second form and all back ends read the first, so only the first is written.
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
"""Executors that get accelerators; the evaluations of an update are small and run without."""


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that the pods of the pipeline tolerate; empty fields are omitted."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class SecretEnv:
    """A secret whose keys become environment variables.

    Attributes:
        name: name of the Kubernetes Secret.
        variables: key in the secret -> environment variable.
    """

    name: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """A secret whose keys become files.

    Attributes:
        name: name of the Kubernetes Secret.
        path: absolute path of the folder in every step.
    """

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Volume:
    """A PersistentVolumeClaim and where it is mounted.

    Attributes:
        claim: name of the claim in the namespace of the pipelines.
        path: absolute mount path in every step.
    """

    claim: str
    path: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """Constants of one cluster; all apply to every step unless stated otherwise.

    Attributes:
        image: image, preferably with a digest; empty keeps the compiled image.
        accelerators: number per training step and per scheduled evaluation; 0 means none.
        accelerator_type: resource name of the accelerator.
        tolerations: tolerations of the pods.
        node_selector: node labels that the pods require.
        secrets: secrets as environment variables, for the store and the split key.
        queue: local queue of Kueue; empty sets no label.
        pull_secrets: names of the image pull secrets.
        shared_memory: size of ``/dev/shm`` in steps with accelerators, for example ``2Gi``; empty keeps the default.
        volumes: volumes to mount.
        environment: environment variables.
        secret_files: secrets as files.
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
        platform: the second YAML document, with settings of Kubernetes; may be empty.
    """

    pipeline: Mapping[str, Any]
    platform: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version_name(self) -> str:
        """Name of the pipeline version: name of the pipeline and twelve digits of the digest of both documents."""
        digest = digest_json([self.pipeline, self.platform])
        return f"{self.pipeline['pipelineInfo']['name']}-{digest_hex(digest)[:12]}"

    def to_yaml(self) -> str:
        """Returns the text to upload."""
        documents = [self.pipeline, self.platform] if self.platform else [self.pipeline]
        return yaml.safe_dump_all([dict(document) for document in documents], sort_keys=True)


def load_ir(path: Path) -> PipelineIR:
    """Reads a compiled pipeline.

    Raises:
        InputError: the file is missing or is not a compiled pipeline.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(
            f"{path}: the file does not exist; compile the pipelines with: python -m anamnesis.pipelines.compile"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(
            f"{path}: invalid YAML: {error}; compile the pipelines with: python -m anamnesis.pipelines.compile"
        ) from None
    if not documents or not isinstance(documents[0], dict) or "deploymentSpec" not in documents[0]:
        raise InputError(
            f"{path}: not a compiled pipeline; compile the pipelines with: python -m anamnesis.pipelines.compile"
        )
    return PipelineIR(*documents)


def specialise(ir: PipelineIR, runtime: Runtime) -> PipelineIR:
    """Returns ``ir`` with the constants of ``runtime``; a default ``Runtime`` changes nothing."""
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
        # both names: older back ends read the fields without "resource"
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
