"""What becomes of runs that fail, hang, vanish or are cancelled, and of what is deleted while they live."""

from datetime import timedelta

from fakes.hospital import FakeHospital, HospitalNetwork

from anamnesis.operator.api.condition_types import STALLED
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import RunState


def test_a_run_that_fails_is_tried_again_and_given_up(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {"backend": {"type": "Local", "retries": 1}})
    network.add_data("north", "a")
    hospital.reconcile()
    for _ in range(2):
        for name in hospital.backend.live_runs:
            hospital.backend.end_run(name, RunState.FAILED, "train: out of memory")
        hospital.reconcile()
        network.now += timedelta(minutes=5)
        hospital.reconcile()
    assert hospital.backend.submitted == [f"{hospital.updates[0].metadata.name}-{n}" for n in (1, 2)]
    assert hospital.states()["north"] == "Failed"
    stalled = hospital.model.status.condition(STALLED)
    assert stalled
    assert "out of memory" in stalled.message
    hospital.request_update("north", 1)
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"


def test_a_run_that_its_back_end_left_goes_on_at_once_however_often(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    for _ in range(10):
        (name,) = hospital.backend.live_runs
        hospital.backend.end_run(name, RunState.INTERRUPTED)
        hospital.reconcile()
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"
    assert len(hospital.backend.submitted) == 11


def test_a_back_end_that_forgets_runs_gets_a_new_name(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    for _ in range(2):
        hospital.reconcile()
        hospital.backend.end_run(hospital.backend.live_runs[0], RunState.FAILED)
        hospital.reconcile()
        network.now += timedelta(minutes=5)
    del hospital.backend.runs_by_name[hospital.backend.submitted[0]]
    hospital.reconcile()
    assert [name[-2:] for name in hospital.backend.submitted] == ["-1", "-2", "-3"]


def test_a_person_who_cancels_a_run_is_not_overruled(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    hospital.backend.end_run(hospital.backend.live_runs[0], RunState.CANCELLED)
    network.now += timedelta(hours=2)
    hospital.reconcile()
    assert hospital.states()["north"] == "Failed"
    assert len(hospital.backend.submitted) == 1


def test_a_run_that_takes_too_long_is_ended_and_tried_again(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    network.now += timedelta(days=1)
    hospital.reconcile()
    assert not hospital.backend.live_runs
    network.now += timedelta(hours=1)
    hospital.reconcile()
    assert len(hospital.backend.live_runs) == 1


def test_a_deleted_update_is_made_again_and_its_run_goes_on(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    (update,) = hospital.updates
    hospital.cluster.delete(update)
    network.now += timedelta(minutes=1)
    hospital.run_update()
    assert hospital.backend.submitted == [f"{update.metadata.name}-1"]
    assert hospital.states()["north"] == "Learned"


def test_a_model_that_is_deleted_ends_its_runs_first(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    model = hospital.model
    assert model.metadata.finalizers
    hospital.cluster.delete(model)
    network.unreachable = True
    hospital.reconcile()
    assert hospital.model.metadata.deletion_timestamp
    network.unreachable = False
    hospital.reconcile()
    assert hospital.cluster.get(type(model), "hospital", "chest") is None
    assert hospital.cluster.list(ModelUpdate, "hospital") == ()
    assert not hospital.backend.live_runs


def test_a_model_that_is_deleted_keeps_nobody_waiting_for_its_claims(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    for _ in range(3):
        for name in hospital.backend.live_runs:
            hospital.backend.end_run(name, RunState.FAILED)
        network.now += timedelta(minutes=5)
        hospital.reconcile()
    assert hospital.states()["north"] == "Failed"
    hospital.cluster.delete(hospital.model)
    hospital.reconcile()
    second_hospital = FakeHospital(network, {})
    second_hospital.cluster.uid = hospital.cluster.uid  # applied again on the same cluster
    second_hospital.run_update()
    assert second_hospital.states()["north"] == "Learned"
