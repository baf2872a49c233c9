"""What the controllers need besides the cluster and the clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anamnesis.operator.api import ContinualModel, LoadedResource
from anamnesis.operator.backends.base import Backend
from anamnesis.storage import Store, open_store

Environment = Mapping[str, str]
MakeBackend = Callable[[LoadedResource[ContinualModel]], Backend]


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """What reconciling needs besides the cluster and the clock.

    Attributes:
        environment: of the process; the Secret that a resource names is merged over it.
        state_folder: folder for the files of the local back end, and for split keys where a model names no Secret.
        backend_factory: makes the back end of a model.
        open_store: opens a registry or a site's store.
        signing_key: file of the private key that signs log entries, or none.
    """

    environment: Environment = field(repr=False)
    state_folder: Path
    backend_factory: MakeBackend
    open_store: Callable[[str, Environment], Store] = open_store
    signing_key: Path | None = None
