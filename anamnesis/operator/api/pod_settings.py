"""Settings of the pods of runs, which a model and the operator's installation share."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel, SecretReference
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.pod_inputs import EnvironmentVariable, VolumeMount
from anamnesis.operator.api.pod_placement import NodeAffinitySpec, NodeLabel, TolerationSpec
from anamnesis.operator.api.step_resources import StepResourcesSpec
from anamnesis.operator.api.string_types import ImageName, LabelName, Memory, Name
from anamnesis.operator.api.value_types import InOrder, UniqueBy, UniqueNames

_SAME_NAME_MESSAGE = (
    "two of claim, Secret and ConfigMap have the same name, so their volumes would have it too; rename one of them"
)
_SAME_NAME_RULE = (
    "self.volumes.all(first, self.volumes.all(second, "
    "(!has(first.claimName) || !(first.claimName in "
    "[second.?secretName.orValue(''), second.?configMapName.orValue('')])) && "
    "(!has(first.secretName) || first.secretName != second.?configMapName.orValue(''))))"
)


class PodSettings(ApiModel):
    """Settings of the pods of runs. For an omitted field, the default of the operator's installation counts."""

    model_config = ConfigDict(json_schema_extra=cel_rules((_SAME_NAME_RULE, _SAME_NAME_MESSAGE)))

    image: ImageName | None = None
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
    node_affinity: Annotated[tuple[NodeAffinitySpec, ...], Field(max_length=8), InOrder] = ()
    """Nodes that the pods require or prefer. If empty, those that the operator's installation sets."""
    tolerations: Annotated[
        tuple[TolerationSpec, ...], Field(max_length=16), UniqueBy(("key", "operator", "value", "effect"))
    ] = ()
    """Taints that the pods tolerate. If empty, those that the operator's installation sets."""
    volumes: Annotated[tuple[VolumeMount, ...], Field(max_length=16), UniqueBy(("path",))] = ()
    """Volumes to mount in every step. If empty, those that the operator's installation sets."""
    env: Annotated[tuple[EnvironmentVariable, ...], Field(max_length=32), UniqueNames] = ()
    """Environment variables of every step. If empty, those that the operator's installation sets."""
    resources: Annotated[tuple[StepResourcesSpec, ...], Field(max_length=4), UniqueBy(("step",))] = ()
    """CPU and memory of each kind of step. An omitted amount is the one that the operator's installation sets."""

    @model_validator(mode="after")
    def _check_names_of_volumes(self) -> Self:
        sources = {(volume.source_kind, volume.source_name) for volume in self.volumes}
        if len({name for _, name in sources}) < len(sources):
            raise ValueError(_SAME_NAME_MESSAGE)
        return self
