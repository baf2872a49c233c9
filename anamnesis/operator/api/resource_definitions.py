"""The CustomResourceDefinitions: schema, names, and what ``kubectl get`` shows."""

from dataclasses import dataclass
from typing import Any

from anamnesis.operator.api.api_model import API_VERSION, Resource
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.cel import RULES
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.string_types import NAME, PATTERNS
from anamnesis.operator.api.structural_schema import structural, without_defaults
from anamnesis.operator.api.update import ModelUpdate

GROUP, _, VERSION = API_VERSION.partition("/")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``; a wide one is shown by ``-o wide`` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def encode(self) -> dict[str, Any]:
        """Returns it as the definition has it."""
        column = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return column | ({"priority": 1} if self.wide else {})


@dataclass(frozen=True, slots=True)
class Definition:
    """What a definition says beside the schema.

    Attributes:
        kind: the type.
        short: short name for kubectl; empty for none.
        columns: what ``kubectl get`` shows after the name.
        selectable: fields that ``--field-selector`` knows.
    """

    kind: type[Resource]
    short: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()

    @property
    def plural(self) -> str:
        """The resource's name in URLs."""
        return f"{self.kind.__name__.lower()}s"

    def manifest(self) -> dict[str, Any]:
        """Returns the CustomResourceDefinition."""
        name = self.kind.__name__
        named = {"kind": name, "listKind": f"{name}List", "plural": self.plural, "singular": name.lower()}
        short = {"shortNames": [self.short]} if self.short else {}
        version = {
            "name": VERSION,
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "additionalPrinterColumns": [column.encode() for column in self.columns],
            "schema": {"openAPIV3Schema": resource_schema(self.kind)},
        }
        if self.selectable:
            version["selectableFields"] = [{"jsonPath": path} for path in self.selectable]
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "names": named | short | {"categories": ["anamnesis"]},
                "scope": "Namespaced",
                "versions": [version],
            },
        }


def resource_schema(kind: type[Resource]) -> dict[str, Any]:
    """Returns the schema of a whole resource. Of metadata a definition may only bound the name."""
    schema = structural(kind)
    parts = schema["properties"]
    name = parts["metadata"]["properties"]["name"]
    parts["metadata"] = {"type": "object", "properties": {"name": {"type": "string", "maxLength": name["maxLength"]}}}
    parts["apiVersion"] = {"type": "string", "maxLength": 64}
    parts["kind"] = {"type": "string", "maxLength": 64}
    parts["status"] = without_defaults(parts["status"])
    rule = {"rule": f"self.metadata.name.matches('{NAME}')", "message": f"metadata.name: expected {PATTERNS[NAME]}"}
    return schema | {"required": ["spec"], RULES: [rule]}


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


AGE = Column("Age", ".metadata.creationTimestamp", "date")
DEFINITIONS = (
    Definition(
        ContinualModel,
        "cmodel",
        (
            Column("Ready", _condition("Ready", "status")),
            Column("Update", _condition("Progressing", "reason")),
            Column("Forgetting", _condition("Forgetting", "status")),
            Column("Drifting", _condition("Drifting", "status")),
            Column("Stalled", _condition("Stalled", "status")),
            AGE,
            Column("Problem", _condition("Stalled", "message")),
            Column("Champion", ".status.champion", wide=True),
            Column("Promoted", ".status.promoted", "date", wide=True),
            Column("Waiting", _condition("Progressing", "message"), wide=True),
        ),
    ),
    Definition(
        Site,
        "",
        (
            Column("Readable", _condition("Readable", "status")),
            Column("Source", ".spec.source.type"),
            Column("Task", ".spec.task.name"),
            Column("Files", ".status.source.files", "integer"),
            Column("Patients", ".status.source.patients", "integer"),
            Column("Changed", ".status.source.changed", "date"),
            AGE,
            Column("Message", _condition("Readable", "message")),
            Column("Polled", ".status.polled", "date", wide=True),
        ),
    ),
    Definition(
        ModelUpdate,
        "mupdate",
        (
            Column("Model", ".spec.model"),
            Column("Site", ".spec.site"),
            Column("State", _condition("Decided", "reason")),
            Column("Run", ".status.run.state"),
            Column("Attempt", ".status.run.attempt", "integer"),
            AGE,
            Column("Message", _condition("Decided", "message")),
            Column("Version", ".status.version", wide=True),
            Column("Run-Name", ".status.run.name", wide=True),
        ),
        (".spec.model", ".spec.site"),
    ),
    Definition(
        UpdateApproval,
        "approval",
        (
            Column("Decision", ".spec.decision"),
            Column("Update", ".spec.update"),
            Column("Model", ".spec.model"),
            Column("Approver", ".spec.approver"),
            Column("State", _condition("Recorded", "reason")),
            AGE,
            Column("Message", _condition("Recorded", "message")),
            Column("Version", ".spec.version", wide=True),
            Column("Why", ".spec.reason", wide=True),
        ),
        (".spec.update", ".spec.model"),
    ),
)
