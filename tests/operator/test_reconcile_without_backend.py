"""Kubeflow is away, refuses the operator, or has another address: people and the gate decide anyway."""

from pathlib import Path

import pytest
from fakes.hospital import APPROVAL_REQUIRED, FakeHospital, HospitalNetwork

from anamnesis.operator.api import ContinualModel, LoadedResource
from anamnesis.operator.api.condition_types import BACKEND_REACHABLE, DECIDED, READY, RECORDED, STALLED
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend, PipelineJob, Run, RunState
from anamnesis.operator.controllers.continualmodel.controller import ModelReconciler
from anamnesis.operator.controllers.dispatch import create_reconciler
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError

DECISIONS = ReconcileKey("UpdateApproval", "hospital", "chest")
ERRORS = [
    (UnreachableError("Kubeflow does not answer"), "Unreachable"),
    (InputError("403; give the operator a token"), "InvalidSpec"),
    (RefusedError("the token has run out"), "Refused"),
]


def without_backend(hospital: FakeHospital, error: AnamnesisError) -> None:
    """From now on the operator cannot use its back end."""

    def raise_error(model: LoadedResource[ContinualModel]) -> Backend:
        raise error

    options = ReconcileOptions({}, Path("/nowhere"), raise_error, hospital.network.store)
    hospital.reconciler = ModelReconciler(hospital.cluster, hospital.network.clock, options)


def waiting_hospital(network: HospitalNetwork) -> tuple[FakeHospital, ModelUpdate]:
    """A champion is in use, and a version of the south waits for a person."""
    hospital = FakeHospital(network, APPROVAL_REQUIRED)
    network.add_data("north", "a")
    hospital.run_update()
    hospital.decide_pending()
    hospital.reconcile()
    network.add_data("south", "b")
    hospital.run_update()
    return hospital, next(update for update in hospital.updates if update.spec.site == "south")


@pytest.mark.parametrize(("error", "reason"), ERRORS)
def test_every_decision_is_executed_and_ready_speaks_of_the_champion(
    network: HospitalNetwork, error: AnamnesisError, reason: str
) -> None:
    hospital, update = waiting_hospital(network)
    first, version = hospital.history().champion or "", update.status.version or ""
    without_backend(hospital, error)
    for decision, target, champion, ready in (
        ("Approve", version, version, "ChampionInUse"),
        ("RollBack", first, first, "ChampionInUse"),
        ("Withdraw", "", None, "Withdrawn"),
        ("RollBack", version, version, "ChampionInUse"),
    ):
        approval = hospital.create_approval(decision, target, update.metadata.name)
        hospital.reconcile()
        assert hospital.approval_result(approval) == ("True", "Recorded")
        status = hospital.model.status
        assert (hospital.history().champion, status.champion) == (champion, champion)
        conditions = {name: status.condition(name) for name in (READY, BACKEND_REACHABLE, STALLED)}
        reasons = {name: condition and condition.reason for name, condition in conditions.items()}
        stalled = "Withdrawn" if champion is None else reason
        assert reasons == {READY: ready, BACKEND_REACHABLE: reason, STALLED: stalled}


def test_a_rejection_is_executed(network: HospitalNetwork) -> None:
    hospital, update = waiting_hospital(network)
    without_backend(hospital, ERRORS[0][0])
    hospital.create_approval("Reject", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    assert hospital.states()["south"] == "Rejected"


def test_a_back_end_that_refuses_a_run_holds_up_no_decision(
    network: HospitalNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital, update = waiting_hospital(network)
    first = hospital.history().champion or ""
    hospital.create_approval("Approve", update.status.version or "", update.metadata.name)
    hospital.reconcile()

    def refuse(job: PipelineJob) -> Run:
        raise InputError("403: may not create runs")

    monkeypatch.setattr(hospital.backend, "submit", refuse)
    network.add_data("north", "c")
    approval = hospital.create_approval("RollBack", first)
    hospital.reconcile()
    assert hospital.approval_result(approval) == ("True", "Recorded")
    status = hospital.model.status
    reachable = status.condition(BACKEND_REACHABLE)
    assert (status.champion, status.is_true(READY)) == (first, True)
    assert reachable
    assert (reachable.status, reachable.message) == ("False", "403: may not create runs")
    monkeypatch.undo()
    hospital.reconcile()
    assert len(hospital.backend.live_runs) == 1, "the run starts when the back end takes it"


def test_what_needs_no_back_end_goes_on_and_what_waits_is_said(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {"backend": {"retries": 0}})
    network.add_data("north", "a")
    hospital.reconcile()
    hospital.backend.end_run(hospital.backend.live_runs[0], RunState.FAILED, "out of memory")
    hospital.reconcile()
    message = hospital.model.status.sites[0].message
    without_backend(hospital, ERRORS[0][0])
    hospital.reconcile()
    assert (hospital.states()["north"], hospital.model.status.sites[0].message) == ("Failed", message)
    hospital.start_operator()
    network.add_data("south", "b")
    hospital.reconcile()
    hospital.finish_runs()  # the result is in the registry: the gate can decide
    without_backend(hospital, ERRORS[0][0])
    hospital.reconcile()
    assert hospital.states()["south"] == "Learned"
    waiting = next(update for update in hospital.updates if not update.status.is_true(DECIDED))
    condition = waiting.status.condition(DECIDED)
    assert condition
    assert (waiting.spec.site, condition.reason) == ("north", "BackendUnreachable"), "it starts from the new champion"
    assert "Kubeflow does not answer" in condition.message
    hospital.start_operator()
    hospital.run_update()
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
    assert len(hospital.backend.submitted) == len(set(hospital.backend.submitted)) == 3


def test_a_decision_needs_neither_back_end_nor_site_and_has_a_key_of_its_own(network: HospitalNetwork) -> None:
    hospital, _ = waiting_hospital(network)
    for name in [name for name in network.stores if name.startswith("s3://images")]:
        del network.stores[name]

    def store(url: str, environment: object = None) -> object:
        assert url.startswith("s3://models"), "no site's store is opened"
        return network.store(url)

    def backend(model: LoadedResource[ContinualModel]) -> Backend:
        raise AssertionError("no back end is made")

    options = ReconcileOptions({}, Path("/nowhere"), backend, store)  # type: ignore[arg-type]
    reconcile = create_reconciler(hospital.cluster, network.clock, options)
    approval = hospital.create_approval("Withdraw")
    assert reconcile(DECISIONS) is None
    assert hospital.approval_result(approval) == ("True", "Recorded")
    assert hospital.history().champion is None
    assert reconcile(ReconcileKey("UpdateApproval", "hospital", "gone")) is None


def test_a_decision_that_waits_for_the_registry_says_so_and_is_executed_later(network: HospitalNetwork) -> None:
    hospital, _ = waiting_hospital(network)
    champion = hospital.history().champion
    approval = hospital.create_approval("Withdraw")
    network.unreachable = True
    hospital.start_operator()
    hospital.reconcile()
    stored = hospital.cluster.list(type(approval), "hospital")[-1].status.condition(RECORDED)
    assert stored
    assert (stored.status, stored.reason) == ("Unknown", "Pending")
    assert "the decision stands" in stored.message
    assert "no answer" in stored.message
    network.unreachable = False
    assert hospital.history().champion == champion
    hospital.reconcile()
    assert hospital.approval_result(approval) == ("True", "Recorded")
    assert hospital.history().champion is None


def test_one_unreadable_version_does_not_keep_another_decision_from_the_log(network: HospitalNetwork) -> None:
    hospital, update = waiting_hospital(network)
    version = update.status.version or ""
    hospital.start_operator()
    hospital.registry.put(f"versions/{version.removeprefix('sha256:')}/version.json", b"{}")
    approve = hospital.create_approval("Approve", version, update.metadata.name)
    withdraw = hospital.create_approval("Withdraw")
    hospital.reconcile()
    assert hospital.approval_result(withdraw) == ("True", "Recorded")
    assert hospital.approval_result(approve) == ("Unknown", "Pending")


def test_a_decision_about_a_model_that_is_not_valid_says_what_it_waits_for(
    network: HospitalNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital, _ = waiting_hospital(network)
    options = ReconcileOptions({}, Path("/nowhere"), lambda model: hospital.backend, network.store)
    reconcile = create_reconciler(hospital.cluster, network.clock, options)
    approval = hospital.create_approval("Withdraw")

    def refuse(kind: type, namespace: str, name: str) -> None:
        raise InputError("spec.trigger.schedule: the schedule never comes")

    with monkeypatch.context() as context:
        context.setattr(hospital.cluster, "get", refuse)
        assert reconcile(DECISIONS) is not None, "it tries again"
    condition = hospital.cluster.list(type(approval), "hospital")[-1].status.condition(RECORDED)
    assert condition
    assert "the schedule never comes" in condition.message
    assert reconcile(DECISIONS) is None
    assert hospital.approval_result(approval) == ("True", "Recorded")
