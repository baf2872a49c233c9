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
from anamnesis.snapshots.manifest import SampleRecord, read_snapshot_manifest
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


def list_test_sets(store: Store) -> tuple[TestSet, ...]:
    """Returns every test set of a site, in the order of their numbers.

    Raises:
        IntegrityError: one was changed.
    """
    return tuple(_read_test_set(store, info.key) for info in store.list("testsets/"))


def current_test_set(store: Store) -> str:
    """Returns the digest of a site's test set in force, or nothing before its first ingest; reads that one alone.

    Raises:
        IntegrityError: it was changed.
    """
    keys = [info.key for info in store.list("testsets/")]
    return str(_read_document(store, keys[-1])["digest"]) if keys else ""


def find_test_set(store: Store, digest: str) -> TestSet:
    """Returns the test set with this digest.

    Raises:
        InputError: there is none.
        IntegrityError: one was changed.
    """
    matching_set = next((test_set for test_set in reversed(list_test_sets(store)) if test_set.digest == digest), None)
    if matching_set is None:
        raise InputError(f"{store.url}: no test set has the digest {digest}; is it another site's?")
    return matching_set


def freeze_test_set(store: Store, first_set: TestSet) -> tuple[TestSet, ...]:
    """Writes a site's first test set, and returns what was issued: somebody else may have been faster.

    Raises:
        InputError: it is empty, or lacks a class.
    """
    check_complete(first_set)
    _write_test_set(store, first_set)
    return list_test_sets(store)


def issue_test_set(store: Store, snapshot: str) -> TestSet:
    """Makes a snapshot's reserve the next test set. Who was ever in training is left out.

    Returns:
        The new set; the next ingest puts it in force.

    Raises:
        InputError: the reserve is empty or lacks a class.
        ConflictError: somebody else issued one at the same moment.
    """
    manifest, issued_test_sets = read_snapshot_manifest(store, snapshot), list_test_sets(store)
    trained_patients = _find_trained_patients(store)
    samples = tuple(
        replace(sample, split=Split.TEST)
        for sample in manifest.samples_of(Split.RESERVE)
        if sample.patient not in trained_patients
    )
    next_set = TestSet(len(issued_test_sets) + 1, manifest.site, manifest.task, manifest.key_fingerprint, samples)
    check_complete(next_set)
    if not _write_test_set(store, next_set):
        raise ConflictError(f"{store.url}: test set {next_set.number} was issued by somebody else meanwhile")
    return next_set


def check_complete(test_set: TestSet) -> None:
    """Refuses a set that could not judge its task.

    Raises:
        InputError: it is empty, or a class has no case; says what to do.
    """
    present_classes = {sample.target.index for sample in test_set.samples if sample.target}
    classes = test_set.task.classes if test_set.task.type is TaskType.CLASSIFICATION else ()
    missing_classes = [name for index, name in enumerate(classes) if index not in present_classes]
    if test_set.samples and not missing_classes:
        return
    missing_text = f"no case of class {', '.join(map(repr, missing_classes))}" if missing_classes else "no case"
    raise InputError(
        f"site {test_set.site!r}: test set {test_set.number} would have {missing_text} among {len(test_set.samples)}; wait "
        "for more labelled patients, raise testFraction, declare a split in the source, or correct the task's classes"
    )


def check_task(issued_test_sets: Sequence[TestSet], task: Task) -> None:
    """Refuses a task that is not the one which the site's test sets were frozen for.

    Raises:
        RefusedError: type or classes differ.
    """
    for test_set in issued_test_sets:
        if (test_set.task.name, test_set.task.type, test_set.task.classes) != (task.name, task.type, task.classes):
            raise RefusedError(
                f"site {test_set.site!r}: its test set {test_set.number} was frozen for task {test_set.task.name!r} with classes "
                f"{list(test_set.task.classes)}, found {task.name!r} with {list(task.classes)}; use another site and store"
            )


def _write_test_set(store: Store, test_set: TestSet) -> bool:
    document = {"digest": test_set.digest, "test_set": encode(test_set)}
    return store.put_if_absent(f"testsets/{test_set.number:020d}.json", canonical_json(document))


def _read_test_set(store: Store, key: str) -> TestSet:
    document = _read_document(store, key)
    try:
        return decode(TestSet, document["test_set"], key)
    except InputError as error:
        raise IntegrityError(f"{store.url}/{key}: not a test set any more: {error}") from error


def _read_document(store: Store, key: str) -> Mapping[str, object]:
    try:
        document: Mapping[str, object] = json.loads(store.get(key))
        is_intact = digest_json(document["test_set"]) == document["digest"]
    except (ValueError, LookupError, TypeError) as error:
        raise IntegrityError(f"{store.url}/{key}: not a test set any more: {error}") from error
    if not is_intact:
        raise IntegrityError(f"{store.url}/{key}: the test set does not have the digest that stands beside it")
    return document


def _find_trained_patients(store: Store) -> set[str]:
    digests = [f"sha256:{info.key[10:-5]}" for info in store.list("snapshots/")]
    return {
        sample.patient for digest in digests for sample in read_snapshot_manifest(store, digest).samples_of(Split.TRAIN)
    }
