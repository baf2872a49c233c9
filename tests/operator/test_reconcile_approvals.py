"""What people say of versions, and what comes of it."""

from datetime import timedelta
from pathlib import Path

from fakes.hospital import APPROVAL_REQUIRED, SHARED, SPACE, FakeHospital, HospitalNetwork, digest

from anamnesis.operator.api.condition_types import AWAITING_APPROVAL
from anamnesis.operator.controllers.dispatch import ReconcileOptions, create_reconciler
from anamnesis.operator.runtime.cache import Cache, ResourceChange
from anamnesis.operator.runtime.event_mapping import keys_for
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import EntryKind
from anamnesis.registry import Log


def test_what_waits_for_a_person_says_so_and_is_promoted_in_their_name(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, APPROVAL_REQUIRED)
    network.add_data("north", "a")
    network.add_data("south", "b")
    hospital.run_update()
    assert hospital.states() == {"north": "AwaitingApproval", "south": "Queued"}
    assert hospital.model.status.is_true(AWAITING_APPROVAL)
    (update,) = hospital.updates
    assert update.status.version
    approval = hospital.create_approval("Approve", update.status.version, update.metadata.name)
    hospital.reconcile()
    assert hospital.approval_result(approval) == ("True", "Recorded")
    assert hospital.states()["north"] == "Learned"
    entry = next(e for e in Log(hospital.registry).entries() if e.kind is EntryKind.APPROVE)
    assert (entry.author, entry.reason.startswith("reviewed")) == ("rossi", True)


def test_another_digest_another_update_an_unchecked_author_are_refused(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, APPROVAL_REQUIRED)
    network.add_data("north", "a")
    hospital.run_update()
    (update,) = hospital.updates
    name, version = update.metadata.name, update.status.version or ""
    approvals = {
        "WrongVersion": hospital.create_approval("Approve", digest("another"), name),
        "UnknownUpdate": hospital.create_approval("Approve", version, "chest-0123456789"),
        "NeverPromoted": hospital.create_approval("RollBack", digest("another")),
    }
    hospital.reconcile()
    assert {hospital.approval_result(approval) for approval in approvals.values()} == {
        ("False", reason) for reason in approvals
    }
    for guarded_since, may_read, cause in (
        (None, True, "is not installed"),
        (None, False, "the operator may not read the admission policy"),
        (network.now, True, "was created before the admission policy"),
    ):
        hospital.cluster.guarded_since, hospital.cluster.may_read_policy = guarded_since, may_read
        approval = hospital.create_approval("Approve", version, name)
        hospital.reconcile()
        hospital.cluster.guarded_since, hospital.cluster.may_read_policy = network.now - timedelta(days=1), True
        hospital.reconcile()
        assert hospital.approval_result(approval) == ("False", "AuthorUnverified")
        assert hospital.cluster.events[-1][1] == "Warning"
        assert cause in hospital.cluster.events[-1][3]
    assert hospital.model.status.champion is None


def test_a_late_approval_of_a_superseded_candidate_is_refused(network: HospitalNetwork) -> None:
    hospital, second_hospital = (
        FakeHospital(network, APPROVAL_REQUIRED | SHARED, ("north",)),
        FakeHospital(network, SHARED, ("south",)),
    )
    network.add_data("north", "a")
    hospital.run_update()
    (update,) = hospital.updates
    network.add_data("south", "b")
    network.now += timedelta(hours=7)  # the first one's claim has run out
    second_hospital.run_update()
    approval = hospital.create_approval("Approve", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    assert hospital.approval_result(approval) == ("False", "Superseded")
    assert len(hospital.updates) == 2  # its data is learned again, on the new champion


def test_a_step_back_and_forward_leaves_no_candidate_behind(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, APPROVAL_REQUIRED, ("north",))
    for content in ("a", "b", "c"):
        network.add_data("north", content)
        hospital.run_update()
        if content != "c":
            hospital.decide_pending()
            hospital.reconcile()
    first, second = hospital.history().promoted_versions
    for version in (first, second):  # the candidate is superseded; then its base is the champion again
        hospital.create_approval("RollBack", version)
        hospital.reconcile()
    assert hospital.states() == {"north": "AwaitingApproval"}
    hospital.decide_pending()
    hospital.reconcile()
    assert len(hospital.history().lineage) == 3


def test_a_persons_rejection_is_final(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, APPROVAL_REQUIRED)
    network.add_data("north", "a")
    hospital.run_update()
    (update,) = hospital.updates
    hospital.create_approval("Reject", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    approval = hospital.create_approval("Approve", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    assert hospital.approval_result(approval) == ("False", "AlreadyRejected")
    (north, _) = hospital.model.status.sites
    assert north.state == "Rejected"
    assert "rossi rejected it" in north.message
    assert "reviewed" not in north.message  # a person's words are for the log


def test_one_step_back_to_any_champion_and_its_data_waits_for_a_person(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.run_update()
    first = hospital.model.status.champion or ""
    network.add_data("south", "b")
    hospital.run_update()
    network.now += timedelta(days=1)
    approval = hospital.create_approval("RollBack", first)
    hospital.reconcile()
    assert hospital.approval_result(approval) == ("True", "Recorded")
    assert hospital.model.status.champion == first
    assert hospital.model.status.promotion_time == network.now, "it came back into use a moment ago"
    assert hospital.states() == {"north": "Learned", "south": "RolledBack"}
    assert "reviewed" not in hospital.model.status.model_dump_json()
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 2
    hospital.request_update("south", 1)
    hospital.run_update()
    assert hospital.states() == {"north": "Learned", "south": "RolledBack"}, "the very same version was rolled back"
    network.add_data("south", "c")
    hospital.run_update()
    assert hospital.states() == {"north": "Learned", "south": "Learned"}
    assert hospital.model.status.decisions.rolled_back == 1


def test_a_decision_about_a_model_that_does_not_exist_is_refused_and_never_executed_later(
    network: HospitalNetwork,
) -> None:
    hospital = FakeHospital(network, {})
    network.add_data("north", "a")
    hospital.run_update()
    champion = hospital.model.status.champion
    assert champion
    reconcile = create_reconciler(
        hospital.cluster,
        network.clock,
        ReconcileOptions({}, Path("/nowhere"), lambda _: hospital.backend, network.store),
    )
    model = hospital.model
    hospital.cluster.delete(model)
    network.now += timedelta(hours=1)
    withdrawal = hospital.create_approval("Withdraw")
    rejection = hospital.create_approval("Reject", champion, "nothing")
    keys = [ReconcileKey("UpdateApproval", SPACE, name) for name in ("chest", "nothing")]
    assert all(reconcile(key) for key in keys)
    assert hospital.approval_result(withdrawal) == ("Unknown", "Pending")
    network.now += timedelta(minutes=2)
    assert not any(reconcile(key) for key in keys)
    for approval in (withdrawal, rejection):
        assert hospital.approval_result(approval) == ("False", "UnknownModel")
    cleared = {"uid": "", "resource_version": "", "finalizers": (), "deletion_timestamp": None}
    hospital.cluster.create(model.model_copy(update={"metadata": model.metadata.model_copy(update=cleared)}))
    hospital.start_operator()
    hospital.reconcile()
    assert not hospital.history().withdrawal
    assert hospital.approval_result(withdrawal) == ("False", "UnknownModel")


def test_a_decision_with_a_name_that_nothing_has_is_reconciled_too(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {})
    cache = Cache()
    approval = hospital.create_approval("Reject", digest("version"), "chset-0123456789")
    keys = set(keys_for(ResourceChange(None, approval), cache))
    assert ReconcileKey("UpdateApproval", SPACE, "chset") in keys
