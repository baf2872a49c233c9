from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.operator.api import load_resources
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.plan import Candidate, CreateUpdate, ObservedSite, PlanInput, SiteState, plan
from anamnesis.operator.plan.site_input import SiteInput
from anamnesis.operator.plan.site_readiness import SITE_CHECKS, decide_site
from anamnesis.records import Verdict

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LEARNED, NEW = ObservedSite(is_learned=True), ObservedSite()


@pytest.fixture
def spec(both_sites: str, model_text: str, resource_file: Callable[[str], Path]) -> ContinualModelSpec:
    return load_resources(resource_file(both_sites + "---\n" + model_text)).models["chest"].resource.spec


def states(
    spec: ContinualModelSpec, first: ObservedSite, second: ObservedSite, **observed_fields: frozenset[str]
) -> list[str]:
    observed = PlanInput("sha256:base", {"guangzhou": first, "bethesda": second}, **observed_fields, on_demand=True)
    actions, status = plan(spec, observed, NOW)
    submitted = {action.site for action in actions if isinstance(action, CreateUpdate)}
    assert submitted == {site.name for site in status.sites if site.state is SiteState.NEXT}
    return [site.state.value for site in status.sites]


def site_with_candidate(verdict: Verdict, **candidate_fields: bool) -> ObservedSite:
    return ObservedSite(candidates=(Candidate("sha256:c", verdict, "missing: a score", **candidate_fields),))


def test_sites_are_learned_in_the_order_they_joined(spec: ContinualModelSpec) -> None:
    assert states(spec, NEW, NEW) == ["Next", "Queued"]
    assert states(spec, LEARNED, NEW) == ["Learned", "Next"]
    assert states(spec, LEARNED, LEARNED) == ["Learned", "Learned"]
    assert states(spec, NEW, LEARNED) == ["Next", "Learned"]


def test_the_base_is_the_champion(spec: ContinualModelSpec) -> None:
    actions, status = plan(spec, PlanInput("sha256:x", {"guangzhou": LEARNED, "bethesda": NEW}, on_demand=True), NOW)
    assert actions == (CreateUpdate("bethesda", "sha256:x"),)
    assert (status.champion, status.planned_at) == ("sha256:x", "2026-11-20T00:00:00+00:00")


def test_what_waits_for_approval_holds_up_the_next_site(spec: ContinualModelSpec) -> None:
    assert states(spec, site_with_candidate(Verdict.AWAIT_APPROVAL), NEW) == ["AwaitingApproval", "Queued"]


def test_what_was_rejected_or_rolled_back_does_not(spec: ContinualModelSpec) -> None:
    assert states(spec, site_with_candidate(Verdict.REJECT, is_rejected=True), NEW) == ["Rejected", "Next"]
    assert states(spec, site_with_candidate(Verdict.SUPERSEDED, is_rolled_back=True), NEW) == ["RolledBack", "Next"]


def test_an_update_that_was_killed_before_its_decision_goes_on(spec: ContinualModelSpec) -> None:
    for verdict in (Verdict.REJECT, Verdict.PROMOTE, Verdict.AWAIT_EVALUATIONS):
        assert states(spec, site_with_candidate(verdict), NEW) == ["Next", "Queued"]


def test_a_version_that_waits_for_the_next_test_set_is_not_trained_again(spec: ContinualModelSpec) -> None:
    waiting = ObservedSite(candidates=(Candidate("sha256:c", Verdict.AWAIT_EVALUATIONS, "labels were corrected"),))
    assert states(spec, waiting, NEW) == ["AwaitingEvaluations", "Queued"]


def test_nothing_is_submitted_twice_on_one_champion(spec: ContinualModelSpec) -> None:
    submitted_sites = frozenset({"guangzhou"})
    assert states(spec, site_with_candidate(Verdict.AWAIT_EVALUATIONS), NEW, submitted_sites=submitted_sites) == [
        "AwaitingEvaluations",
        "Queued",
    ]
    assert states(spec, NEW, NEW, submitted_sites=submitted_sites) == ["Undecided", "Queued"]


def test_an_advisory_gate_waits_for_nobody(spec: ContinualModelSpec) -> None:
    advisory = spec.model_copy(update={"gate": spec.gate.model_copy(update={"enforcement": "Advisory"})})
    assert states(advisory, site_with_candidate(Verdict.AWAIT_APPROVAL), NEW) == ["Next", "Queued"]


def test_suspended_and_outside_the_change_plan(spec: ContinualModelSpec) -> None:
    suspended = spec.model_copy(update={"state": "Suspended"})
    assert states(suspended, LEARNED, NEW) == ["Learned", "Suspended"]
    narrow = spec.change_plan.model_copy(update={"allowed_methods": ("Finetune",)})
    assert states(spec.model_copy(update={"change_plan": narrow}), NEW, NEW) == ["OutsideChangePlan"] * 2
    wide = spec.change_plan.model_copy(update={"allowed_methods": ("EWCPrototype",)})
    assert states(spec.model_copy(update={"change_plan": wide}), NEW, NEW) == ["Next", "Queued"]


def test_a_source_that_cannot_be_read_says_why_and_holds_up_nobody(spec: ContinualModelSpec) -> None:
    broken = replace(NEW, problem="no such folder")
    assert states(spec, broken, NEW) == ["Unreadable", "Next"]


def test_nothing_is_learned_while_the_test_set_of_a_learned_site_is_out_of_reach(spec: ContinualModelSpec) -> None:
    lost = ObservedSite(problem="there is no Site", is_missing=True)
    assert states(spec, lost, NEW) == ["Unreadable", "Queued"]
    assert states(spec, lost, replace(NEW, requested_counter=1)) == ["Unreadable", "Queued"], "nor where a person asks"


def test_every_message_that_needs_a_person_names_the_field_or_the_command(spec: ContinualModelSpec) -> None:
    def message(changes: dict[str, object], **observed_fields: object) -> str:
        sites = {"guangzhou": replace(NEW, source_fingerprint="f", changed_at=NOW), "bethesda": LEARNED}
        fields: dict[str, Any] = {"champion": "sha256:base", "sites": sites, **observed_fields}
        return plan(spec.model_copy(update=changes), PlanInput(**fields), NOW)[1].sites[0].message

    suspended = {"state": "Suspended"}
    assert message(suspended) == "spec.state is Suspended; to continue, run: anamnesis resume -n NAMESPACE MODEL"
    assert message(suspended, on_demand=True).endswith("to continue, set spec.state: Active in the file")
    narrow = spec.change_plan.model_copy(update={"allowed_methods": ("Finetune",)})
    assert "spec.changePlan.allowedMethods (Finetune)" in message({"change_plan": narrow})
    assert "spec.trigger.quietPeriod" in message({})
    rejected = site_with_candidate(Verdict.REJECT, is_rejected=True)
    sites = {"guangzhou": rejected, "bethesda": LEARNED}
    assert "run: anamnesis update -n NAMESPACE MODEL --site guangzhou" in message({}, sites=sites)
    assert "run: anamnesis update -f FILE --model MODEL --site guangzhou" in message({}, sites=sites, on_demand=True)
    missing = {"guangzhou": replace(NEW, requested_counter=1, source_fingerprint="f"), "bethesda": LEARNED}
    missing["bethesda"] = replace(LEARNED, is_missing=True)
    assert "Apply Site bethesda again, or remove it from spec.sites" in message({}, sites=missing)


observed_sites = st.builds(
    ObservedSite,
    is_learned=st.booleans(),
    candidates=st.lists(
        st.builds(
            Candidate, st.just("sha256:c"), st.sampled_from(Verdict), st.just("why"), st.booleans(), st.booleans()
        ),
        max_size=2,
    ).map(tuple),
    problem=st.sampled_from(["", "broken"]),
)


@given(
    observed_sites,
    observed_sites,
    st.sets(st.sampled_from(["guangzhou", "bethesda"])),
    st.sampled_from(["", "sha256:x"]),
)
def test_at_most_one_update_and_never_of_learned_or_submitted_data(
    first: ObservedSite, second: ObservedSite, submitted_sites: set[str], champion: str
) -> None:
    observed = PlanInput(champion, {"guangzhou": first, "bethesda": second}, frozenset(submitted_sites), on_demand=True)
    actions, status = plan(SPEC, observed, NOW)
    assert len(actions) <= 1
    for action in actions:
        assert isinstance(action, CreateUpdate)
        assert not observed.sites[action.site].is_learned
        assert action.site not in submitted_sites
        assert action.base == champion
    assert [site.name for site in status.sites] == ["guangzhou", "bethesda"]


cluster_sites = st.builds(
    replace,
    observed_sites,
    source_fingerprint=st.sampled_from(["", "f"]),
    changed_at=st.sampled_from([None, NOW, NOW - timedelta(days=3)]),
    requested_counter=st.integers(0, 1),
    is_missing=st.booleans(),
)


@given(cluster_sites, cluster_sites, st.sets(st.sampled_from(["guangzhou", "bethesda"])), st.booleans())
def test_the_first_check_that_answers_wins_and_gives_only_its_own_states(
    first: ObservedSite, second: ObservedSite, submitted_sites: set[str], on_demand: bool
) -> None:
    sites = {"guangzhou": first, "bethesda": second}
    plan_input = PlanInput("sha256:x", sites, frozenset(submitted_sites), on_demand=on_demand)
    site = SiteInput(spec=SPEC, name="guangzhou", plan_input=plan_input, update_plans={}, now=NOW)
    answers = [(check, readiness) for check in SITE_CHECKS if (readiness := check.decide(site))]
    assert decide_site(site) == answers[0][1]
    assert all(readiness.status.state in check.actions for check, readiness in answers)


SPEC = ContinualModelSpec.model_validate(
    {
        "method": {"name": "Finetune"},
        "sites": [{"name": "guangzhou"}, {"name": "bethesda"}],
        "gate": {"floor": "0.8", "margin": "0.1"},
        "registry": {"url": "r"},
    }
)
