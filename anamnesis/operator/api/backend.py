"""What carries updates out on a cluster."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.api_model import ApiModel, SecretReference, TypedUnion
from anamnesis.operator.api.string_types import AbsolutePath, Memory, Name, PositiveDuration, WebAddress
from anamnesis.operator.api.value_types import UniqueBy, UniqueNames

LabelName = Annotated[str, StringConstraints(min_length=1, max_length=317)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]


class TolerationSpec(ApiModel):
    """A taint that the pods of updates tolerate."""

    key: Annotated[str, StringConstraints(max_length=317)] = ""
    """The taint's key; empty, with operator Exists, for every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the value counts."""
    value: LabelValue = ""
    """The taint's value."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """The taint's effect; empty for every effect."""


class NodeLabel(ApiModel):
    """A label that nodes must bear."""

    name: LabelName
    """The label, for example nvidia.com/gpu.product."""
    value: LabelValue
    """The value it must have."""


class VolumeMount(ApiModel):
    """A PersistentVolumeClaim of the pipelines' namespace, mounted in every step."""

    claim_name: Name
    """Name of the PersistentVolumeClaim."""
    path: AbsolutePath
    """Where the steps find it, for example /data."""


class PodSettings(ApiModel):
    """How the pods of runs look; what is left out, the operator's installation says."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Image of every step; left out, that of the operator's installation."""
    image_pull_secrets: Annotated[tuple[SecretReference, ...], Field(max_length=8), UniqueNames] = ()
    """Secrets with which the image is pulled."""
    gpus: Annotated[int, Field(ge=0, le=64, strict=True)] | None = None
    """Accelerators of the training step; 0 trains on processors, as does to leave it out where nothing else is set."""
    gpu_resource: LabelName | None = None
    """What the cluster calls an accelerator; left out, nvidia.com/gpu."""
    queue_name: Name | None = None
    """The Kueue LocalQueue in which the pods wait for their turn."""
    shared_memory: Memory | None = None
    """Size of /dev/shm, for example 2Gi."""
    node_selector: Annotated[tuple[NodeLabel, ...], Field(max_length=16), UniqueNames] = ()
    """Labels of the nodes that may carry the pods."""
    tolerations: Annotated[
        tuple[TolerationSpec, ...], Field(max_length=16), UniqueBy(("key", "operator", "value", "effect"))
    ] = ()
    """Taints that the pods tolerate."""
    volumes: Annotated[tuple[VolumeMount, ...], Field(max_length=16), UniqueBy(("path",))] = ()
    """Volumes mounted in every step."""


class KubeflowBackendSpec(PodSettings):
    """A Kubeflow Pipelines server, and how the pods of a run look."""

    endpoint: WebAddress
    """Address of the Pipelines API, for example http://ml-pipeline.kubeflow:8888."""
    namespace: Name | None = None
    """Where the runs' pods are, on a server with several users; left out, where the server puts them."""
    experiment: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "anamnesis"
    """The experiment under which the runs are listed."""


class BackendSpec(TypedUnion):
    """What carries updates out on a cluster. anamnesis run always uses the local back end."""

    type: Literal["Local", "Kubeflow"] = "Local"
    """Local runs updates inside the operator's pod, Kubeflow as pipelines in pods of their own."""
    kubeflow: KubeflowBackendSpec | None = None
    retries: Annotated[int, Field(ge=0, le=20, strict=True)] = 2
    """How often a run that failed is tried again."""
    run_deadline: PositiveDuration = "1d"
    """A run that takes longer is ended, and counts as failed."""
