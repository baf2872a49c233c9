"""Base classes of all resource types: camelCase fields, no unknown fields, typed unions, metadata."""

import re
from collections.abc import Mapping
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from anamnesis.operator.api.annotations import GROUP
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import Name
from anamnesis.operator.api.value_types import Timestamp

API_VERSION = f"{GROUP}/v1alpha1"


class ApiModel(BaseModel):
    """A part of a resource: camelCase in YAML, no unknown fields, no silent conversions between types."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class TypedUnion(ApiModel):
    """A union in the Kubernetes way: ``type: Folder`` with the one member ``folder: {...}``."""

    type: str

    @classmethod
    def member_fields(cls) -> dict[str, str]:
        """Returns type -> the field that goes with it, for the types that have one."""
        fields = {name.replace("_", ""): name for name in cls.model_fields}
        types = get_args(cls.model_fields["type"].annotation)
        return {type_name: fields[type_name.lower()] for type_name in types if type_name.lower() in fields}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds a CEL rule for each member."""
        schema = handler.resolve_ref_schema(handler(core))
        schema |= cel_rules(
            *(_member_rule(type_name, to_camel(field)) for type_name, field in cls.member_fields().items())
        )
        return schema

    @model_validator(mode="after")
    def _check_member_matches_type(self) -> Self:
        members = self.member_fields()
        expected_fields = {members[self.type]} if self.type in members else set()
        present_fields = {name for name in members.values() if getattr(self, name) is not None}
        if present_fields != expected_fields:
            missing = ", ".join(expected_fields - present_fields)
            excess = ", ".join(sorted(present_fields - expected_fields))
            if missing and excess:
                raise ValueError(
                    f"type {self.type} needs the field {missing} and excludes the field {excess}; "
                    "correct the type or the fields"
                )
            if missing:
                raise ValueError(f"type {self.type} needs the field {missing}; add the field")
            raise ValueError(f"type {self.type} excludes the field {excess}; remove the field")
        return self


def _member_rule(type_name: str, field: str) -> tuple[str, str]:
    message = f"type {type_name} needs the field {field}; set {field} for type {type_name} only"
    return f"(self.type == '{type_name}') == has(self.{field})", message


def method_field_name(method_name: str) -> str:
    """Returns the field that goes with a method: ``EWCPrototype`` -> ``ewcPrototype``."""
    return re.sub(r"^[A-Z]+(?=[A-Z][a-z]|[0-9]|$)|^[A-Z]", lambda match: match[0].lower(), method_name)


class SecretReference(ApiModel):
    """Refers to a Secret in the same namespace."""

    name: Name
    """Name of the Secret."""


class StatusModel(ApiModel):
    """A part of a status. Fields that a newer release wrote are ignored."""

    model_config = ConfigDict(extra="ignore")


class Metadata(ApiModel):
    """The part of Kubernetes' object metadata that the operator uses; other fields are ignored."""

    model_config = ConfigDict(extra="ignore")
    name: Name
    namespace: Name | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    finalizers: tuple[str, ...] = ()
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None


class Resource(ApiModel):
    """Base class of the resources."""

    api_version: Literal["anamnesis.dev/v1alpha1"]
    metadata: Metadata
