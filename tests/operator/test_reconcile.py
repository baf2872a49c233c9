"""The life of a model on a cluster: real plan, real registry, a fake back end."""

from datetime import timedelta
from decimal import Decimal

from fakes.hospital import SHARED, SPACE, FakeHospital, HospitalNetwork, site_document

from anamnesis.operator.api import Site
from anamnesis.operator.api.condition_types import DECIDED, READY


def test_a_sites_data_becomes_the_champion(network: HospitalNetwork, hospital: FakeHospital) -> None:
    hospital.reconcile()
    assert hospital.states() == {"north": "WaitingForData", "south": "WaitingForData"}
    network.add_data("north", "first")
    hospital.reconcile()
    (update,) = hospital.updates
    assert hospital.states() == {"north": "Updating", "south": "WaitingForData"}
    assert hospital.model.status.update == update.metadata.name
    assert hospital.backend.submitted == [f"{update.metadata.name}-1"]
    hospital.finish_runs()
    hospital.reconcile()
    assert hospital.model.status.champion == hospital.updates[0].status.version
    assert hospital.states() == {"north": "Learned", "south": "WaitingForData"}
    assert hospital.model.status.is_true(READY)
    (task,) = hospital.model.status.tasks
    assert (task.site, str(task.frozen_score and task.frozen_score.value)) == ("north", "0.9")
    assert hospital.reconcile() is None
    assert len(hospital.backend.submitted) == 1


def test_the_second_site_waits_for_its_turn_and_builds_on_the_first(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("south", "b")
    network.add_data("north", "a")
    hospital.reconcile()
    assert hospital.states() == {"north": "Updating", "south": "Queued"}
    hospital.finish_runs()
    hospital.reconcile()
    hospital.run_update()
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
    assert len(hospital.history().lineage) == 2


def test_the_same_data_again_ends_without_a_change(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.run_update()
    hospital.request_update("north", 1)  # a person insists
    hospital.run_update()
    assert [u.status.condition(DECIDED).reason for u in hospital.updates if u.spec.counter] == ["NoChange"]  # type: ignore[union-attr]
    assert hospital.states()["north"] == "Learned"
    assert len(hospital.backend.submitted) == 2


def test_a_gate_that_fails_rejects_and_new_data_is_tried(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "bad", quality="0.2")
    hospital.run_update()
    assert hospital.states()["north"] == "Rejected"
    assert hospital.model.status.champion is None
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 1
    network.add_data("north", "good")
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"


def test_rejected_data_is_tried_again_when_a_person_asks_and_only_once(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "bad", quality="0.2")
    hospital.run_update()
    hospital.request_update("north", 7)
    hospital.run_update()
    hospital.run_update()
    assert len(hospital.backend.submitted) == 2
    assert hospital.states()["north"] == "Rejected"


def test_a_gate_that_was_lowered_judges_again_when_a_person_asks(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "modest", quality="0.4")
    hospital.run_update()
    hospital.edit_model(
        gate=hospital.model.spec.gate.model_copy(update={"floor": Decimal("0.3"), "recall_floor": Decimal("0.3")})
    )
    hospital.run_update()
    assert hospital.states()["north"] == "Rejected"
    network.now += timedelta(minutes=1)
    hospital.request_update("north", 1)
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"


def test_a_minimum_of_new_patients_and_a_quiet_period(network: HospitalNetwork) -> None:
    trigger = {"minimumNewPatients": 20, "quietPeriod": "10m"}
    hospital = FakeHospital(network, {"trigger": trigger})
    network.add_data("north", "a", patients=10)
    hospital.reconcile()
    assert hospital.states()["north"] == "WaitingForPatients"
    network.add_data("north", "b", patients=30)
    assert hospital.reconcile() == timedelta(minutes=10)
    assert hospital.states()["north"] == "WaitingForQuiet"
    network.now += timedelta(minutes=10)
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"


def test_a_person_overrules_the_minimum_of_new_patients(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {"trigger": {"minimumNewPatients": 20}})
    network.add_data("north", "a", patients=10)
    hospital.reconcile()
    assert hospital.states()["north"] == "WaitingForPatients"
    hospital.request_update("north", 1)
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"
    network.add_data("north", "b", patients=12)
    hospital.reconcile()
    assert hospital.states()["north"] == "WaitingForPatients", "it was asked for once"


def test_a_suspended_model_begins_and_decides_nothing(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    hospital.edit_model(state="Suspended")
    hospital.finish_runs()
    hospital.reconcile()
    assert hospital.model.status.champion is None
    network.add_data("south", "b")
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 1
    hospital.edit_model(state="Active")
    hospital.reconcile()
    assert hospital.model.status.champion is not None


def test_two_operators_that_share_a_registry_do_one_update(network: HospitalNetwork) -> None:
    first_hospital, second_hospital = FakeHospital(network, SHARED), FakeHospital(network, SHARED)
    network.add_data("north", "a")
    first_hospital.reconcile()
    second_hospital.reconcile()
    assert len(first_hospital.backend.submitted + second_hospital.backend.submitted) == 1
    assert second_hospital.states()["north"] == "ClaimedElsewhere"
    first_hospital.finish_runs()
    first_hospital.reconcile()
    second_hospital.reconcile()
    assert first_hospital.model.status.champion == second_hospital.model.status.champion is not None
    assert second_hospital.states()["north"] == "Learned"


def test_what_a_site_has_is_shown_when_its_updates_are_deleted(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.run_update()
    (north, _) = hospital.model.status.sites
    assert north.samples
    hospital.cluster.delete(hospital.updates[0])
    hospital.reconcile()
    assert hospital.model.status.sites[0] == north


def test_a_learned_site_whose_resource_goes_keeps_others_from_being_learned(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {})
    network.add_data("north", "a")
    hospital.run_update()
    site = hospital.cluster.get(Site, SPACE, "north")
    assert site is not None
    hospital.cluster.delete(site)
    network.add_data("south", "b")
    hospital.run_update()
    assert hospital.states() == {"north": "Unreadable", "south": "Queued"}
    assert len(hospital.history().lineage) == 1
    hospital.cluster.create(Site.model_validate(site_document("north")))
    hospital.run_update()
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
