"""What all resource types share: camelCase fields, nothing unknown, everything bounded, decimals as strings."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

API_VERSION = "anamnesis.dev/v1alpha1"


class Model(BaseModel):
    """A part of a resource: camelCase in YAML, no unknown fields, no silent conversions between types."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, extra="forbid", frozen=True
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

    @model_validator(mode="after")
    def _only_the_member_of_the_type(self) -> Self:
        members = self.members()
        wanted = {members[self.type]} if self.type in members else set()
        given = {name for name in members.values() if getattr(self, name) is not None}
        if given != wanted:
            need, found = ", ".join(wanted) or "nothing", ", ".join(sorted(given)) or "nothing"
            raise ValueError(f"type {self.type} needs {need} beside it, found {found}")
        return self


def field_name(name: str) -> str:
    """Returns the field that goes with a method: ``EWCPrototype`` -> ``ewcPrototype``."""
    return re.sub(r"^[A-Z]+(?=[A-Z][a-z]|[0-9]|$)|^[A-Z]", lambda found: found[0].lower(), name)


def _decimal(value: object) -> Decimal:
    if not isinstance(value, str):
        raise ValueError(f'expected a decimal in quotes, like "0.80", found {value!r}')
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a decimal") from None
    if not number.is_finite():
        raise ValueError(f"{value!r} is not finite")
    return number


def _unique(values: tuple[object, ...]) -> tuple[object, ...]:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise ValueError(f"{getattr(value, 'name', value)!r} is listed twice")
    return values


DECIMAL = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$"


def rules(*rules: tuple[str, str]) -> dict[str, Any]:
    """Returns CEL rules for the API server, each with the message for a person, as part of a JSON schema."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def decimal_schema(*more: tuple[str, str]) -> dict[str, Any]:
    """Returns the schema of a decimal in quotes with further rules."""
    return {"type": "string", "maxLength": 32, "pattern": DECIMAL, **(rules(*more) if more else {})}


DecimalString = Annotated[Decimal, BeforeValidator(_decimal), WithJsonSchema(decimal_schema())]
Share = Annotated[
    DecimalString,
    Field(ge=0, le=1),
    WithJsonSchema(decimal_schema(("double(self) >= 0.0 && double(self) <= 1.0", "expected a decimal from 0 to 1"))),
]
"""A decimal from 0 to 1."""
Unique = AfterValidator(_unique)

Timestamp = Annotated[
    datetime, PlainSerializer(lambda time: time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), return_type=str)
]
"""A time in whole seconds, UTC."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
"""A Kubernetes name: lower-case letters, digits and dashes."""
Word = Annotated[str, StringConstraints(pattern=r"^[^/\s]([^/]*[^/\s])?$", max_length=63)]
"""A name of a task or class: anything but a slash."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Duration = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}(s|m|h|d)$", max_length=7)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Url = Annotated[str, StringConstraints(pattern=r"^(s3://[^/]+(/.*)?|file:///.*|[^:]+)$", max_length=1024)]
"""``s3://bucket/prefix``, ``file:///absolute/path``, or a path relative to the file that holds the resource."""


class SecretReference(Model):
    """A Secret by its name, in the same namespace."""

    name: Name


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
