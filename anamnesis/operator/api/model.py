"""A ContinualModel: network, method, sites in order, gate, registry and back end of one model that keeps learning."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, StringConstraints, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from anamnesis.operator.api.api_model import ApiModel, Metadata, Resource, SecretReference, TypedUnion
from anamnesis.operator.api.backend import BackendSpec, KubeflowBackendSpec
from anamnesis.operator.api.cel import RULES_KEYWORD, cel_rules
from anamnesis.operator.api.gate import ChangePlanSpec, GateSpec
from anamnesis.operator.api.method import MethodSpec, supported_methods
from anamnesis.operator.api.status import ContinualModelStatus
from anamnesis.operator.api.string_types import EnvironmentName, Name, SecretKeyName, Text, Url
from anamnesis.operator.api.training import NetworkSpec, TrainingSpec
from anamnesis.operator.api.trigger import EvaluationSpec, TriggerSpec
from anamnesis.operator.api.value_types import UniqueNames

__all__ = [
    "BackendSpec",
    "ContinualModel",
    "ContinualModelSpec",
    "EvaluationSpec",
    "GateSpec",
    "KubeflowBackendSpec",
    "RegistrySpec",
    "SplitKeySpec",
    "TriggerSpec",
]

_SPLIT_KEY_MESSAGE = (
    "backend Kubeflow needs a splitKey of type Secret or Environment: its pods share no file with whoever wrote this"
)
_REGISTRY_URL_MESSAGE = (
    "backend Kubeflow needs a registry.url of s3://bucket/prefix or file:///path: "
    "pods know no folder at which a relative path could start"
)


def _stored_images_message(method: str) -> str:
    return (
        f"method {method} keeps real images of patients in every version: choose another one, "
        "or allow it with changePlan.storedImages: Allowed"
    )


class SiteReference(ApiModel):
    """A Site by its name."""

    name: Name
    """Name of the Site, in the same namespace."""


class RegistrySpec(ApiModel):
    """Where versions and the log of decisions are."""

    url: Url
    """s3://bucket/prefix, file:///absolute/path or, where a file is read locally, a path relative to that file."""
    credentials_secret: SecretReference | None = None
    """Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION."""


class FileKey(ApiModel):
    """A file; made on first use where it does not exist."""

    path: Text
    """Path of the file. Keep it: with another key, test patients would get into training."""


class EnvironmentKey(ApiModel):
    """An environment variable."""

    name: EnvironmentName
    """Name of the variable."""


class SecretKey(ApiModel):
    """A key of a Secret. On a laptop it is the environment variable ``ANAMNESIS_SPLIT_KEY``."""

    name: Name
    """Name of the Secret."""
    key: SecretKeyName = "key"
    """The key in it."""


class SplitKeySpec(TypedUnion):
    """Where the secret is that decides which patient is tested on."""

    type: Literal["File", "Environment", "Secret"]
    """Which of the fields beside it is given."""
    file: FileKey | None = None
    environment: EnvironmentKey | None = None
    secret: SecretKey | None = None


class ContinualModelSpec(ApiModel):
    """The model as its people want it."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (
                "self.backend.type != 'Kubeflow' || (has(self.splitKey) && self.splitKey.type != 'File')",
                _SPLIT_KEY_MESSAGE,
            ),
            (
                "self.backend.type != 'Kubeflow' || self.registry.url.matches('^(s3://|file:///)')",
                _REGISTRY_URL_MESSAGE,
            ),
        )
    )

    state: Literal["Active", "Suspended"] = "Active"
    """Suspended begins no update; one that runs is finished, and the champion stays in use."""
    network: NetworkSpec = NetworkSpec()
    method: MethodSpec
    training: TrainingSpec = TrainingSpec()
    sites: Annotated[tuple[SiteReference, ...], Field(min_length=1, max_length=64), UniqueNames]
    """The sites that it learns from, in the order in which they joined."""
    trigger: TriggerSpec = TriggerSpec()
    gate: GateSpec
    evaluation: EvaluationSpec | None = None
    change_plan: ChangePlanSpec = ChangePlanSpec()
    registry: RegistrySpec
    split_key: SplitKeySpec | None = None
    """Where the secret is that decides which patient is tested on; left out, a file that local mode makes."""
    backend: BackendSpec = BackendSpec()
    history_limit: Annotated[int, Field(ge=1, le=1000, strict=True)] = 20
    """How many finished ModelUpdates are kept; the registry's log keeps all decisions."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds a rule for each method that stores images."""
        schema = handler.resolve_ref_schema(handler(core))
        allowed_rule = "self.changePlan.storedImages == 'Allowed'"
        exemplar_methods = [entry.name for entry in supported_methods().values() if entry.stores_exemplars]
        stored_image_rules = cel_rules(
            *(
                (f"self.method.name != '{name}' || {allowed_rule}", _stored_images_message(name))
                for name in exemplar_methods
            )
        )
        schema[RULES_KEYWORD] = [*schema[RULES_KEYWORD], *stored_image_rules[RULES_KEYWORD]]
        return schema

    @model_validator(mode="after")
    def _check_stored_images(self) -> Self:
        if self.method.entry.stores_exemplars and self.change_plan.stored_images != "Allowed":
            raise ValueError(_stored_images_message(self.method.name))
        return self

    @model_validator(mode="after")
    def _check_pod_access(self) -> Self:
        if self.backend.type == "Kubeflow" and (self.split_key is None or self.split_key.type == "File"):
            raise ValueError(_SPLIT_KEY_MESSAGE)
        if self.backend.type == "Kubeflow" and not self.registry.url.startswith(("s3://", "file:///")):
            raise ValueError(_REGISTRY_URL_MESSAGE)
        return self


class ModelMetadata(Metadata):
    """Metadata whose name leaves room for what the names of updates add."""

    name: Annotated[Name, StringConstraints(max_length=50)]


class ContinualModel(Resource):
    """One model that keeps learning: from its sites' new data, through a gate, without forgetting."""

    kind: Literal["ContinualModel"]
    metadata: ModelMetadata
    spec: ContinualModelSpec
    status: ContinualModelStatus = ContinualModelStatus()
