"""A model's life on a cluster, told in a few lines each: real plan, real registry, a pretended back end."""

from datetime import timedelta
from decimal import Decimal

from toys.hospital import SPACE, Hospital, Network, site_document

from anamnesis.operator.api import Site


def test_a_sites_data_becomes_the_champion(network: Network, hospital: Hospital) -> None:
    hospital.reconcile()
    assert hospital.states() == {"north": "WaitingForData", "south": "WaitingForData"}
    network.drop("north", "first")
    hospital.reconcile()
    (update,) = hospital.updates
    assert hospital.states() == {"north": "Updating", "south": "WaitingForData"}
    assert hospital.model.status.update == update.metadata.name
    assert hospital.backend.submitted == [f"{update.metadata.name}-1"]
    hospital.work()
    hospital.reconcile()
    assert hospital.model.status.champion == hospital.updates[0].status.version
    assert hospital.states() == {"north": "Learned", "south": "WaitingForData"}
    assert hospital.model.status.holds("Ready")
    (task,) = hospital.model.status.tasks
    assert (task.site, str(task.frozen and task.frozen.value)) == ("north", "0.9")
    assert hospital.reconcile() is None
    assert len(hospital.backend.submitted) == 1


def test_the_second_site_waits_for_its_turn_and_builds_on_the_first(network: Network, hospital: Hospital) -> None:
    network.drop("south", "b")
    network.drop("north", "a")
    hospital.reconcile()
    assert hospital.states() == {"north": "Updating", "south": "Queued"}
    hospital.work()
    hospital.reconcile()
    hospital.learn()
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
    assert len(hospital.history().lineage) == 2


def test_the_same_data_again_ends_without_a_change(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.learn()
    hospital.ask("north", 1)  # a person insists
    hospital.learn()
    assert [u.status.condition("Decided").reason for u in hospital.updates if u.spec.counter] == ["NoChange"]  # type: ignore[union-attr]
    assert hospital.states()["north"] == "Learned"
    assert len(hospital.backend.submitted) == 2


def test_a_gate_that_fails_rejects_and_new_data_is_tried(network: Network, hospital: Hospital) -> None:
    network.drop("north", "bad", quality="0.2")
    hospital.learn()
    assert hospital.states()["north"] == "Rejected"
    assert hospital.model.status.champion is None
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 1
    network.drop("north", "good")
    hospital.learn()
    assert hospital.states()["north"] == "Learned"


def test_rejected_data_is_tried_again_when_a_person_asks_and_only_once(network: Network, hospital: Hospital) -> None:
    network.drop("north", "bad", quality="0.2")
    hospital.learn()
    hospital.ask("north", 7)
    hospital.learn()
    hospital.learn()
    assert len(hospital.backend.submitted) == 2
    assert hospital.states()["north"] == "Rejected"


def test_a_gate_that_was_lowered_judges_anew_when_a_person_asks(network: Network, hospital: Hospital) -> None:
    network.drop("north", "modest", quality="0.4")
    hospital.learn()
    hospital.edit(gate=hospital.model.spec.gate.model_copy(update={"floor": Decimal("0.3")}))
    hospital.learn()
    assert hospital.states()["north"] == "Rejected"
    network.now += timedelta(minutes=1)
    hospital.ask("north", 1)
    hospital.learn()
    assert hospital.states()["north"] == "Learned"


def test_a_minimum_of_new_patients_and_a_quiet_period(network: Network) -> None:
    trigger = {"minimumNewPatients": 20, "quietPeriod": "10m"}
    hospital = Hospital(network, {"trigger": trigger})
    network.drop("north", "a", patients=10)
    hospital.reconcile()
    assert hospital.states()["north"] == "WaitingForPatients"
    network.drop("north", "b", patients=30)
    assert hospital.reconcile() == timedelta(minutes=10)
    assert hospital.states()["north"] == "WaitingForQuiet"
    network.now += timedelta(minutes=10)
    hospital.learn()
    assert hospital.states()["north"] == "Learned"


def test_a_person_overrules_the_minimum_of_new_patients(network: Network) -> None:
    hospital = Hospital(network, {"trigger": {"minimumNewPatients": 20}})
    network.drop("north", "a", patients=10)
    hospital.reconcile()
    assert hospital.states()["north"] == "WaitingForPatients"
    hospital.ask("north", 1)
    hospital.learn()
    assert hospital.states()["north"] == "Learned"
    network.drop("north", "b", patients=12)
    hospital.reconcile()
    assert hospital.states()["north"] == "WaitingForPatients", "it was asked for once"


def test_a_suspended_model_begins_and_decides_nothing(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.reconcile()
    hospital.edit(state="Suspended")
    hospital.work()
    hospital.reconcile()
    assert hospital.model.status.champion is None
    network.drop("south", "b")
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 1
    hospital.edit(state="Active")
    hospital.reconcile()
    assert hospital.model.status.champion is not None


def test_two_operators_that_share_a_registry_do_one_update(network: Network) -> None:
    one, two = Hospital(network, {}), Hospital(network, {})
    network.drop("north", "a")
    one.reconcile()
    two.reconcile()
    assert len(one.backend.submitted + two.backend.submitted) == 1
    assert two.states()["north"] == "ClaimedElsewhere"
    one.work()
    one.reconcile()
    two.reconcile()
    assert one.model.status.champion == two.model.status.champion is not None
    assert two.states()["north"] == "Learned"


def test_what_a_site_has_is_told_when_its_updates_are_forgotten(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.learn()
    (north, _) = hospital.model.status.sites
    assert north.samples
    hospital.cluster.delete(hospital.updates[0])
    hospital.reconcile()
    assert hospital.model.status.sites[0] == north


def test_a_learned_site_whose_resource_goes_keeps_others_from_being_learned(network: Network) -> None:
    hospital = Hospital(network, {})
    network.drop("north", "a")
    hospital.learn()
    site = hospital.cluster.get(Site, SPACE, "north")
    assert site is not None
    hospital.cluster.delete(site)
    network.drop("south", "b")
    hospital.learn()
    assert hospital.states() == {"north": "Unreadable", "south": "Queued"}
    assert len(hospital.history().lineage) == 1
    hospital.cluster.create(Site.model_validate(site_document("north")))
    hospital.learn()
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
