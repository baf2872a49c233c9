"""A model's life on a cluster, told in a few lines each: real plan, real registry, a pretended back end."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import pytest
from toys.hospital import SPACE, Hospital, Network, digest, site_document

from anamnesis.operator.api import ContinualModel, Loaded, Site
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend, RunState
from anamnesis.operator.controller.keys import Key
from anamnesis.operator.models.reading import ReconcileOptions
from anamnesis.operator.models.reconciler import ModelReconciler
from anamnesis.records import EntryKind, UnreachableError
from anamnesis.registry import Log

KEY = Key("ContinualModel", "hospital", "chest")
REQUIRED = {"gate": {"floor": "0.5", "margin": "0.1", "approval": "Required"}}


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def hospital(network: Network) -> Hospital:
    return Hospital(network, {})


def learn(hospital: Hospital) -> None:
    hospital.reconcile()
    hospital.work()
    hospital.reconcile()


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
    learn(hospital)
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
    assert len(hospital.history().lineage) == 2


def test_the_same_data_again_ends_without_a_change(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    learn(hospital)
    hospital.ask("north", 1)  # a person insists
    learn(hospital)
    assert [u.status.condition("Decided").reason for u in hospital.updates if u.spec.counter] == ["NoChange"]  # type: ignore[union-attr]
    assert hospital.states()["north"] == "Learned"
    assert len(hospital.backend.submitted) == 2


def test_a_gate_that_fails_rejects_and_new_data_is_tried(network: Network, hospital: Hospital) -> None:
    network.drop("north", "bad", quality="0.2")
    learn(hospital)
    assert hospital.states()["north"] == "Rejected"
    assert hospital.model.status.champion is None
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 1
    network.drop("north", "good")
    learn(hospital)
    assert hospital.states()["north"] == "Learned"


def test_rejected_data_is_tried_again_when_a_person_asks_and_only_once(network: Network, hospital: Hospital) -> None:
    network.drop("north", "bad", quality="0.2")
    learn(hospital)
    hospital.ask("north", 7)
    learn(hospital)
    learn(hospital)
    assert len(hospital.backend.submitted) == 2
    assert hospital.states()["north"] == "Rejected"


def test_a_gate_that_was_lowered_judges_anew_when_a_person_asks(network: Network, hospital: Hospital) -> None:
    network.drop("north", "modest", quality="0.4")
    learn(hospital)
    hospital.edit(gate=hospital.model.spec.gate.model_copy(update={"floor": Decimal("0.3")}))
    learn(hospital)
    assert hospital.states()["north"] == "Rejected"
    network.now += timedelta(minutes=1)
    hospital.ask("north", 1)
    learn(hospital)
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
    learn(hospital)
    assert hospital.states()["north"] == "Learned"


def test_a_person_overrules_the_minimum_of_new_patients(network: Network) -> None:
    hospital = Hospital(network, {"trigger": {"minimumNewPatients": 20}})
    network.drop("north", "a", patients=10)
    hospital.reconcile()
    assert hospital.states()["north"] == "WaitingForPatients"
    hospital.ask("north", 1)
    learn(hospital)
    assert hospital.states()["north"] == "Learned"
    network.drop("north", "b", patients=12)
    hospital.reconcile()
    assert hospital.states()["north"] == "WaitingForPatients", "it was asked for once"


def test_a_run_that_fails_is_tried_again_and_given_up(network: Network) -> None:
    hospital = Hospital(network, {"backend": {"type": "Local", "retries": 1}})
    network.drop("north", "a")
    hospital.reconcile()
    for _ in range(2):
        for name in hospital.backend.live:
            hospital.backend.end(name, RunState.FAILED, "train: out of memory")
        hospital.reconcile()
        network.now += timedelta(minutes=5)
        hospital.reconcile()
    assert hospital.backend.submitted == [f"{hospital.updates[0].metadata.name}-{n}" for n in (1, 2)]
    assert hospital.states()["north"] == "Failed"
    stalled = hospital.model.status.condition("Stalled")
    assert stalled
    assert "out of memory" in stalled.message
    hospital.ask("north", 1)
    learn(hospital)
    assert hospital.states()["north"] == "Learned"


def test_a_run_that_its_back_end_left_goes_on_at_once_however_often(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.reconcile()
    for _ in range(10):
        (name,) = hospital.backend.live
        hospital.backend.end(name, RunState.INTERRUPTED)
        hospital.reconcile()
    learn(hospital)
    assert hospital.states()["north"] == "Learned"
    assert len(hospital.backend.submitted) == 11


def test_a_back_end_that_forgets_runs_gets_a_new_name(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    for _ in range(2):
        hospital.reconcile()
        hospital.backend.end(hospital.backend.live[0], RunState.FAILED)
        hospital.reconcile()
        network.now += timedelta(minutes=5)
    del hospital.backend.found[hospital.backend.submitted[0]]
    hospital.reconcile()
    assert [name[-2:] for name in hospital.backend.submitted] == ["-1", "-2", "-3"]


def test_a_person_who_cancels_a_run_is_not_overruled(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.reconcile()
    hospital.backend.end(hospital.backend.live[0], RunState.CANCELLED)
    network.now += timedelta(hours=2)
    hospital.reconcile()
    assert hospital.states()["north"] == "Failed"
    assert len(hospital.backend.submitted) == 1


def test_a_run_that_takes_too_long_is_ended_and_tried_again(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.reconcile()
    network.now += timedelta(days=1)
    hospital.reconcile()
    assert not hospital.backend.live
    network.now += timedelta(hours=1)
    hospital.reconcile()
    assert len(hospital.backend.live) == 1


def test_a_deleted_update_is_made_again_and_its_run_goes_on(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.reconcile()
    (update,) = hospital.updates
    hospital.cluster.delete(update)
    network.now += timedelta(minutes=1)
    learn(hospital)
    assert hospital.backend.submitted == [f"{update.metadata.name}-1"]
    assert hospital.states()["north"] == "Learned"


def test_a_model_that_is_deleted_ends_its_runs_first(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
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
    assert not hospital.backend.live


def test_a_model_that_is_deleted_keeps_nobody_waiting_for_its_claims(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.reconcile()
    for _ in range(3):
        for name in hospital.backend.live:
            hospital.backend.end(name, RunState.FAILED)
        network.now += timedelta(minutes=5)
        hospital.reconcile()
    assert hospital.states()["north"] == "Failed"
    hospital.cluster.delete(hospital.model)
    hospital.reconcile()
    other = Hospital(network, {})
    learn(other)
    assert other.states()["north"] == "Learned"


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


def test_what_waits_for_a_person_says_so_and_is_promoted_in_their_name(network: Network) -> None:
    hospital = Hospital(network, REQUIRED)
    network.drop("north", "a")
    network.drop("south", "b")
    learn(hospital)
    assert hospital.states() == {"north": "AwaitingApproval", "south": "Queued"}
    assert hospital.model.status.holds("AwaitingApproval")
    (update,) = hospital.updates
    assert update.status.version
    word = hospital.say("Approve", update.status.version, update.metadata.name)
    hospital.reconcile()
    assert hospital.heard(word) == ("True", "Recorded")
    assert hospital.states()["north"] == "Learned"
    entry = next(e for e in Log(hospital.registry).entries() if e.kind is EntryKind.APPROVE)
    assert (entry.who, entry.why.startswith("reviewed")) == ("rossi", True)


def test_another_digest_another_update_an_unchecked_author_are_refused(network: Network) -> None:
    hospital = Hospital(network, REQUIRED)
    network.drop("north", "a")
    learn(hospital)
    (update,) = hospital.updates
    name, version = update.metadata.name, update.status.version or ""
    words = {
        "WrongVersion": hospital.say("Approve", digest("another"), name),
        "UnknownUpdate": hospital.say("Approve", version, "chest-0123456789"),
        "NeverPromoted": hospital.say("RollBack", digest("another")),
    }
    hospital.reconcile()
    assert {hospital.heard(word) for word in words.values()} == {("False", reason) for reason in words}
    hospital.cluster.guarded_since = None
    word = hospital.say("Approve", version, name)
    hospital.reconcile()
    hospital.cluster.guarded_since = network.now - timedelta(days=1)
    hospital.reconcile()
    assert hospital.heard(word) == ("False", "AuthorUnverified")
    assert hospital.model.status.champion is None


def test_a_late_word_about_a_superseded_candidate_is_refused(network: Network) -> None:
    hospital, other = Hospital(network, REQUIRED, ("north",)), Hospital(network, {}, ("south",))
    network.drop("north", "a")
    learn(hospital)
    (update,) = hospital.updates
    network.drop("south", "b")
    network.now += timedelta(hours=7)  # the first one's claim has run out
    learn(other)
    word = hospital.say("Approve", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    assert hospital.heard(word) == ("False", "Superseded")
    assert len(hospital.updates) == 2  # its data is learned anew, on the new champion


def test_a_step_back_and_forward_leaves_no_candidate_behind(network: Network) -> None:
    hospital = Hospital(network, REQUIRED, ("north",))
    for content in ("a", "b", "c"):
        network.drop("north", content)
        learn(hospital)
        if content != "c":
            hospital.decide_all()
            hospital.reconcile()
    first, second = hospital.history().promoted
    for version in (first, second):  # the candidate is superseded; then its base is the champion again
        hospital.say("RollBack", version)
        hospital.reconcile()
    assert hospital.states() == {"north": "AwaitingApproval"}
    hospital.decide_all()
    hospital.reconcile()
    assert len(hospital.history().lineage) == 3


def test_a_persons_rejection_is_final(network: Network) -> None:
    hospital = Hospital(network, REQUIRED)
    network.drop("north", "a")
    learn(hospital)
    (update,) = hospital.updates
    hospital.say("Reject", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    word = hospital.say("Approve", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    assert hospital.heard(word) == ("False", "AlreadyRejected")
    (north, _) = hospital.model.status.sites
    assert north.state == "Rejected"
    assert "rossi rejected it" in north.message
    assert "reviewed" not in north.message  # a person's words are for the log


def test_one_step_back_to_any_champion_and_its_data_waits_for_a_person(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    learn(hospital)
    first = hospital.model.status.champion or ""
    network.drop("south", "b")
    learn(hospital)
    network.now += timedelta(days=1)
    word = hospital.say("RollBack", first)
    hospital.reconcile()
    assert hospital.heard(word) == ("True", "Recorded")
    assert hospital.model.status.champion == first
    assert hospital.model.status.promoted == network.now, "it came back into use a moment ago"
    assert hospital.states() == {"north": "Learned", "south": "RolledBack"}
    assert "reviewed" not in hospital.model.status.model_dump_json()
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 2
    hospital.ask("south", 1)
    learn(hospital)
    assert hospital.states() == {"north": "Learned", "south": "RolledBack"}, "the very same version was rolled back"
    network.drop("south", "c")
    learn(hospital)
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
    assert hospital.model.status.decisions.rolled_back == 1


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


def test_a_back_end_that_does_not_answer_is_told_and_all_goes_on_after(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.reconcile()
    network.unreachable = True
    assert hospital.reconcile()
    reachable = hospital.model.status.condition("BackendReachable")
    assert reachable
    assert (reachable.status, reachable.reason) == ("False", "Unreachable")
    network.unreachable = False
    hospital.work()
    hospital.reconcile()
    assert hospital.states()["north"] == "Learned"
    assert hospital.model.status.holds("BackendReachable")


def test_a_back_end_that_has_never_answered_is_not_taken_for_a_silent_registry(
    network: Network, hospital: Hospital
) -> None:
    def unreachable(model: Loaded[ContinualModel]) -> Backend:
        raise UnreachableError("Kubeflow Pipelines does not answer")

    options = ReconcileOptions({}, Path("/nowhere"), unreachable, network.store)
    ModelReconciler(hospital.cluster, network.clock, options).reconcile(KEY)
    reachable = hospital.model.status.condition("BackendReachable")
    assert reachable
    assert reachable.reason == "Unreachable"
    assert hospital.model.status.condition("Ready") is None


def test_a_registry_that_is_back_is_not_told_to_be_away_because_the_back_end_is(
    network: Network, hospital: Hospital
) -> None:
    def away(*asked: object) -> NoReturn:
        raise UnreachableError("no answer")

    network.drop("north", "a")
    learn(hospital)
    for backends, stores, ready in ((away, away, False), (away, network.store, True)):
        options = ReconcileOptions({}, Path("/nowhere"), backends, stores)
        ModelReconciler(hospital.cluster, network.clock, options).reconcile(KEY)
        assert hospital.model.status.holds("Ready") is ready
    assert not hospital.model.status.holds("BackendReachable")


def test_what_a_site_has_is_told_when_its_updates_are_forgotten(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    learn(hospital)
    (north, _) = hospital.model.status.sites
    assert north.samples
    hospital.cluster.delete(hospital.updates[0])
    hospital.reconcile()
    assert hospital.model.status.sites[0] == north


def test_a_learned_site_whose_resource_goes_keeps_others_from_being_learned(network: Network) -> None:
    hospital = Hospital(network, {})
    network.drop("north", "a")
    learn(hospital)
    site = hospital.cluster.get(Site, SPACE, "north")
    assert site is not None
    hospital.cluster.delete(site)
    network.drop("south", "b")
    learn(hospital)
    assert hospital.states() == {"north": "Unreadable", "south": "Queued"}
    assert len(hospital.history().lineage) == 1
    hospital.cluster.create(Site.model_validate(site_document("north")))
    learn(hospital)
    assert hospital.states() == {"north": "Learned", "south": "Learned"}


def test_an_api_server_that_does_not_answer_raises_and_changes_nothing(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    hospital.look()
    hospital.cluster.down = True
    with pytest.raises(UnreachableError):
        hospital.reconciler.reconcile(KEY)
    hospital.cluster.down = False
    learn(hospital)
    assert hospital.states()["north"] == "Learned"


def test_a_damaged_log_stops_everything_and_says_so(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    learn(hospital)
    hospital.start()
    store = hospital.registry
    key = next(info.key for info in store.list("log/"))
    store.put(key, store.get(key).replace(b"update", b"upsate"))
    hospital.reconcile()
    ready = hospital.model.status.condition("Ready")
    assert ready
    assert (ready.status, ready.reason) == ("False", "RegistryDamaged")


def test_a_log_that_was_cut_is_found_by_the_head_in_the_status(network: Network, hospital: Hospital) -> None:
    network.drop("north", "a")
    learn(hospital)
    hospital.start()
    store = hospital.registry
    store.delete(max(info.key for info in store.list("log/")))
    hospital.reconcile()
    ready = hospital.model.status.condition("Ready")
    assert ready
    assert (ready.status, ready.reason) == ("False", "RegistryDamaged")
    assert len(Log(store).entries()) == 1, "nothing was written on top"


def test_scheduled_evaluation_tells_scores_drift_and_forgetting(network: Network) -> None:
    evaluation = {"schedule": {"cron": "0 * * * *"}}
    hospital = Hospital(network, {"evaluation": evaluation})
    network.drop("north", "a")
    learn(hospital)
    assert not hospital.model.status.holds("Drifting")
    network.quality[digest("a")] = "0.3"
    network.now += timedelta(hours=1)
    learn(hospital)
    assert [name for name in hospital.backend.submitted if "evaluation" in name] == [
        "chest-evaluation-20261120t130000z-1"
    ]
    status = hospital.model.status
    assert status.holds("Drifting")
    assert status.holds("Forgetting")
    assert status.tasks[0].recent
    assert str(status.tasks[0].recent.value) == "0.3"
    assert status.evaluation.next == network.now.replace(hour=14)
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 2


def test_an_evaluation_is_due_until_it_has_a_result(network: Network) -> None:
    hospital = Hospital(network, {"evaluation": {"schedule": {"cron": "0 * * * *"}}})
    network.drop("north", "a")
    learn(hospital)
    assert hospital.model.status.evaluation.next == network.now.replace(hour=13)
    network.now += timedelta(hours=1, minutes=30)
    hospital.reconcile()
    assert hospital.model.status.evaluation.next == network.now.replace(hour=13, minute=0)
    learn(hospital)
    assert hospital.model.status.evaluation.next == network.now.replace(hour=14, minute=0)
