"""The back end that runs updates on a cluster, and the pods of its runs."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from anamnesis.operator.api.api_model import ApiModel, SecretReference, TypedUnion
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import (
    AbsolutePath,
    LabelName,
    LabelValue,
    Memory,
    Name,
    OptionalLabelName,
    PositiveDuration,
    WebAddress,
)
from anamnesis.operator.api.value_types import UniqueBy, UniqueNames

_KEY_UNKNOWN_MESSAGE = "a toleration without a key needs operator: Exists, because it tolerates every taint"
_VALUE_UNUSED_MESSAGE = "operator Exists compares no value; remove value, or set operator: Equal"


class TolerationSpec(ApiModel):
    """A taint that the pods of updates tolerate."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self.key != '' || self.operator == 'Exists'", _KEY_UNKNOWN_MESSAGE),
            ("self.operator != 'Exists' || self.value == ''", _VALUE_UNUSED_MESSAGE),
        )
    )

    key: OptionalLabelName = ""
    """Key of the taint. Empty, with operator Exists, tolerates every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Equal compares key and value of the taint, Exists only the key."""
    value: LabelValue = ""
    """Value of the taint."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Effect of the taint. Empty tolerates every effect."""

    @model_validator(mode="after")
    def _check_key_and_value(self) -> Self:
        if not self.key and self.operator != "Exists":
            raise ValueError(_KEY_UNKNOWN_MESSAGE)
        if self.operator == "Exists" and self.value:
            raise ValueError(_VALUE_UNUSED_MESSAGE)
        return self


class NodeLabel(ApiModel):
    """A label that a node must have to run the pods."""

    name: LabelName
    """Key of the label, for example nvidia.com/gpu.product."""
    value: LabelValue
    """Value of the label."""


class VolumeMount(ApiModel):
    """A PersistentVolumeClaim in the namespace of the pipelines, mounted in every step."""

    claim_name: Name
    """Name of the PersistentVolumeClaim."""
    path: AbsolutePath
    """Path at which it is mounted, for example /data."""


class PodSettings(ApiModel):
    """Settings of the pods of runs. For an omitted field, the default of the operator's installation counts."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Image of every step. If omitted, the image that the operator's installation sets."""
    image_pull_secrets: Annotated[tuple[SecretReference, ...], Field(max_length=8), UniqueNames] = ()
    """Secrets for pulling the image. If empty, those that the operator's installation sets."""
    gpus: Annotated[int, Field(ge=0, le=64, strict=True)] | None = None
    """Accelerators of the training step; 0 trains on CPUs. If omitted, the installation's number, or else 0."""
    gpu_resource: LabelName | None = None
    """Resource name of an accelerator on the cluster. If omitted, the installation's name, or else nvidia.com/gpu."""
    queue_name: Name | None = None
    """Name of the Kueue LocalQueue that admits the pods. If omitted, the installation's queue, or else none."""
    shared_memory: Memory | None = None
    """Size of /dev/shm in the training step, for example 2Gi. If omitted, the size that the installation sets."""
    node_selector: Annotated[tuple[NodeLabel, ...], Field(max_length=16), UniqueNames] = ()
    """Labels of the nodes that may run the pods. If empty, those that the operator's installation sets."""
    tolerations: Annotated[
        tuple[TolerationSpec, ...], Field(max_length=16), UniqueBy(("key", "operator", "value", "effect"))
    ] = ()
    """Taints that the pods tolerate. If empty, those that the operator's installation sets."""
    volumes: Annotated[tuple[VolumeMount, ...], Field(max_length=16), UniqueBy(("path",))] = ()
    """Volumes to mount in every step. If empty, those that the operator's installation sets."""


class KubeflowBackendSpec(PodSettings):
    """A Kubeflow Pipelines server, and the settings of the pods of a run."""

    endpoint: WebAddress
    """Address of the Pipelines API, for example http://ml-pipeline.kubeflow:8888."""
    namespace: Name | None = None
    """Namespace of the pods of runs, on a multi-user server. If omitted, the namespace of the model."""
    experiment: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "anamnesis"
    """The Kubeflow experiment that lists the runs; namespace and name of the model are appended."""


class BackendSpec(TypedUnion):
    """The back end that runs updates on a cluster. The command anamnesis run ignores it and runs on your machine."""

    type: Literal["Local", "Kubeflow"] = "Local"
    """Local runs updates in the operator's pod; Kubeflow runs them as pipelines in pods of their own."""
    kubeflow: KubeflowBackendSpec | None = None
    retries: Annotated[int, Field(ge=0, le=20, strict=True)] = 2
    """How many times a failed run is retried."""
    run_deadline: PositiveDuration = "1d"
    """Longest time that a run may take. A longer run is cancelled and counts as failed."""
