"""A registry knows its model and refuses another."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from anamnesis.records import EntryKind, IntegrityError, PublicKey, SignerRole, Task, TaskType
from anamnesis.registry.identity import (
    IDENTITY_KEY,
    ClusterUse,
    OtherModelError,
    RegistryIdentity,
    check_cluster,
    check_identity,
    current_name,
    read_identity,
    signed_declarations,
    write_identity,
)
from anamnesis.registry.signing import Signing, make_signer, new_private_key
from anamnesis.storage import Store

TASK = Task("pneumonia", TaskType.CLASSIFICATION, ("no", "yes"))
SWAPPED = Task("pneumonia", TaskType.CLASSIFICATION, ("yes", "no"))


def identity(model: str = "wards/chest", **changes: object) -> RegistryIdentity:
    fields: Mapping[str, object] = {"tasks": {"pneumonia": TASK}, **changes}
    return RegistryIdentity(model, **fields)  # type: ignore[arg-type]


def test_the_first_writer_names_the_model(folder: Store) -> None:
    assert read_identity(folder) is None
    first = write_identity(folder, identity())
    assert write_identity(folder, identity("wards/other")) == first == read_identity(folder)
    assert first.nonce
    folder.put(IDENTITY_KEY, folder.get(IDENTITY_KEY).replace(b"wards/chest", b"wards/liver") + b" ")
    with pytest.raises(IntegrityError):
        read_identity(folder)


@pytest.mark.parametrize(
    "other",
    [
        identity(),
        identity("chest"),  # a file on a laptop has no namespace
        identity(tasks={}),
        identity(tasks={"pneumonia": TASK, "effusion": SWAPPED}),  # a site that joined later
    ],
)
def test_the_same_model_is_accepted(other: RegistryIdentity) -> None:
    check_identity(identity(), other, (), has_log=True, url="s3://models/chest")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (identity("wards/liver"), "spec.registry.url: .* belongs to the model wards/chest, and this is wards/liver"),
        (identity("liver"), "belongs to the model wards/chest, and this is liver"),
        (identity("research/chest"), "belongs to the model wards/chest, and this is research/chest"),
        (identity(tasks={"pneumonia": SWAPPED}), "spec.sites: .* of the classes no, yes, and this model has yes, no"),
        (identity(signed=True), "spec.registry.signing: the records of .* are unsigned, and this model has"),
    ],
)
def test_another_model_is_refused(other: RegistryIdentity, message: str) -> None:
    with pytest.raises(OtherModelError, match=message):
        check_identity(identity(), other, (), has_log=True, url="s3://models/chest")


def test_a_signed_registry_stays_signed() -> None:
    with pytest.raises(OtherModelError, match=r"are signed, and this model has no spec\.registry\.signing"):
        check_identity(identity(signed=True), identity(), (), has_log=True, url="s3://models/chest")
    with pytest.raises(IntegrityError, match=r"registry\.json is missing, so no signature can be verified"):
        check_identity(None, identity(signed=True), (), has_log=True, url="s3://models/chest")
    check_identity(None, identity(signed=True), (), has_log=False, url="s3://models/chest")


def test_a_declared_name_replaces_the_first(build) -> None:
    entries = (build.entry(EntryKind.ADOPT, "wards/thorax"),)
    assert current_name(identity(), entries) == "wards/thorax"
    check_identity(identity(), identity("wards/thorax"), entries, has_log=True, url="s3://models/chest")
    with pytest.raises(OtherModelError, match="belongs to the model wards/thorax"):
        check_identity(identity(), identity(), entries, has_log=True, url="s3://models/chest")


def test_a_name_without_a_signature_does_not_count(build) -> None:
    signer = make_signer(SignerRole.OPERATOR, new_private_key())
    signing = Signing("sha256:" + "a" * 64, signer, (PublicKey("cluster", signer.role, signer.public_key),))
    forged = build.entry(EntryKind.ADOPT, "wards/liver")
    assert signed_declarations([forged, signing.sign(forged)], signing) == (signing.sign(forged),)
    assert signed_declarations([forged], Signing()) == (forged,)


CASES = [
    ("A", [], False, True),
    ("A", [], True, False),  # first declares itself
    ("A", ["join A"], True, True),
    ("", [], False, False),  # made by a command on a machine
    ("", ["join A"], False, True),
    ("B", [], False, "B"),
    ("B", [], True, "B"),  # the other does not declare it
    ("B", ["join B"], True, False),
    ("B", ["join B", "join A"], True, True),
    ("B", ["join B", "join A"], False, "B"),
    ("A", ["join B"], False, "B"),
    ("B", ["adopt"], False, False),  # that cluster is gone
    ("B", ["adopt", "join A"], False, True),
    ("A", ["adopt", "join B"], False, "B"),
]


@pytest.mark.parametrize(("first", "log", "shared", "outcome"), CASES)
def test_a_second_cluster_needs_a_shared_registry(
    build, first: str, log: list[str], shared: bool, outcome: bool | str
) -> None:
    entries = [
        build.entry(EntryKind(word.split()[0]), word.split()[-1], number=number) for number, word in enumerate(log, 1)
    ]
    arguments = (identity(cluster=first), entries, ClusterUse("A", shared=shared), "s3://models/chest")
    if isinstance(outcome, str):
        with pytest.raises(OtherModelError, match=f"the cluster {outcome} uses s3://models/chest too"):
            check_cluster(*arguments)
    else:
        assert check_cluster(*arguments) is outcome


def test_a_new_registry_is_not_ready_and_an_unknown_cluster_is_not_compared() -> None:
    assert not check_cluster(None, (), ClusterUse("A"), "s3://models/chest")
    assert check_cluster(identity(cluster="B"), (), ClusterUse(""), "s3://models/chest")


def test_a_model_that_has_seen_the_log_goes_on_after_its_lease_was_deleted(build) -> None:
    stored, url, operator = identity(cluster="old lease"), "s3://models/chest", "anamnesis-operator/uid"
    join = replace(build.entry(EntryKind.JOIN, "old lease", number=1), author=operator)
    for declarations in ((), (join,)):
        assert check_cluster(stored, declarations, ClusterUse("new lease", operator, seen_entry=5), url)
        with pytest.raises(OtherModelError, match="the cluster old lease uses"):
            check_cluster(stored, declarations, ClusterUse("other cluster", "anamnesis-operator/other"), url)
    given_away = (build.entry(EntryKind.ADOPT, "chest", number=6), build.entry(EntryKind.JOIN, "other", number=7))
    with pytest.raises(OtherModelError, match="the cluster other uses"):
        check_cluster(stored, given_away, ClusterUse("new lease", operator, seen_entry=5), url)
