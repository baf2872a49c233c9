"""The emergency stop: no champion at all, no update and no promotion, until a person rolls back."""

import pytest
from fakes.hospital import AUTOMATIC_GATE, SHARED, FakeHospital, HospitalNetwork

from anamnesis.operator.api.condition_types import DECIDED, READY, STALLED
from anamnesis.records import EntryKind
from anamnesis.registry import Log


def learn(network: HospitalNetwork, hospital: FakeHospital, *contents: str) -> None:
    for content in contents:
        network.add_data("north", content)
        hospital.run_update()
        hospital.decide_pending()
        hospital.reconcile()


@pytest.mark.parametrize("approval", ["Required", "Automatic"])
def test_a_withdrawn_model_learns_and_promotes_nothing_until_a_rollback(
    network: HospitalNetwork, approval: str
) -> None:
    hospital = FakeHospital(network, {"gate": AUTOMATIC_GATE | {"approval": approval}})
    learn(network, hospital, "a", "b")
    first, second = hospital.history().promoted_versions
    network.add_data("south", "c")
    hospital.reconcile()
    (run,) = hospital.backend.live_runs
    withdrawal = hospital.create_approval("Withdraw")
    hospital.reconcile()
    assert hospital.approval_result(withdrawal) == ("True", "Recorded")
    assert hospital.backend.runs_by_name[run].state.value == "Cancelled"
    network.add_data("north", "d")
    for _ in range(3):
        hospital.run_update()
        hospital.decide_pending()
    status = hospital.model.status
    ready, stalled = status.condition(READY), status.condition(STALLED)
    assert ready
    assert stalled
    assert (status.champion, ready.status, ready.reason, stalled.reason) == (None, "False", "Withdrawn", "Withdrawn")
    assert "rossi withdrew the champion" in ready.message
    assert "reviewed" not in ready.message, "a person's words are for the log"
    assert hospital.states() == {"north": "Withdrawn", "south": "Withdrawn"}
    assert status.decisions.withdrawn == 1
    assert hospital.backend.live_runs == []
    assert all(update.status.is_true(DECIDED) for update in hospital.updates)
    hospital.create_approval("RollBack", first)
    hospital.reconcile()
    assert hospital.model.status.is_true(READY)
    learn(network, hospital, "d", "e")
    assert hospital.history().lineage[-1] == first
    assert second not in hospital.history().lineage


def test_a_finished_run_does_not_undo_a_withdrawal(network: HospitalNetwork, hospital: FakeHospital) -> None:
    learn(network, hospital, "a")
    (first,) = hospital.history().promoted_versions
    network.add_data("south", "b")
    hospital.reconcile()
    hospital.finish_runs()  # the gate decides next
    hospital.create_approval("Withdraw")
    hospital.reconcile()
    assert hospital.history().champion is None
    assert [entry.kind for entry in Log(hospital.registry).entries()][-1] is EntryKind.SUPERSEDE
    hospital.create_approval("RollBack", first)
    hospital.reconcile()
    assert hospital.states()["south"] == "Learned", "its base is the champion again, so the gate decides"


def test_an_operator_that_shares_the_registry_stops_too(network: HospitalNetwork) -> None:
    hospital, second_hospital = FakeHospital(network, SHARED, ("north",)), FakeHospital(network, SHARED, ("south",))
    learn(network, hospital, "a")
    hospital.create_approval("Withdraw")
    hospital.reconcile()
    network.add_data("south", "b")
    second_hospital.run_update()
    assert second_hospital.states() == {"south": "Withdrawn"}
    ready = second_hospital.model.status.condition(READY)
    assert (ready and ready.reason) == "Withdrawn"
    assert second_hospital.backend.submitted == []


def test_a_model_without_a_champion_has_nothing_to_withdraw(network: HospitalNetwork, hospital: FakeHospital) -> None:
    withdrawal = hospital.create_approval("Withdraw")
    hospital.reconcile()
    assert hospital.approval_result(withdrawal) == ("False", "NoChampion")
    learn(network, hospital, "a")
    hospital.wipe_approval_status(withdrawal)
    hospital.reconcile()
    assert hospital.history().champion, "a refused decision never counts later"
