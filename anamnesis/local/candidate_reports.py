"""The reports about candidates on this machine."""

from collections.abc import Mapping

from anamnesis.local.context import SelectedModel
from anamnesis.local.plan_input import LocalObservation
from anamnesis.local.sources import make_site_inspector
from anamnesis.local.updates import LocalContext, build_update_request, observe_and_plan
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.candidate_reports import CandidateScores, build_candidate_report
from anamnesis.operator.plan import PlannedModelStatus, SiteState
from anamnesis.operator.requests import gate_policy
from anamnesis.records import Decision
from anamnesis.records.timestamps import utc_now
from anamnesis.registry import Log, RequiredTestSet, evaluate_gate, list_versions, read_evaluations, read_version
from anamnesis.updates.reporting import DECISION_KINDS
from anamnesis.updates.required_tests import required_tests

_STATES_WITH_CANDIDATE = (SiteState.AWAITING_APPROVAL, SiteState.AWAITING_EVALUATIONS)


def read_candidate_report(selected_model: SelectedModel, digest: str) -> CandidateReport | None:
    """Returns the report about a version, as the gate of the model in the files judges it now.

    None where the site of the version is not in the files, so that its test set is not known here.
    """
    context = selected_model.local_context("")
    observation, _, _ = observe_and_plan(context, make_site_inspector(selected_model), utc_now)
    is_site_known = read_version(selected_model.registry, digest).site in observation.site_contents
    return _build_report(context, observation, digest) if is_site_known else None


def waiting_reports(
    context: LocalContext, observation: LocalObservation, status: PlannedModelStatus
) -> Mapping[str, CandidateReport]:
    """Returns site -> the report about the version that waits for a person."""
    waiting_sites = [site.name for site in status.sites if site.state in _STATES_WITH_CANDIDATE]
    return {
        name: _build_report(context, observation, candidates[-1].version)
        for name in waiting_sites
        if (candidates := observation.plan_input.sites[name].candidates)
    }


def decisions_of_open_versions(selected_model: SelectedModel) -> Mapping[str, Decision]:
    """Returns what the gate says now about each version that the log does not decide on.

    Versions of sites that are not in the files are left out: their test sets are not known here.
    """
    context = selected_model.local_context("")
    observation, _, _ = observe_and_plan(context, make_site_inspector(selected_model), utc_now)
    store = context.registry
    decided = {entry.subject for entry in Log(store).entries() if entry.kind in DECISION_KINDS}
    open_versions = [digest for digest in list_versions(store) if digest not in decided]
    return {
        digest: evaluate_gate(
            store, digest, gate_policy(context.model.resource.spec), _required_tests(context, observation, site)
        )
        for digest in open_versions
        if (site := read_version(store, digest).site) in observation.site_contents
    }


def _required_tests(context: LocalContext, observation: LocalObservation, site: str) -> list[RequiredTestSet]:
    request = build_update_request(context, observation, site)
    return required_tests(request, observation.site_contents[site].test_set)


def _build_report(context: LocalContext, observation: LocalObservation, digest: str) -> CandidateReport:
    store = context.registry  # reads signed evaluations only, where records are signed
    version = read_version(store, digest)
    tests = _required_tests(context, observation, version.site)
    policy = gate_policy(context.model.resource.spec)
    scores = CandidateScores(
        version=digest,
        base=version.base,
        tests=tests,
        criteria=evaluate_gate(store, digest, policy, tests).criteria,
        evaluations=read_evaluations(store, digest),
        base_evaluations=read_evaluations(store, version.base) if version.base else (),
    )
    return build_candidate_report(scores)
