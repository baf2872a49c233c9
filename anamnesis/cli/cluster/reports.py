"""Reads the report about the version of a model that waits for a person, without the keys of any bucket."""

import json
from dataclasses import dataclass

from anamnesis.cli.cluster.connection import Connection
from anamnesis.cli.output import print_note
from anamnesis.operator.api import ContinualModel, condition_types
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.config_map import REPORT_KEY, report_name
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.records import InputError, IntegrityError, RefusedError, digest_json


@dataclass(frozen=True, slots=True)
class PublishedReport:
    """A report and where it belongs.

    Attributes:
        update: name of the ModelUpdate.
        state: of the update.
        digest: of the report; an UpdateApproval names it.
        report: the numbers.
    """

    update: str
    state: str
    digest: str
    report: CandidateReport

    def document(self) -> dict[str, object]:
        """Returns the content for programs."""
        return {
            "update": self.update,
            "state": self.state,
            "digest": self.digest,
            "report": self.report.document(),
        }


def read_published_report(connection: Connection, model: str) -> PublishedReport:
    """Returns the report about the version that waits for a person; where none waits, the newest report.

    Raises:
        InputError: there is no such model, or none of its updates has a report yet.
        IntegrityError: somebody replaced the ConfigMap of the report.
    """
    connection.get(ContinualModel, model)
    updates = [update for update in connection.list_all(ModelUpdate) if update.spec.model == model]
    reported = [update for update in updates if update.status.report_digest]
    if not reported:
        raise InputError(
            f"ContinualModel {model} in namespace {connection.namespace}: no update has a report yet; a report is "
            f"written when a run has evaluated its version: anamnesis status -n {connection.namespace} {model}"
        )
    update = max(reported, key=lambda each: (_state(each) == UpdateState.AWAITING_APPROVAL, _creation_time(each)))
    digest = update.status.report_digest or ""
    report = _read_config_map(connection, update.metadata.name, digest) or update.status.report
    assert report is not None  # the operator writes both fields at once
    return PublishedReport(update.metadata.name, _state(update), digest, report)


def _read_config_map(connection: Connection, update: str, digest: str) -> CandidateReport | None:
    """Returns the report in the ConfigMap; none without the right to read it, or where there is none."""
    name = report_name(update, digest)
    try:
        config_map = connection.get_or_none(f"/api/v1/namespaces/{connection.namespace}/configmaps/{name}")
    except RefusedError:
        print_note(f"anamnesis: no right to read ConfigMap {name}; this is the copy in the status of the update")
        return None
    if config_map is None:
        return None
    document = json.loads(config_map.get("data", {}).get(REPORT_KEY, "null"))
    if digest_json(document) != digest:
        raise IntegrityError(
            f"ConfigMap {name} in namespace {connection.namespace}: its report does not have the digest {digest} of "
            f"ModelUpdate {update}; somebody replaced the ConfigMap: find out who, then delete it"
        )
    return CandidateReport.model_validate(document)


def _state(update: ModelUpdate) -> str:
    condition = update.status.condition(condition_types.DECIDED)
    return condition.reason if condition else UpdateState.WAITING


def _creation_time(update: ModelUpdate) -> float:
    created_at = update.metadata.creation_timestamp
    return created_at.timestamp() if created_at else 0.0
