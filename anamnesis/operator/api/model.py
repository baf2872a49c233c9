"""A ContinualModel: network, method, sites, gate, registry and back end of one model that keeps learning."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, StringConstraints, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from anamnesis.operator.api.api_model import ApiModel, Metadata, Resource, SecretReference
from anamnesis.operator.api.backend import BackendSpec, KubeflowBackendSpec
from anamnesis.operator.api.cel import RULES_KEYWORD, cel_rules
from anamnesis.operator.api.default_network import PRETRAINED_NETWORK
from anamnesis.operator.api.gate import AnswersSpec, ChangePlanSpec, GateSpec
from anamnesis.operator.api.method import MethodSpec, supported_methods
from anamnesis.operator.api.network import NetworkSpec
from anamnesis.operator.api.signing import SigningSpec
from anamnesis.operator.api.split_key import SplitKeySpec
from anamnesis.operator.api.status import ContinualModelStatus
from anamnesis.operator.api.string_types import Name, Url
from anamnesis.operator.api.training import TrainingSpec
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

_SPLIT_KEY_MESSAGE = "backend Kubeflow excludes a splitKey of type File, because its pods cannot read your files"
_REGISTRY_URL_MESSAGE = (
    "backend Kubeflow needs a registry.url of s3://bucket/prefix or file:///path, "
    "because its pods cannot resolve a relative path"
)
_SIGNING_MESSAGE = (
    "approval Required on backend Kubeflow needs registry.signing, because without signatures anybody who can write to "
    "the bucket can write an approval; to make the keys, run: anamnesis key signing"
)


def _stored_images_message(method: str) -> str:
    return (
        f"method {method} keeps real images of patients in every version: choose another method, "
        "or set changePlan.storedImages: Allowed"
    )


class SiteReference(ApiModel):
    """Refers to a Site in the same namespace."""

    name: Name
    """Name of the Site."""


class RegistrySpec(ApiModel):
    """The registry: all versions of the model, and the log of decisions."""

    url: Url
    """s3://bucket/prefix or file:///absolute/path; on a laptop also a path relative to this file."""
    credentials_secret: SecretReference | None = None
    """Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION. Default: environment."""
    shared: Annotated[bool, Field(strict=True)] = False
    """True: models of the same name on other clusters use this registry too. Each of them must set it."""
    signing: SigningSpec | None = None
    """The keys that sign log entries, evaluations and results. If omitted, records are unsigned."""


class ContinualModelSpec(ApiModel):
    """The desired state of the model."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (
                "self.backend.type != 'Kubeflow' || !has(self.splitKey) || self.splitKey.type != 'File'",
                _SPLIT_KEY_MESSAGE,
            ),
            (
                "self.backend.type != 'Kubeflow' || self.registry.url.matches('^(s3://|file:///)')",
                _REGISTRY_URL_MESSAGE,
            ),
            (
                "self.backend.type != 'Kubeflow' || self.gate.approval != 'Required' || has(self.registry.signing)",
                _SIGNING_MESSAGE,
            ),
        )
    )

    state: Literal["Active", "Suspended"] = "Active"
    """Suspended: no update starts. A running update finishes, and the champion stays in use."""
    network: NetworkSpec = PRETRAINED_NETWORK
    """The network. A model with another network is a new model: it starts without a champion. If omitted, the
    EfficientNet-lite0 whose weights the training image has."""
    method: MethodSpec
    training: TrainingSpec = TrainingSpec()
    sites: Annotated[tuple[SiteReference, ...], Field(min_length=1, max_length=64), UniqueNames]
    """The Sites that the model learns from, in the order in which they joined."""
    trigger: TriggerSpec = TriggerSpec()
    gate: GateSpec
    answers: AnswersSpec = AnswersSpec()
    evaluation: EvaluationSpec | None = None
    change_plan: ChangePlanSpec = ChangePlanSpec()
    registry: RegistrySpec
    split_key: SplitKeySpec | None = None
    """The place of the network key, from which the key of each Site is derived. If omitted, a local file.

    On Kubeflow it may be omitted where each Site has its own splitKey.
    """
    backend: BackendSpec = BackendSpec()
    history_limit: Annotated[int, Field(ge=1, le=1000, strict=True)] = 20
    """How many finished ModelUpdates are kept. The registry's log keeps all decisions."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds a CEL rule for each method that stores images."""
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
        if self.backend.type == "Kubeflow" and self.split_key and self.split_key.type == "File":
            raise ValueError(_SPLIT_KEY_MESSAGE)
        if self.backend.type == "Kubeflow" and not self.registry.url.startswith(("s3://", "file:///")):
            raise ValueError(_REGISTRY_URL_MESSAGE)
        if self.backend.type == "Kubeflow" and self.gate.approval == "Required" and self.registry.signing is None:
            raise ValueError(_SIGNING_MESSAGE)
        return self


class ModelMetadata(Metadata):
    """Metadata with a short name: the names of updates append to it."""

    name: Annotated[Name, StringConstraints(max_length=50)]


class ContinualModel(Resource):
    """One model that keeps learning from the new data of its Sites, through a gate, without forgetting."""

    kind: Literal["ContinualModel"]
    metadata: ModelMetadata
    spec: ContinualModelSpec
    status: ContinualModelStatus = ContinualModelStatus()
