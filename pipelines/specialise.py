"""Sets the constants of a cluster in a compiled pipeline before the upload. Needs no kfp.

Kubeflow does not accept labels and tolerations as parameters, and older back ends ignore images and GPU counts in
parameters. As constants they work on every back end. The result equals the output of ``kfp.kubernetes`` (a test
compares them) with one difference: kfp writes the name of a secret, ConfigMap or claim twice, as a constant and as a
constant parameter. Back ends before 2.5 refuse the second form and all back ends read the first, so only the first is
written.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from anamnesis.pipelines.runtime import (
    ComputeResources,
    ConfigMapEnv,
    ConfigMapFiles,
    NodeAffinity,
    Runtime,
    SecretEnv,
    SecretFiles,
    Toleration,
)
from anamnesis.records import InputError, digest_hex, digest_json

Executor = dict[str, Any]
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_ACCELERATED_EXECUTORS = ("exec-train-", "exec-evaluate-scheduled")
"""Executors that get accelerators; the evaluations of an update are small and run without."""
_STEP_KINDS = {
    "exec-ingest-": "Ingest",
    "exec-train-": "Train",
    "exec-evaluate-": "Evaluate",
    "exec-promote-": "Decide",
}
"""Start of an executor's label -> kind of step, which has resources of its own."""
_BYTES = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "M": 10**6, "G": 10**9, "T": 10**12}


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
        _set_resources(executor["container"], _step_resources(label, runtime))
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


def _step_resources(label: str, runtime: Runtime) -> ComputeResources:
    kinds = (kind for start, kind in _STEP_KINDS.items() if label.startswith(start))
    return runtime.resources.get(next(kinds, ""), ComputeResources())


def _set_resources(container: Executor, resources: ComputeResources) -> None:
    """Sets CPU and memory under both names, as kfp does: back ends before 2.5 read the numbers, later ones the texts.

    The numbers are CPUs and gigabytes.
    """
    amounts = {
        "CpuRequest": (resources.cpu_request, _cpus),
        "CpuLimit": (resources.cpu_limit, _cpus),
        "MemoryRequest": (resources.memory_request, _gigabytes),
        "MemoryLimit": (resources.memory_limit, _gigabytes),
    }
    for name, (quantity, convert) in amounts.items():
        if quantity:
            number_name = name[0].lower() + name[1:]
            container.setdefault("resources", {}).update({number_name: convert(quantity), f"resource{name}": quantity})


def _cpus(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _gigabytes(quantity: str) -> float:
    number = quantity.rstrip("MGTi")
    return float(number) * _BYTES[quantity[len(number) :]] / 10**9


def _kubernetes_settings(runtime: Runtime, uses_accelerator: bool) -> Executor:
    """Returns the executor's part of the platform document."""
    shared_memory_mount = {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory"}
    settings: Executor = {
        "imagePullSecret": [{"secretName": name} for name in runtime.pull_secrets],
        "nodeSelector": {"labels": dict(runtime.node_selector)} if runtime.node_selector else {},
        "podMetadata": {"labels": {_QUEUE_LABEL: runtime.queue}} if runtime.queue else {},
        "pvcMount": [{"constant": volume.claim, "mountPath": volume.path} for volume in runtime.volumes],
        "secretAsVolume": [_volume("secretName", files) for files in runtime.secret_files],
        "configMapAsVolume": [_volume("configMapName", files) for files in runtime.config_map_files],
        "secretAsEnv": [_variables("secretName", "secretKey", secret) for secret in runtime.secrets],
        "configMapAsEnv": [
            _variables("configMapName", "configMapKey", config_map) for config_map in runtime.config_maps
        ],
        "nodeAffinity": [_node_affinity(affinity) for affinity in runtime.node_affinity],
        "tolerations": [_toleration(toleration) for toleration in runtime.tolerations],
        "emptyDirMounts": [shared_memory_mount | {"sizeLimit": runtime.shared_memory}]
        if uses_accelerator and runtime.shared_memory
        else [],
    }
    return {name: value for name, value in settings.items() if value}


def _volume(name_field: str, files: SecretFiles | ConfigMapFiles) -> Executor:
    return {name_field: files.name, "mountPath": files.path}


def _variables(name_field: str, key_field: str, source: SecretEnv | ConfigMapEnv) -> Executor:
    variables = [{key_field: key, "envVar": variable} for key, variable in source.variables.items()]
    return {name_field: source.name, "keyToEnv": variables}


def _node_affinity(affinity: NodeAffinity) -> Executor:
    conditions = [
        {"key": condition.key, "operator": condition.operator}
        | ({"values": list(condition.values)} if condition.values else {})
        for condition in affinity.conditions
    ]
    return {"matchExpressions": conditions} | ({"weight": affinity.weight} if affinity.weight is not None else {})


def _toleration(toleration: Toleration) -> Executor:
    fields = {
        "key": toleration.key,
        "operator": toleration.operator,
        "value": toleration.value,
        "effect": toleration.effect,
    }
    return {name: value for name, value in fields.items() if value}
