"""The CustomResourceDefinitions: schema, names and the columns of ``kubectl get``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anamnesis.operator.api.annotations import GROUP
from anamnesis.operator.api.api_model import API_VERSION, Resource
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.cel import RULES_KEYWORD
from anamnesis.operator.api.condition_types import (
    DECIDED,
    DRIFTING,
    FORGETTING,
    PROGRESSING,
    READY,
    RECORDED,
    STALLED,
)
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.string_types import NAME_PATTERN, PATTERN_DESCRIPTIONS
from anamnesis.operator.api.structural_schema import structural_schema, without_defaults
from anamnesis.operator.api.update import ModelUpdate

STATUS_BEFORE_THE_FIRST: Mapping[str, int] = {"observedGeneration": -1}
"""What the API server shows until the operator writes a status: tools wait, which take no status for a good one."""
VERSION = API_VERSION.removeprefix(f"{GROUP}/")


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """A column of ``kubectl get``; only ``-o wide`` shows a wide one."""

    name: str
    json_path: str
    type: str = "string"
    is_wide: bool = False

    def to_manifest(self) -> dict[str, Any]:
        """Returns the column as a CustomResourceDefinition holds it."""
        column = {"name": self.name, "type": self.type, "jsonPath": self.json_path}
        return column | ({"priority": 1} if self.is_wide else {})


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    """A CustomResourceDefinition.

    Attributes:
        resource_type: the type that gives the schema.
        short_name: short name for kubectl; empty for none.
        columns: the columns of ``kubectl get`` after the name.
        selectable_fields: fields that ``--field-selector`` accepts.
    """

    resource_type: type[Resource]
    short_name: str
    columns: tuple[PrinterColumn, ...]
    selectable_fields: tuple[str, ...] = ()

    @property
    def plural(self) -> str:
        """The resource's name in URLs."""
        return f"{self.resource_type.__name__.lower()}s"

    def to_manifest(self) -> dict[str, Any]:
        """Returns the CustomResourceDefinition."""
        name = self.resource_type.__name__
        names = {"kind": name, "listKind": f"{name}List", "plural": self.plural, "singular": name.lower()}
        short_names = {"shortNames": [self.short_name]} if self.short_name else {}
        version = {
            "name": VERSION,
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "additionalPrinterColumns": [column.to_manifest() for column in self.columns],
            "schema": {"openAPIV3Schema": resource_schema(self.resource_type)},
        }
        if self.selectable_fields:
            version["selectableFields"] = [{"jsonPath": path} for path in self.selectable_fields]
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "names": names | short_names | {"categories": ["anamnesis"]},
                "scope": "Namespaced",
                "versions": [version],
            },
        }


def resource_schema(resource_type: type[Resource]) -> dict[str, Any]:
    """Returns the schema of a whole resource. Kubernetes allows a definition to bound only the name of metadata."""
    schema = structural_schema(resource_type)
    properties = schema["properties"]
    name_schema = properties["metadata"]["properties"]["name"]
    properties["metadata"] = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": name_schema["maxLength"]}},
    }
    properties["apiVersion"] = {"type": "string", "maxLength": 64}
    properties["kind"] = {"type": "string", "maxLength": 64}
    properties["status"] = without_defaults(properties["status"]) | {"default": STATUS_BEFORE_THE_FIRST}
    rule = {
        "rule": f"self.metadata.name.matches('{NAME_PATTERN}')",
        "message": f"metadata.name: expected {PATTERN_DESCRIPTIONS[NAME_PATTERN]}",
    }
    return schema | {"required": ["spec"], RULES_KEYWORD: [rule]}


def _condition_path(condition_type: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{condition_type}")].{field}'


AGE_COLUMN = PrinterColumn("Age", ".metadata.creationTimestamp", "date")
RESOURCE_DEFINITIONS = (
    ResourceDefinition(
        ContinualModel,
        "cmodel",
        (
            PrinterColumn("Ready", _condition_path(READY, "status")),
            PrinterColumn("Update", _condition_path(PROGRESSING, "reason")),
            PrinterColumn("Forgetting", _condition_path(FORGETTING, "status")),
            PrinterColumn("Drifting", _condition_path(DRIFTING, "status")),
            PrinterColumn("Stalled", _condition_path(STALLED, "status")),
            AGE_COLUMN,
            PrinterColumn("Problem", _condition_path(STALLED, "message")),
            PrinterColumn("Champion", ".status.champion", is_wide=True),
            PrinterColumn("Promoted", ".status.promotionTime", "date", is_wide=True),
            PrinterColumn("Progress", _condition_path(PROGRESSING, "message"), is_wide=True),
        ),
    ),
    ResourceDefinition(
        Site,
        "",
        (
            PrinterColumn("Ready", _condition_path(READY, "status")),
            PrinterColumn("Source", ".spec.source.type"),
            PrinterColumn("Task", ".spec.task.name"),
            PrinterColumn("Files", ".status.source.files", "integer"),
            PrinterColumn("Patients", ".status.source.patients", "integer"),
            PrinterColumn("Changed", ".status.source.lastChangeTime", "date"),
            AGE_COLUMN,
            PrinterColumn("Problem", _condition_path(STALLED, "message")),
            PrinterColumn("Message", _condition_path(READY, "message"), is_wide=True),
            PrinterColumn("Polled", ".status.lastPollTime", "date", is_wide=True),
        ),
    ),
    ResourceDefinition(
        ModelUpdate,
        "mupdate",
        (
            PrinterColumn("Model", ".spec.model"),
            PrinterColumn("Site", ".spec.site"),
            PrinterColumn("State", _condition_path(DECIDED, "reason")),
            PrinterColumn("Run", ".status.run.state"),
            PrinterColumn("Attempt", ".status.run.attempt", "integer"),
            AGE_COLUMN,
            PrinterColumn("Message", _condition_path(DECIDED, "message")),
            PrinterColumn("Version", ".status.version", is_wide=True),
            PrinterColumn("Run-Name", ".status.run.name", is_wide=True),
        ),
        (".spec.model", ".spec.site"),
    ),
    ResourceDefinition(
        UpdateApproval,
        "approval",
        (
            PrinterColumn("Decision", ".spec.decision"),
            PrinterColumn("Update", ".spec.update"),
            PrinterColumn("Model", ".spec.model"),
            PrinterColumn("Approver", ".spec.approver"),
            PrinterColumn("State", _condition_path(RECORDED, "reason")),
            AGE_COLUMN,
            PrinterColumn("Message", _condition_path(RECORDED, "message")),
            PrinterColumn("Version", ".spec.version", is_wide=True),
            PrinterColumn("Reason", ".spec.reason", is_wide=True),
        ),
        (".spec.update", ".spec.model"),
    ),
)
