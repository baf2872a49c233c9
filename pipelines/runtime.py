"""The constants of a cluster that ``specialise`` sets in a compiled pipeline, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anamnesis.records import InputError


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that the pods of the pipeline tolerate; empty fields are omitted."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class NodeCondition:
    """A condition on a label of a node: ``operator`` is one of Kubernetes' own, for example ``In``."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeAffinity:
    """Conditions on a node, which it meets together.

    Attributes:
        conditions: the conditions.
        weight: how much such a node is preferred, from 1 to 100; None requires it.
    """

    conditions: tuple[NodeCondition, ...]
    weight: int | None = None


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
class ConfigMapEnv:
    """A ConfigMap whose keys become environment variables; the attributes are those of ``SecretEnv``."""

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
class ConfigMapFiles:
    """A ConfigMap whose keys become files; the attributes are those of ``SecretFiles``."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class ComputeResources:
    """CPU and memory of the container of a step, as Kubernetes quantities; empty fields are not set.

    Attributes:
        cpu_request: CPUs that are reserved, for example ``500m``.
        cpu_limit: CPUs at most.
        memory_request: memory that is reserved, for example ``2Gi``.
        memory_limit: memory at most.
    """

    cpu_request: str = ""
    cpu_limit: str = ""
    memory_request: str = ""
    memory_limit: str = ""


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
        node_affinity: nodes that the pods require or prefer.
        secrets: secrets as environment variables, for the store and the split key.
        config_maps: ConfigMaps as environment variables.
        queue: local queue of Kueue; empty sets no label.
        pull_secrets: names of the image pull secrets.
        shared_memory: size of ``/dev/shm`` in steps with accelerators, for example ``2Gi``; empty keeps the default.
        volumes: volumes to mount.
        environment: environment variables.
        secret_files: secrets as files.
        config_map_files: ConfigMaps as files.
        resources: kind of step -> CPU and memory; the kinds are Ingest, Train, Evaluate and Decide.
    """

    image: str = ""
    accelerators: int = 0
    accelerator_type: str = "nvidia.com/gpu"
    tolerations: tuple[Toleration, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    node_affinity: tuple[NodeAffinity, ...] = ()
    secrets: tuple[SecretEnv, ...] = ()
    config_maps: tuple[ConfigMapEnv, ...] = ()
    queue: str = ""
    pull_secrets: tuple[str, ...] = ()
    shared_memory: str = ""
    volumes: tuple[Volume, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secret_files: tuple[SecretFiles, ...] = ()
    config_map_files: tuple[ConfigMapFiles, ...] = ()
    resources: Mapping[str, ComputeResources] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.accelerators < 0:
            raise InputError(f"runtime.accelerators: expected 0 or more, found {self.accelerators}")
