"""The reports about the versions of ModelUpdates, and the ConfigMap that holds one. Pure over what was read before."""

from collections.abc import Iterable, Mapping

from anamnesis.operator.api.annotations import LABEL_PREFIX
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.config_map import REPORT_KEY, ConfigMap, report_name
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.candidate_reports import CandidateScores, build_candidate_report
from anamnesis.operator.controllers.continualmodel.gate_decisions import UndecidedVersion, update_tests
from anamnesis.operator.controllers.continualmodel.state import RegistryState, StoredEvaluations
from anamnesis.records import Criterion, Decision, canonical_json


def unreported_versions(updates: Iterable[ModelUpdate], registry: RegistryState) -> tuple[UndecidedVersion, ...]:
    """Returns the versions of ``updates`` whose status has no report yet, decided or not."""
    versions = []
    for update in updates:
        result = registry.result_of(update)
        if result is not None and result.version and update.status.report is None:
            versions.append(UndecidedVersion(update.metadata.name, result.version, update_tests(update, result)))
    return tuple(versions)


def build_reports(
    versions: Iterable[UndecidedVersion],
    decisions: Mapping[str, Decision],
    registry: RegistryState,
    evaluations: StoredEvaluations,
) -> Mapping[str, CandidateReport]:
    """Returns update -> the report about its version.

    Args:
        versions: which versions.
        decisions: update -> the gate's decision now; the log has the decision about the others.
        registry: the registry.
        evaluations: of the versions and of all promoted versions.
    """
    reports = {}
    for item in versions:
        base = registry.versions[item.version].base
        decision = decisions.get(item.update)
        scores = CandidateScores(
            version=item.version,
            base=base,
            tests=item.tests,
            criteria=decision.criteria if decision else _logged_criteria(registry, item.version),
            evaluations=evaluations.by_version[item.version],
            base_evaluations=evaluations.by_version.get(base or "", ()),
        )
        reports[item.update] = build_candidate_report(scores)
    return reports


def report_config_map(update: ModelUpdate, report: CandidateReport) -> ConfigMap:
    """Returns the ConfigMap of a report; another report has another name, so it is written once."""
    labels = {"report": "candidate", "model": update.spec.model, "site": update.spec.site}
    return ConfigMap(
        name=report_name(update.metadata.name, report.digest),
        namespace=update.metadata.namespace or "",
        labels={f"{LABEL_PREFIX}{name}": value for name, value in labels.items()},
        data={REPORT_KEY: canonical_json(report.document()).decode()},
    )


def _logged_criteria(registry: RegistryState, version: str) -> tuple[Criterion, ...]:
    decisions = [entry.decision for entry in registry.entries if entry.subject == version and entry.decision]
    return decisions[-1].criteria if decisions else ()
