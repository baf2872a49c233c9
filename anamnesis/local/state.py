"""The files of local mode outside of the registry: run records, the last status, and the log's head as an anchor."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.plan import PlannedModelStatus
from anamnesis.records import encode
from anamnesis.registry import LogPosition


@dataclass(frozen=True, slots=True)
class LocalState:
    """The folder ``.anamnesis/<model>`` beside the model's file; without it only the history of runs is lost.

    Attributes:
        folder: its path.
    """

    folder: Path

    @classmethod
    def for_model(cls, model: LoadedResource[ContinualModel]) -> "LocalState":
        """Returns the state of ``model``."""
        return cls(model.folder / ".anamnesis" / model.name)

    @property
    def runs(self) -> Path:
        """Folder of the run records."""
        return self.folder / "runs"

    @property
    def split_key(self) -> Path:
        """File of the network key, one for all models of the folder, where the model names no other."""
        return self.folder.parent / "split.key"

    @property
    def signing_key(self) -> Path:
        """File of the key that signs what this machine writes to the registry."""
        return self.folder / "signing.key"

    def write_status(self, status: PlannedModelStatus, head: LogPosition | None) -> None:
        """Writes the status, as ``ContinualModel.status`` has it on a cluster; atomic."""
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {"status": encode(status), "head": encode(head)}
        temporary = self.folder / f".status-{secrets.token_hex(4)}"
        temporary.write_text(json.dumps(document, indent=2), encoding="utf-8")
        temporary.replace(self.folder / "status.json")

    def head(self) -> LogPosition | None:
        """Returns the log's head as last seen on this machine, or none."""
        file = self.folder / "status.json"
        if not file.exists():
            return None
        head: Mapping[str, Any] | None = json.loads(file.read_text(encoding="utf-8"))["head"]
        return LogPosition(int(head["number"]), str(head["digest"])) if head else None
