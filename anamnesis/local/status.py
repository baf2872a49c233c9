"""Reads the status of a model on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from anamnesis.local.candidate_reports import waiting_reports
from anamnesis.local.context import SelectedModel
from anamnesis.local.signing import unverified_entry_warnings
from anamnesis.local.sources import make_site_inspector
from anamnesis.local.updates import observe_and_plan
from anamnesis.local.weights_file import describe_changed_weights
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.plan import PlannedModelStatus
from anamnesis.pipelines.run_record import RunRecord, read_records
from anamnesis.records import encode_object
from anamnesis.records.timestamps import utc_now
from anamnesis.registry import Log, describe_learning_rate, list_update_records
from anamnesis.registry.registry_store import signing_of
from anamnesis.registry.signature_verification import describe_signers


@dataclass(frozen=True, slots=True)
class LocalModelStatus:
    """The status of one model and of its registry.

    Attributes:
        model: its name.
        registry: URL.
        head: of the log, ``<number>:<digest>``.
        status: of the plan, with the state of each site.
        runs: oldest first.
        problems: why records of runs are not readable.
        warnings: about entries of the log that are not verified, and about a changed file of weights.
        signatures: who signed the entries of the log, and whether that was verified.
        reports: site -> the report about its version that waits for a person.
        learning_rate: of the champion and where it comes from, in words; empty where it has none.
    """

    model: str
    registry: str
    head: str
    status: PlannedModelStatus
    runs: tuple[RunRecord, ...]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    signatures: str = ""
    reports: Mapping[str, CandidateReport] = field(default_factory=dict)
    learning_rate: str = ""

    def document(self) -> dict[str, object]:
        """Returns the content as a document for programs."""
        reports = {site: report.document() for site, report in self.reports.items()}
        return {**encode_object(replace(self, reports={})), "reports": reports}


def read_model_status(selected_model: SelectedModel) -> LocalModelStatus:
    """Returns the status of a model; writes nothing."""
    registry, context = selected_model.registry, selected_model.local_context("")
    observation, _, status = observe_and_plan(context, make_site_inspector(selected_model), utc_now)
    problems: list[str] = []
    runs = read_records(selected_model.state.runs, problems.append)
    return LocalModelStatus(
        selected_model.model.name,
        registry.url,
        head=str(Log(registry).head()),
        status=status,
        runs=runs,
        problems=tuple(problems),
        warnings=(
            *unverified_entry_warnings(registry),
            *filter(None, [describe_changed_weights(context.model, registry)]),
        ),
        signatures=describe_signers(Log(registry).entries(), signing_of(registry)),
        reports=waiting_reports(context, observation, status),
        learning_rate=describe_learning_rate(registry, status.champion, list_update_records(registry)),
    )
