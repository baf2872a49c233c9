"""Reads the status of a model on this machine."""

from dataclasses import dataclass

from anamnesis.local.context import SelectedModel
from anamnesis.local.sources import make_site_inspector
from anamnesis.local.updates import observe_and_plan
from anamnesis.operator.plan import PlannedModelStatus
from anamnesis.pipelines.run_record import RunRecord, read_records
from anamnesis.records.timestamps import utc_now
from anamnesis.registry import Log


@dataclass(frozen=True, slots=True)
class LocalModelStatus:
    """The status of one model and of its registry.

    Attributes:
        model: its name.
        registry: URL.
        head: of the log, ``<number>:<digest>``.
        status: of the plan, with the state of each site.
        runs: oldest first.
    """

    model: str
    registry: str
    head: str
    status: PlannedModelStatus
    runs: tuple[RunRecord, ...]


def read_model_status(selected_model: SelectedModel) -> LocalModelStatus:
    """Returns the status of a model; writes nothing."""
    registry = selected_model.registry
    _, _, status = observe_and_plan(selected_model.local_context(""), make_site_inspector(selected_model), utc_now)
    runs = read_records(selected_model.state.runs)
    return LocalModelStatus(
        selected_model.model.name, registry.url, head=str(Log(registry).head()), status=status, runs=runs
    )
