"""What ``status`` and ``methods`` tell."""

from dataclasses import dataclass

from anamnesis.local.context import Selected
from anamnesis.local.sources import looker
from anamnesis.local.updates import look_and_plan
from anamnesis.operator.plan import Status
from anamnesis.pipelines.record import RunRecord, read_records
from anamnesis.records.timestamps import utc_now
from anamnesis.registry import Log


@dataclass(frozen=True, slots=True)
class Overview:
    """How one model is.

    Attributes:
        model: its name.
        registry: URL.
        head: of the log, ``<number>:<digest>``.
        status: where each site stands.
        runs: oldest first.
    """

    model: str
    registry: str
    head: str
    status: Status
    runs: tuple[RunRecord, ...]


def overview(selected: Selected) -> Overview:
    """Returns how a model is; writes nothing."""
    registry = selected.registry
    _, _, status = look_and_plan(selected.wanted(""), looker(selected), utc_now)
    runs = read_records(selected.state.runs)
    return Overview(selected.model.name, registry.url, str(Log(registry).head()), status, runs)
