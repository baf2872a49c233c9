"""The files of local mode outside of the registry: run records, the last status, and the log's head as an anchor."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.plan import PlannedModelStatus
from anamnesis.records import encode
from anamnesis.registry import LogPosition
from anamnesis.storage import open_store
from anamnesis.storage.cached import CachedStore
from anamnesis.storage.folder import translate_os_errors


@dataclass(frozen=True, slots=True)
class LocalState:
    """The folder ``.anamnesis/<model>`` beside the model's file; without it only the history of runs is lost.

    Attributes:
        folder: its path.
        open_stores: URL -> a registry that this process has read, with a cache: its log is read once.
    """

    folder: Path
    open_stores: dict[str, CachedStore] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def for_model(cls, model: LoadedResource[ContinualModel]) -> "LocalState":
        """Returns the state of ``model``."""
        return cls(model.folder / ".anamnesis" / model.name)

    def open_registry_store(self, url: str) -> CachedStore:
        """Returns the store at a registry's URL, the same one at every call."""
        if url not in self.open_stores:
            self.open_stores[url] = CachedStore(open_store(url))
        return self.open_stores[url]

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

    def write_status(self, status: PlannedModelStatus, head: LogPosition, registry: str) -> None:
        """Writes the status, as ``ContinualModel.status`` has it on a cluster; atomic."""
        self._write({"status": encode(status), "head": encode(head), "registry": registry})

    def write_head(self, head: LogPosition, registry: str) -> None:
        """Remembers the log's head after an entry that this machine wrote; atomic."""
        self._write({**self._read(), "head": encode(head), "registry": registry})

    @property
    def status_file(self) -> Path:
        """File with the last status and the log's head."""
        return self.folder / "status.json"

    def _read(self) -> Mapping[str, Any]:
        """Returns the stored document; empty before the first run."""
        stored: Mapping[str, Any] = (
            json.loads(self.status_file.read_text(encoding="utf-8")) if self.status_file.exists() else {}
        )
        return stored

    def _write(self, document: Mapping[str, Any]) -> None:
        temporary = self.folder / f".status-{secrets.token_hex(4)}"
        with translate_os_errors(self.status_file):
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(document, indent=2), encoding="utf-8")
            temporary.replace(self.status_file)

    def head(self, registry: str) -> LogPosition | None:
        """Returns the head of a registry's log as last seen on this machine, or none."""
        document = self._read()
        head: Mapping[str, Any] | None = document.get("head") if document.get("registry") == registry else None
        return LogPosition(int(head["number"]), str(head["digest"])) if head else None
