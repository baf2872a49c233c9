"""Test sets: frozen at a site's first snapshot, numbered, never changed; later test patients wait in reserve."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import (
    ConflictError,
    InputError,
    IntegrityError,
    RefusedError,
    Split,
    Task,
    TaskType,
    canonical_json,
    decode,
    digest_bytes,
    digest_json,
    encode,
)
from anamnesis.snapshots.manifest import SampleRecord, read_manifest
from anamnesis.storage.store import Store


@dataclass(frozen=True, slots=True)
class TestSet:
    """The cases that judge a task at one site.

    Attributes:
        number: 1, 2, 3, ...; the last one is in force.
        site: whose data.
        task: what is asked.
        key_fingerprint: of the split key.
        samples: sorted by id, each complete, so that the set outlives its snapshot.
        schema: of this document.
    """

    __test__ = False  # for pytest: a class with this name is no test

    number: int
    site: str
    task: Task
    key_fingerprint: str
    samples: tuple[SampleRecord, ...]
    schema: int = 1

    @property
    def digest(self) -> str:
        """Digest of the canonical JSON of all fields."""
        return digest_bytes(canonical_json(encode(self)))


def test_sets(store: Store) -> tuple[TestSet, ...]:
    """Returns every test set of a site, in the order of their numbers.

    Raises:
        IntegrityError: one was changed.
    """
    return tuple(_stored(store, info.key) for info in store.list("testsets/"))


def current_test_set(store: Store) -> str:
    """Returns the digest of a site's test set in force, or nothing before its first ingest; reads that one alone.

    Raises:
        IntegrityError: it was changed.
    """
    keys = [info.key for info in store.list("testsets/")]
    return str(_document(store, keys[-1])["digest"]) if keys else ""


def find_test_set(store: Store, digest: str) -> TestSet:
    """Returns the test set with this digest.

    Raises:
        InputError: there is none.
        IntegrityError: one was changed.
    """
    found = next((one for one in reversed(test_sets(store)) if one.digest == digest), None)
    if found is None:
        raise InputError(f"{store.url}: no test set has the digest {digest}; is it another site's?")
    return found


def freeze(store: Store, first: TestSet) -> tuple[TestSet, ...]:
    """Writes a site's first test set, and returns what was issued: somebody else may have been faster.

    Raises:
        InputError: it is empty, or lacks a class.
    """
    check_complete(first)
    _write(store, first)
    return test_sets(store)


def issue_test_set(store: Store, snapshot: str) -> TestSet:
    """Makes a snapshot's reserve the next test set. Who was ever in training is left out.

    Returns:
        The new set; the next ingest puts it in force.

    Raises:
        InputError: the reserve is empty or lacks a class.
        ConflictError: somebody else issued one at the same moment.
    """
    manifest, issued = read_manifest(store, snapshot), test_sets(store)
    trained = _ever_trained(store)
    samples = tuple(replace(s, split=Split.TEST) for s in manifest.of(Split.RESERVE) if s.patient not in trained)
    following = TestSet(len(issued) + 1, manifest.site, manifest.task, manifest.key_fingerprint, samples)
    check_complete(following)
    if not _write(store, following):
        raise ConflictError(f"{store.url}: test set {following.number} was issued by somebody else meanwhile")
    return following


def check_complete(candidate: TestSet) -> None:
    """Refuses a set that could not judge its task.

    Raises:
        InputError: it is empty, or a class has no case; says what to do.
    """
    there = {sample.target.index for sample in candidate.samples if sample.target}
    classes = candidate.task.classes if candidate.task.type is TaskType.CLASSIFICATION else ()
    lacking = [name for index, name in enumerate(classes) if index not in there]
    if candidate.samples and not lacking:
        return
    what = f"no case of class {', '.join(map(repr, lacking))}" if lacking else "no case"
    raise InputError(
        f"site {candidate.site!r}: test set {candidate.number} would have {what} among {len(candidate.samples)}; wait "
        "for more labelled patients, raise testFraction, declare a split in the source, or correct the task's classes"
    )


def check_task(issued: Sequence[TestSet], task: Task) -> None:
    """Refuses a task that is not the one which the site's test sets were frozen for.

    Raises:
        RefusedError: type or classes differ.
    """
    for one in issued:
        if (one.task.name, one.task.type, one.task.classes) != (task.name, task.type, task.classes):
            raise RefusedError(
                f"site {one.site!r}: its test set {one.number} was frozen for task {one.task.name!r} with classes "
                f"{list(one.task.classes)}, found {task.name!r} with {list(task.classes)}; use another site and store"
            )


def _write(store: Store, one: TestSet) -> bool:
    document = {"digest": one.digest, "test_set": encode(one)}
    return store.put_if_absent(f"testsets/{one.number:020d}.json", canonical_json(document))


def _stored(store: Store, key: str) -> TestSet:
    document = _document(store, key)
    try:
        return decode(TestSet, document["test_set"], key)
    except InputError as error:
        raise IntegrityError(f"{store.url}/{key}: not a test set any more: {error}") from error


def _document(store: Store, key: str) -> Mapping[str, object]:
    try:
        document: Mapping[str, object] = json.loads(store.get(key))
        sound = digest_json(document["test_set"]) == document["digest"]
    except (ValueError, LookupError, TypeError) as error:
        raise IntegrityError(f"{store.url}/{key}: not a test set any more: {error}") from error
    if not sound:
        raise IntegrityError(f"{store.url}/{key}: the test set does not have the digest that stands beside it")
    return document


def _ever_trained(store: Store) -> set[str]:
    digests = [f"sha256:{info.key[10:-5]}" for info in store.list("snapshots/")]
    return {sample.patient for digest in digests for sample in read_manifest(store, digest).of(Split.TRAIN)}
