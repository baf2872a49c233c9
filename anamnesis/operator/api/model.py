"""A ContinualModel: network, method, sites in order, gate, registry and back end of one model that keeps learning."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.base import (
    DecimalString,
    Duration,
    Model,
    Name,
    Resource,
    SecretReference,
    Share,
    Text,
    TypedUnion,
    Unique,
    Url,
    Word,
)
from anamnesis.operator.api.method import MethodName, MethodSpec
from anamnesis.operator.api.status import ContinualModelStatus

Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Positive = Annotated[DecimalString, Field(gt=0, le=1_000_000)]


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


TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", max_length=64)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)]


class ScheduleSpec(Model):
    """Points in time, as cron writes them; in daylight saving's lost hour at its end, in its doubled hour once."""

    cron: Annotated[str, StringConstraints(min_length=9, max_length=100)]
    time_zone: TimeZone = "Etc/UTC"


class MaintenanceWindow(Model):
    """When updates may begin; one that runs is finished. ``end`` before ``start`` is on the next day."""

    start: TimeOfDay
    end: TimeOfDay
    days: Annotated[
        tuple[Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], ...],
        Field(max_length=7),
        Unique,
    ] = ()
    time_zone: TimeZone = "Etc/UTC"


class TriggerSpec(Model):
    """When an update begins on a cluster. Locally the person at the command line is the trigger.

    A site's new data begins an update when it brings enough new patients, has not changed for the quiet period, and
    schedule and window allow it. A person's request (annotation ``update.anamnesis.dev/<site>``) begins one at once.
    """

    minimum_new_patients: Annotated[int, Field(ge=0, le=10_000_000, strict=True)] = 0
    quiet_period: Duration = "5m"
    schedule: ScheduleSpec | None = None
    window: MaintenanceWindow | None = None


class EvaluationSpec(Model):
    """When the champion is evaluated again, on every frozen test set and on recent cases."""

    schedule: ScheduleSpec
    minimum_recent_cases: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = 20
    tolerance: Share = Decimal("0.01")
    recent_floor: Share | None = None


class ChangePlanSpec(Model):
    """What may change without a new clearance: the predetermined change-control plan. Empty: any method."""

    allowed_methods: Annotated[tuple[MethodName, ...], Field(max_length=32), Unique] = ()


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


class SecretKey(Model):
    """A key of a Secret. On a laptop it is the environment variable ``ANAMNESIS_SPLIT_KEY``."""

    name: Name
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = "key"


class SplitKeySpec(TypedUnion):
    """Where the secret is that decides which patient is tested on."""

    type: Literal["File", "Environment", "Secret"]
    file: FileKey | None = None
    environment: EnvironmentKey | None = None
    secret: SecretKey | None = None


class Toleration(Model):
    """A taint that the pods of updates tolerate."""

    key: Annotated[str, StringConstraints(max_length=317)] = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: Annotated[str, StringConstraints(max_length=63)] = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class NodeLabel(Model):
    """A label that nodes must bear."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=317)]
    value: Annotated[str, StringConstraints(max_length=63)]


class VolumeMount(Model):
    """A PersistentVolumeClaim of the pipelines' namespace, mounted in every step."""

    claim: Name
    path: Annotated[str, StringConstraints(pattern=r"^/.+$", max_length=1024)]


class KubeflowBackend(Model):
    """A Kubeflow Pipelines server, and how the pods of a run look."""

    endpoint: Annotated[str, StringConstraints(pattern=r"^https?://.+$", max_length=1024)]
    namespace: Name | None = None
    experiment: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "anamnesis"
    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    pull_secrets: Annotated[tuple[SecretReference, ...], Field(max_length=8), Unique] = ()
    gpus: Annotated[int, Field(ge=0, le=64, strict=True)] = 0
    gpu_resource: Annotated[str, StringConstraints(min_length=1, max_length=317)] = "nvidia.com/gpu"
    queue: Name | None = None
    shared_memory: Annotated[str, StringConstraints(pattern=r"^[0-9]+(Mi|Gi)$", max_length=16)] | None = None
    node_selector: Annotated[tuple[NodeLabel, ...], Field(max_length=16), Unique] = ()
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16), Unique] = ()
    volumes: Annotated[tuple[VolumeMount, ...], Field(max_length=16), Unique] = ()


class BackendSpec(TypedUnion):
    """What carries updates out on a cluster. ``anamnesis run`` always uses the local back end.

    A run that failed is tried again ``retries`` times; one that takes longer than ``deadline`` is ended as failed.
    """

    type: Literal["Local", "Kubeflow"] = "Local"
    kubeflow: KubeflowBackend | None = None
    retries: Annotated[int, Field(ge=0, le=20, strict=True)] = 2
    deadline: Duration = "1d"


class ContinualModelSpec(Model):
    """The model as its people want it."""

    state: Literal["Active", "Suspended"] = "Active"
    network: NetworkSpec = NetworkSpec()
    method: MethodSpec
    training: TrainingSpec = TrainingSpec()
    sites: Annotated[tuple[SiteReference, ...], Field(min_length=1, max_length=64), Unique]
    trigger: TriggerSpec = TriggerSpec()
    gate: GateSpec
    evaluation: EvaluationSpec | None = None
    change_plan: ChangePlanSpec = ChangePlanSpec()
    registry: RegistrySpec
    split_key: SplitKeySpec | None = None
    backend: BackendSpec = BackendSpec()
    history_limit: Annotated[int, Field(ge=1, le=1000, strict=True)] = 20


class ContinualModel(Resource):
    """One model that keeps learning."""

    kind: Literal["ContinualModel"]
    spec: ContinualModelSpec
    status: ContinualModelStatus = ContinualModelStatus()
