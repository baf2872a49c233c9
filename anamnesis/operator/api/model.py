"""A ContinualModel: network, method, sites in order, gate, registry and back end of one model that keeps learning."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.base import DecimalString, Model, Name, Resource, Share, Text, TypedUnion, Unique, Url, Word
from anamnesis.operator.api.method import MethodName, MethodSpec

Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Positive = Annotated[DecimalString, Field(gt=0, le=1_000_000)]
Duration = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}(s|m|h|d)$")]


class InputSpec(Model):
    """What the network reads: every image is resized to this."""

    channels: Literal[1, 3] = 1
    size: Annotated[
        tuple[Annotated[int, Field(ge=8, le=1024, strict=True)], ...], Field(min_length=2, max_length=2)
    ] = (64, 64)


class NetworkSpec(Model):
    """Which network."""

    name: Literal["SmallCNN", "ResNet18"] = "SmallCNN"
    input: InputSpec = InputSpec()
    norm: Literal["Group", "Batch"] = "Group"
    width: Annotated[int, Field(ge=4, le=512, strict=True)] = 32


class TrainingSpec(Model):
    """Budget and numerics of an update."""

    epochs: Count = 8
    batch_size: Count = 32
    learning_rate: Positive = Decimal("0.001")
    optimiser: Literal["AdamW", "SGD"] = "AdamW"
    weight_decay: Share = Decimal("0.0001")
    augmentation: Literal["Enabled", "Disabled"] = "Enabled"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)] = 0
    threads: Annotated[int, Field(ge=1, le=1024, strict=True)] = 1
    precision: Literal["Auto", "Float32", "BFloat16"] = "Auto"


class SiteReference(Model):
    """A Site by its name."""

    name: Name


class TaskGate(Model):
    """Limits of one task where they differ from the model's."""

    name: Word
    floor: Share | None = None
    margin: Share | None = None
    saliency_floor: Share | None = None


class GateSpec(Model):
    """What a candidate must reach to become the champion."""

    floor: Share
    margin: Share
    saliency_floor: Share | None = None
    approval: Literal["Required", "Automatic"] = "Required"
    enforcement: Literal["Enforced", "Advisory"] = "Enforced"
    tasks: Annotated[tuple[TaskGate, ...], Field(max_length=64), Unique] = ()


class ScheduleSpec(Model):
    """When to look, whatever arrived."""

    cron: Annotated[str, StringConstraints(min_length=9, max_length=100)]
    time_zone: Annotated[str, StringConstraints(min_length=1, max_length=64)] = "Etc/UTC"


class TriggerSpec(Model):
    """When an update begins on a cluster. Locally the person at the command line is the trigger."""

    minimum_new_patients: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 0
    quiet_period: Duration = "0s"
    schedule: ScheduleSpec | None = None


class ChangePlanSpec(Model):
    """What may change without a new clearance: the predetermined change-control plan."""

    allowed_methods: Annotated[tuple[MethodName, ...], Field(max_length=32), Unique] = ()
    rollback: Literal["OnApproval", "Automatic"] = "OnApproval"


class SecretReference(Model):
    """A Secret by its name."""

    name: Name


class RegistrySpec(Model):
    """Where versions and the log of decisions are."""

    url: Url
    credentials_secret: SecretReference | None = None


class FileKey(Model):
    """A file; made on first use where it does not exist."""

    path: Text


class EnvironmentKey(Model):
    """An environment variable."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]


class SplitKeySpec(TypedUnion):
    """Where the secret is that decides which patient is tested on."""

    type: Literal["File", "Environment"]
    file: FileKey | None = None
    environment: EnvironmentKey | None = None


class KubeflowBackend(Model):
    """A Kubeflow Pipelines server."""

    endpoint: Annotated[str, StringConstraints(pattern=r"^https?://.+$", max_length=1024)]
    gpus: Annotated[int, Field(ge=0, le=64, strict=True)] = 0
    queue: Name | None = None


class BackendSpec(TypedUnion):
    """What carries updates out on a cluster. ``anamnesis run`` always uses the local back end."""

    type: Literal["Local", "Kubeflow"] = "Local"
    kubeflow: KubeflowBackend | None = None


class ContinualModelSpec(Model):
    """The model as its people want it."""

    state: Literal["Active", "Suspended"] = "Active"
    network: NetworkSpec = NetworkSpec()
    method: MethodSpec
    training: TrainingSpec = TrainingSpec()
    sites: Annotated[tuple[SiteReference, ...], Field(min_length=1, max_length=64), Unique]
    trigger: TriggerSpec = TriggerSpec()
    gate: GateSpec
    change_plan: ChangePlanSpec = ChangePlanSpec()
    registry: RegistrySpec
    split_key: SplitKeySpec | None = None
    backend: BackendSpec = BackendSpec()


class ContinualModel(Resource):
    """One model that keeps learning."""

    kind: Literal["ContinualModel"]
    spec: ContinualModelSpec
