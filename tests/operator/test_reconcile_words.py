"""What people say of versions, and what comes of it."""

from datetime import timedelta

from toys.hospital import REQUIRED, Hospital, Network, digest

from anamnesis.records import EntryKind
from anamnesis.registry import Log


def test_what_waits_for_a_person_says_so_and_is_promoted_in_their_name(network: Network) -> None:
    hospital = Hospital(network, REQUIRED)
    network.drop("north", "a")
    network.drop("south", "b")
    hospital.learn()
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
    hospital.learn()
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
    hospital.learn()
    (update,) = hospital.updates
    network.drop("south", "b")
    network.now += timedelta(hours=7)  # the first one's claim has run out
    other.learn()
    word = hospital.say("Approve", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    assert hospital.heard(word) == ("False", "Superseded")
    assert len(hospital.updates) == 2  # its data is learned anew, on the new champion


def test_a_step_back_and_forward_leaves_no_candidate_behind(network: Network) -> None:
    hospital = Hospital(network, REQUIRED, ("north",))
    for content in ("a", "b", "c"):
        network.drop("north", content)
        hospital.learn()
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
    hospital.learn()
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
    hospital.learn()
    first = hospital.model.status.champion or ""
    network.drop("south", "b")
    hospital.learn()
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
    hospital.learn()
    assert hospital.states() == {"north": "Learned", "south": "RolledBack"}, "the very same version was rolled back"
    network.drop("south", "c")
    hospital.learn()
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
    assert hospital.model.status.decisions.rolled_back == 1
