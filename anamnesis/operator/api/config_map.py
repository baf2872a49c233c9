"""ConfigMaps with the reports about candidates: numbers only, owned by the ModelUpdate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from anamnesis.records import digest_hex

REPORT_KEY: Final = "report.json"
"""Key of the data that holds a report."""


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A ConfigMap that cannot be changed.

    Attributes:
        name: of the object.
        namespace: of the object.
        labels: of the object.
        data: key -> text.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    data: Mapping[str, str]


def report_name(update: str, report_digest: str) -> str:
    """Returns the name of the ConfigMap with a report about the version of an update."""
    return f"{update}-report-{digest_hex(report_digest)[:10]}"
