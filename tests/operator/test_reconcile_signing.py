"""A registry knows its model, and only keys of the spec write to it: what a person with the bucket's key can do."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from fakes.hospital import APPROVAL_REQUIRED, SHARED, SPACE, FakeHospital, HospitalNetwork
from fakes.signed_hospital import (
    OPERATOR,
    OTHER_OPERATOR,
    RUN,
    STRANGER,
    key_file,
    make_hospital,
    private_key,
    signing_spec,
)

from anamnesis.operator.addresses import RUN_KEY_VARIABLE
from anamnesis.operator.api import condition_types
from anamnesis.operator.api.annotations import ADOPTED_REGISTRY, CHECKED_LOG_ENTRY
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.records import EntryKind, LogEntry, Metric, canonical_json, encode_object
from anamnesis.registry import Log, read_evaluations
from anamnesis.registry.evaluations import evaluation_key
from anamnesis.registry.identity import IDENTITY_KEY, read_identity
from anamnesis.registry.log_entries import dump_entry, entry_key


@dataclass
class SignedHospital:
    """A hospital whose records are signed, and the hand of a person with the bucket's key."""

    hospital: FakeHospital

    def condition(self, name: str) -> tuple[str, str]:
        condition = self.hospital.model.status.condition(name)
        assert condition is not None
        return condition.status, condition.message

    def forge(self, kind: EntryKind, subject: str, sign: Callable[[LogEntry], LogEntry] = lambda e: e) -> int:
        """Appends an entry with a valid chain, as the bucket's key allows."""
        entries = Log(self.hospital.registry).entries()
        entry = LogEntry(
            number=len(entries) + 1,
            previous_digest=entries[-1].digest,
            nonce="n",
            kind=kind,
            subject=subject,
            author="rossi",
            reason="reviewed",
            time="2026-11-20T12:00:00Z",
        )
        if kind is EntryKind.PROMOTE:
            decision = next(e.decision for e in entries if e.decision)
            champion = self.hospital.history().champion
            entry = replace(entry, decision=replace(decision, candidate=subject, base=champion))
        assert self.hospital.registry.put_if_absent(entry_key(entry.number), dump_entry(sign(entry)))
        return entry.number


@pytest.fixture
def signed(network: HospitalNetwork, monkeypatch: pytest.MonkeyPatch) -> SignedHospital:
    monkeypatch.setenv(RUN_KEY_VARIABLE, private_key(RUN))
    spec = APPROVAL_REQUIRED | signing_spec(OPERATOR, RUN)
    return SignedHospital(make_hospital(network, spec, key_file(OPERATOR)))


@pytest.fixture
def waiting(signed: SignedHospital, network: HospitalNetwork) -> tuple[SignedHospital, str]:
    """A champion is in use, and the next candidate waits for an approval."""
    hospital = signed.hospital
    for site in ("north", "south"):
        network.add_data(site, site)
        hospital.run_update()
        if site == "north":
            hospital.decide_pending()
            hospital.reconcile()
    assert signed.condition(condition_types.UNVERIFIED_PROMOTION)[0] == "False"
    (candidate,) = (u.status.version for u in hospital.updates if u.status.version != hospital.model.status.champion)
    assert candidate
    return signed, candidate


def test_every_entry_of_an_honest_log_is_signed_and_verified(signed: SignedHospital, network: HospitalNetwork) -> None:
    hospital = signed.hospital
    network.add_data("north", "a")
    hospital.run_update()
    hospital.decide_pending()
    hospital.reconcile()
    entries, status = Log(hospital.registry).entries(), hospital.model.status
    assert status.champion
    assert {entry.signature.key for entry in entries if entry.signature} == {OPERATOR.fingerprint}
    assert status.verified_log_entry == status.log_head
    (evaluation,) = read_evaluations(hospital.registry, status.champion)
    assert evaluation.signature
    assert evaluation.signature.key == RUN.fingerprint
    for approval in hospital.cluster.list(UpdateApproval, SPACE):  # verified once, so it stays verified
        hospital.cluster.delete(approval)
    hospital.reconcile()
    assert signed.condition(condition_types.UNVERIFIED_PROMOTION)[0] == "False"


def test_a_forged_approval_promotes_nothing_and_is_told(
    waiting: tuple[SignedHospital, str], network: HospitalNetwork
) -> None:
    signed, candidate = waiting
    hospital, champion = signed.hospital, signed.hospital.model.status.champion
    number = signed.forge(EntryKind.APPROVE, candidate)
    hospital.reconcile()
    assert hospital.model.status.champion == champion
    status, message = signed.condition(condition_types.UNVERIFIED_PROMOTION)
    assert status == "True"
    assert f"log entry {number} (approve" in message
    assert "by rossi): it has no signature" in message
    assert hospital.model.status.verified_log_entry.number == number - 1  # type: ignore[union-attr]


FORGERIES = {
    "it has no signature": lambda entry, _: entry,
    "is not listed": lambda entry, registry: STRANGER.sign(entry, registry),
    "has the role Run": lambda entry, registry: RUN.sign(entry, registry),
    "does not match": lambda entry, _: OPERATOR.sign(entry, "sha256:" + "0" * 64),
    "no signed approval of this version": lambda entry, registry: OPERATOR.sign(entry, registry),  # a stolen key
}


@pytest.mark.parametrize("problem", FORGERIES)
def test_a_forged_promotion_is_told_bars_updates_and_is_settled_by_a_person(
    waiting: tuple[SignedHospital, str], network: HospitalNetwork, problem: str
) -> None:
    signed, candidate = waiting
    hospital, champion = signed.hospital, signed.hospital.model.status.champion
    identity = read_identity(hospital.registry)
    assert identity
    signed.forge(EntryKind.PROMOTE, candidate, lambda entry: FORGERIES[problem](entry, identity.digest))
    network.add_data("north", "new")
    hospital.reconcile()
    status, message = signed.condition(condition_types.UNVERIFIED_PROMOTION)
    assert status == "True"
    assert problem in message
    assert hospital.model.status.champion == candidate, "the champion stays a fold over the log"
    assert hospital.states()["north"] == "UnverifiedPromotion"
    assert not hospital.backend.live_runs
    hospital.create_approval("RollBack", champion or "")
    hospital.reconcile()
    assert hospital.model.status.champion == champion
    head = hospital.model.status.log_head
    assert head
    metadata = hospital.model.metadata.model_copy(
        update={"annotations": {CHECKED_LOG_ENTRY: f"{head.number}:{head.digest}"}}
    )
    hospital.cluster.edit(hospital.model.model_copy(update={"metadata": metadata}))
    hospital.reconcile()
    assert signed.condition(condition_types.UNVERIFIED_PROMOTION)[0] == "False"
    assert hospital.backend.live_runs


def test_a_signed_decision_without_its_approval_is_told(waiting: tuple[SignedHospital, str]) -> None:
    signed, candidate = waiting
    identity = read_identity(signed.hospital.registry)
    assert identity
    signed.forge(EntryKind.APPROVE, candidate, lambda entry: OPERATOR.sign(entry, identity.digest))
    signed.hospital.reconcile()
    assert "no UpdateApproval of this namespace" in signed.condition(condition_types.UNVERIFIED_PROMOTION)[1]


def test_a_forged_evaluation_reaches_no_approver(waiting: tuple[SignedHospital, str]) -> None:
    signed, candidate = waiting
    registry = signed.hospital.registry
    (evaluation, *_) = read_evaluations(registry, candidate)
    forged = replace(evaluation, metrics={"AUROC": Metric(Decimal("0.99"), 50)}, signature=None)
    registry.put(evaluation_key(evaluation), canonical_json(encode_object(forged)))
    signed.hospital.start_operator()
    signed.hospital.reconcile()
    status, message = signed.condition(condition_types.READY)
    assert status == "False"
    assert "it has no signature" in message
    assert evaluation_key(evaluation) in message


def test_a_model_that_is_applied_again_goes_on_with_its_signed_registry(waiting: tuple[SignedHospital, str]) -> None:
    signed, _ = waiting
    old = signed.hospital
    new_hospital = FakeHospital(
        old.network, APPROVAL_REQUIRED | signing_spec(OPERATOR, RUN), signing_key=old.signing_key
    )
    new_hospital.cluster.uid = old.cluster.uid
    new_hospital.reconcile()
    assert new_hospital.model.status.champion == old.model.status.champion
    assert SignedHospital(new_hospital).condition(condition_types.UNVERIFIED_PROMOTION)[0] == "False"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (signing_spec(STRANGER, RUN), "publicKeys: the key of this operator is not listed.*role: Operator, key: "),
        ({}, "are signed, and this model has no spec.registry.signing"),
    ],
)
def test_a_swapped_or_removed_key_in_the_spec_is_told(
    waiting: tuple[SignedHospital, str], spec: dict[str, object], message: str
) -> None:
    old = waiting[0].hospital
    other = make_hospital(old.network, spec, old.signing_key)
    other.cluster.uid = old.cluster.uid
    other.reconcile()
    assert re.search(message, SignedHospital(other).condition(condition_types.READY)[1])


def test_an_operator_without_a_key_writes_nothing_to_a_signed_registry(network: HospitalNetwork) -> None:
    hospital = make_hospital(network, signing_spec(OPERATOR, RUN))
    network.add_data("north", "a")
    hospital.reconcile()
    assert "this operator has no private key" in SignedHospital(hospital).condition(condition_types.READY)[1]
    assert not list(hospital.registry.list())


def test_the_entries_of_another_cluster_count_by_its_public_key(
    network: HospitalNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_KEY_VARIABLE, private_key(RUN))
    spec = APPROVAL_REQUIRED | signing_spec(OPERATOR, RUN, OTHER_OPERATOR, shared=True)
    first, second = (make_hospital(network, spec, key_file(signer)) for signer in (OPERATOR, OTHER_OPERATOR))
    second.reconcile()
    network.add_data("north", "a")
    first.run_update()
    first.decide_pending()
    first.reconcile()
    second.reconcile()
    assert second.model.status.champion == first.model.status.champion is not None
    assert SignedHospital(second).condition(condition_types.UNVERIFIED_PROMOTION)[0] == "False"


def test_two_models_never_merge_in_one_registry(network: HospitalNetwork) -> None:
    first, second = FakeHospital(network, {}), FakeHospital(network, {})
    network.add_data("north", "a")
    first.run_update()
    second.reconcile()
    status, message = SignedHospital(second).condition(condition_types.READY)
    assert (status, second.model.status.champion) == ("False", None)
    assert f"the cluster {first.cluster.uid} uses s3://models/chest too" in message
    assert SignedHospital(second).condition(condition_types.STALLED)[0] == "True"
    first.registry.put(IDENTITY_KEY, first.registry.get(IDENTITY_KEY).replace(b"hospital/chest", b"hospital/liver"))
    first.start_operator()
    first.reconcile()
    assert "belongs to the model hospital/liver" in SignedHospital(first).condition(condition_types.READY)[1]


def test_a_person_moves_a_registry_to_another_cluster(network: HospitalNetwork) -> None:
    old, new = FakeHospital(network, {}), FakeHospital(network, {})
    network.add_data("north", "a")
    old.run_update()
    new.reconcile()
    message = SignedHospital(new).condition(condition_types.READY)[1]
    (annotation,) = re.findall(rf"{ADOPTED_REGISTRY}=(\S+)", message)
    metadata = new.model.metadata.model_copy(update={"annotations": {ADOPTED_REGISTRY: annotation}})
    new.cluster.edit(new.model.model_copy(update={"metadata": metadata}))
    network.add_data("south", "b")
    new.run_update()
    assert new.states() == {"north": "Learned", "south": "Learned"}
    old.reconcile()
    assert f"the cluster {new.cluster.uid} uses" in SignedHospital(old).condition(condition_types.READY)[1]
    assert [entry.kind for entry in Log(new.registry).entries()].count(EntryKind.ADOPT) == 1


def test_sharing_is_declared_by_both(network: HospitalNetwork) -> None:
    first, second = FakeHospital(network, {}), FakeHospital(network, SHARED)
    network.add_data("north", "a")
    first.run_update()
    second.reconcile()
    assert second.model.status.champion is None
    registry = first.model.spec.registry
    first.edit_model(registry=registry.model_copy(update={"shared": True}))
    network.add_data("south", "b")
    first.run_update()
    second.reconcile()
    assert second.model.status.champion == first.model.status.champion is not None
