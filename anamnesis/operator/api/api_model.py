"""What all resource types share: camelCase fields, nothing unknown, typed unions, the head of every resource."""

import re
from collections.abc import Mapping
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from anamnesis.operator.api.cel import rules
from anamnesis.operator.api.string_types import Name
from anamnesis.operator.api.value_types import Timestamp

API_VERSION = "anamnesis.dev/v1alpha1"


class Model(BaseModel):
    """A part of a resource: camelCase in YAML, no unknown fields, no silent conversions between types."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class TypedUnion(Model):
    """A union in the Kubernetes way: ``type: Folder`` and beside it the one member ``folder: {...}``."""

    type: str

    @classmethod
    def members(cls) -> dict[str, str]:
        """Returns type -> the field that goes with it, for the types that have one."""
        fields = {name.replace("_", ""): name for name in cls.model_fields}
        types = get_args(cls.model_fields["type"].annotation)
        return {kind: fields[kind.lower()] for kind in types if kind.lower() in fields}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Adds a rule for each member."""
        schema = handler.resolve_ref_schema(handler(core))
        schema |= rules(*(_goes_with(kind, to_camel(field)) for kind, field in cls.members().items()))
        return schema

    @model_validator(mode="after")
    def _only_the_member_of_the_type(self) -> Self:
        members = self.members()
        wanted = {members[self.type]} if self.type in members else set()
        given = {name for name in members.values() if getattr(self, name) is not None}
        if given != wanted:
            need, found = ", ".join(wanted) or "nothing", ", ".join(sorted(given)) or "nothing"
            raise ValueError(f"type {self.type} needs {need} beside it, found {found}")
        return self


def _goes_with(kind: str, field: str) -> tuple[str, str]:
    message = f"type {kind} needs {field} beside it, and {field} goes with no other type"
    return f"(self.type == '{kind}') == has(self.{field})", message


def field_name(name: str) -> str:
    """Returns the field that goes with a method: ``EWCPrototype`` -> ``ewcPrototype``."""
    return re.sub(r"^[A-Z]+(?=[A-Z][a-z]|[0-9]|$)|^[A-Z]", lambda found: found[0].lower(), name)


class SecretReference(Model):
    """A Secret by its name, in the same namespace."""

    name: Name
    """Name of the Secret."""


class Told(Model):
    """A part of what the operator itself told; what a newer release told besides is passed over."""

    model_config = ConfigDict(extra="ignore")


class Metadata(Model):
    """What Kubernetes keeps of every object; what nobody here asks for is passed over."""

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


class Resource(Model):
    """The head of every resource."""

    api_version: Literal["anamnesis.dev/v1alpha1"]
    metadata: Metadata
