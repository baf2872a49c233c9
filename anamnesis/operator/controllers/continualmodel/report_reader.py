"""Reads the report about one version as it is now: what an approver must have read."""

from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.continualmodel.gate_decisions import (
    decide_versions,
    undecided_versions,
    versions_and_bases,
)
from anamnesis.operator.controllers.continualmodel.registry_reader import read_registry, read_stored_evaluations
from anamnesis.operator.controllers.continualmodel.reports import build_reports
from anamnesis.operator.requests import gate_policy
from anamnesis.records import LogEntry
from anamnesis.storage import Store


def read_report(
    model: ContinualModel, update: ModelUpdate, registry: Store, entries: tuple[LogEntry, ...]
) -> CandidateReport | None:
    """Returns the report about the version of ``update``; none where the gate does not decide."""
    state = read_registry(registry, entries)
    undecided = undecided_versions((update,), state)
    evaluations = read_stored_evaluations(
        registry,
        versions=versions_and_bases(undecided, state),
        tests=tuple(test for item in undecided for test in item.tests),
        history=state.history,
        previous=None,
    )
    decisions = decide_versions(undecided, gate_policy(model.spec), state, evaluations)
    reports = build_reports(undecided, decisions, state, evaluations)
    return next(iter(reports.values()), None)
