"""A registry knows its model and refuses another."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from anamnesis.records import EntryKind, IntegrityError, Task, TaskType
from anamnesis.registry.identity import (
    IDENTITY_KEY,
    OtherModelError,
    RegistryIdentity,
    check_identity,
    check_operators,
    current_name,
    read_identity,
    write_identity,
)
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
    check_identity(identity(), other, (), "s3://models/chest")


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
        check_identity(identity(), other, (), "s3://models/chest")


def test_a_signed_registry_stays_signed(build) -> None:
    with pytest.raises(OtherModelError, match=r"are signed, and this model has no spec\.registry\.signing"):
        check_identity(identity(signed=True), identity(), (), "s3://models/chest")
    with pytest.raises(IntegrityError, match=r"registry\.json is missing, so no signature can be verified"):
        check_identity(None, identity(signed=True), (build.entry(EntryKind.CLAIM, "a"),), "s3://models/chest")
    check_identity(None, identity(signed=True), (), "s3://models/chest")


def test_a_declared_name_replaces_the_first(build) -> None:
    entries = (build.entry(EntryKind.ADOPT, "wards/thorax"),)
    assert current_name(identity(), entries) == "wards/thorax"
    check_identity(identity(), identity("wards/thorax"), entries, "s3://models/chest")
    with pytest.raises(OtherModelError, match="belongs to the model wards/thorax"):
        check_identity(identity(), identity(), entries, "s3://models/chest")


A, B = "anamnesis-operator/a", "anamnesis-operator/b"
CASES = [
    ([], False, ""),
    ([A, A], False, ""),
    ([B, B, A], False, ""),  # the model was deleted and applied again
    ([B, A, B], False, B),
    ([A, B], False, B),
    ([B, "join B"], False, B),
    ([A, "join A", "dr rossi"], True, ""),
    (["join A", "join B", B, A], True, ""),
    ([B, "join A"], True, ""),  # a model that was deleted before the registry was shared
    (["join A", B], True, B),
]


@pytest.mark.parametrize(("authors", "shared", "refused"), CASES)
def test_a_second_operator_needs_a_shared_registry(build, authors: list[str], shared: bool, refused: str) -> None:
    entries = []
    for number, author in enumerate(authors, 1):
        kind = EntryKind.JOIN if author.startswith("join") else EntryKind.CLAIM
        name = {"join A": A, "join B": B}.get(author, author)
        entries.append(replace(build.entry(kind, name, number=number), author=name))
    if refused:
        with pytest.raises(OtherModelError, match=f"spec.registry.shared: {refused} writes to s3://models/chest too"):
            check_operators(entries, A, shared, "s3://models/chest")
    else:
        check_operators(entries, A, shared, "s3://models/chest")
