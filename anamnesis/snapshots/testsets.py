"""Test sets: numbered, frozen at a site's first snapshot and never changed. Later test patients wait in reserve."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from anamnesis.records import (
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
from anamnesis.snapshots.calibration_sets import (
    MINIMUM_PATIENTS,
    CalibrationSet,
    read_calibration_set,
    write_calibration_set,
)
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.storage.documents import check_schema
from anamnesis.storage.store import Store


@dataclass(frozen=True, slots=True)
class TestSet:
    """The test cases of a task at one site.

    Attributes:
        number: 1, 2, 3, ...; the last set is the current one.
        site: the site of the data.
        task: the task of the site.
        key_fingerprint: fingerprint of the split key.
        samples: the complete records, sorted by id, so that the set does not depend on a snapshot.
        calibration: digest of the calibration set that was frozen with it; empty where there were too few patients.
        schema: schema of this document.
    """

    __test__ = False  # for pytest: this class is not a test

    number: int
    site: str
    task: Task
    key_fingerprint: str
    samples: tuple[SampleRecord, ...]
    calibration: str = ""
    schema: int = 2

    @property
    def digest(self) -> str:
        """Digest of the canonical JSON of all fields."""
        return digest_bytes(canonical_json(encode(self)))


def list_test_sets(store: Store) -> tuple[TestSet, ...]:
    """Returns all test sets of a site, in the order of their numbers.

    Raises:
        IntegrityError: a test set was changed.
    """
    return tuple(_read_test_set(store, info.key) for info in store.list("testsets/"))


def current_test_set(store: Store) -> str:
    """Returns the digest of a site's current test set, empty before its first ingest; reads only this set.

    Raises:
        IntegrityError: the test set was changed.
    """
    keys = [info.key for info in store.list("testsets/")]
    return str(_read_document(store, keys[-1])["digest"]) if keys else ""


def find_test_set(store: Store, digest: str) -> TestSet:
    """Returns the test set with this digest.

    Raises:
        InputError: the test set does not exist.
        IntegrityError: a test set was changed.
    """
    matching_set = next((test_set for test_set in reversed(list_test_sets(store)) if test_set.digest == digest), None)
    if matching_set is None:
        raise InputError(
            f"{store.url}: no test set has the digest {digest}; check that this is the store of the site. If it is, "
            "the test set was deleted: restore it from a backup"
        )
    return matching_set


def freeze_first_sets(
    store: Store, site: str, task: Task, key_fingerprint: str, samples: Sequence[SampleRecord]
) -> tuple[TestSet, ...]:
    """Writes a site's first calibration set and first test set, and returns the stored test sets.

    Raises:
        InputError: the test set is empty or lacks a class.
    """
    test_set = TestSet(
        number=1,
        site=site,
        task=task,
        key_fingerprint=key_fingerprint,
        samples=tuple(sample for sample in samples if sample.split is Split.TEST),
    )
    check_complete(test_set)
    calibration = freeze_calibration_set(
        store, test_set, [sample for sample in samples if sample.split is Split.CALIBRATION]
    )
    return freeze_test_set(store, replace(test_set, calibration=calibration))


def freeze_test_set(store: Store, first_set: TestSet) -> tuple[TestSet, ...]:
    """Writes a site's first test set, and returns the stored test sets: another process may have been faster.

    Raises:
        InputError: the test set is empty or lacks a class.
    """
    check_complete(first_set)
    write_test_set(store, first_set)
    return list_test_sets(store)


def freeze_calibration_set(store: Store, test_set: TestSet, samples: Sequence[SampleRecord]) -> str:
    """Writes the calibration set beside a test set and returns its digest, empty where its patients are too few."""
    if len({sample.patient for sample in samples}) < MINIMUM_PATIENTS:
        return ""
    return write_calibration_set(
        store, CalibrationSet(test_set.site, test_set.task, test_set.key_fingerprint, samples=tuple(samples))
    )


def list_calibration_sets(store: Store, issued_test_sets: Sequence[TestSet]) -> tuple[CalibrationSet, ...]:
    """Returns the calibration sets of issued test sets, each once."""
    digests = dict.fromkeys(test_set.calibration for test_set in issued_test_sets if test_set.calibration)
    return tuple(read_calibration_set(store, digest) for digest in digests)


def list_frozen_samples(store: Store, issued_test_sets: Sequence[TestSet]) -> tuple[SampleRecord, ...]:
    """Returns the samples of issued test sets and their calibration sets."""
    tested = (sample for test_set in issued_test_sets for sample in test_set.samples)
    calibrating = (sample for each in list_calibration_sets(store, issued_test_sets) for sample in each.samples)
    return (*tested, *calibrating)


def find_frozen_splits(store: Store, issued_test_sets: Sequence[TestSet]) -> dict[str, Split]:
    """Returns TEST or CALIBRATION for the pseudonym of each patient in issued test sets and their calibration sets."""
    calibration_sets = list_calibration_sets(store, issued_test_sets)
    calibrating = {sample.patient for frozen_set in calibration_sets for sample in frozen_set.samples}
    tested = {sample.patient for frozen_set in issued_test_sets for sample in frozen_set.samples}
    return dict.fromkeys(calibrating, Split.CALIBRATION) | dict.fromkeys(tested, Split.TEST)


def check_complete(test_set: TestSet) -> None:
    """Refuses a test set that cannot evaluate its task.

    Raises:
        InputError: the set is empty, or a class has no case; the message says what to do.
    """
    present_classes = {sample.target.index for sample in test_set.samples if sample.target}
    classes = test_set.task.classes if test_set.task.type is TaskType.CLASSIFICATION else ()
    missing_classes = [name for index, name in enumerate(classes) if index not in present_classes]
    if test_set.samples and not missing_classes:
        return
    missing_text = f"no case of class {', '.join(map(repr, missing_classes))}" if missing_classes else "no case"
    raise InputError(
        f"site {test_set.site!r}: test set {test_set.number} has {missing_text} ({len(test_set.samples)} cases); wait "
        "for more labelled patients, raise testFraction, declare a split in the source, or correct the task's classes"
    )


def check_task(issued_test_sets: Sequence[TestSet], task: Task) -> None:
    """Refuses a task that differs from the task of the site's test sets.

    Raises:
        RefusedError: name, type or classes differ.
    """
    for test_set in issued_test_sets:
        if (test_set.task.name, test_set.task.type, test_set.task.classes) != (task.name, task.type, task.classes):
            raise RefusedError(
                f"site {test_set.site!r}: test set {test_set.number} was frozen for task {test_set.task.name!r} "
                f"({test_set.task.type.value}) with classes {list(test_set.task.classes)}, found {task.name!r} "
                f"({task.type.value}) with {list(task.classes)}; restore the task, or use another site and store"
            )


def write_test_set(store: Store, test_set: TestSet) -> bool:
    """Writes a test set under its number; returns whether no other process wrote one first."""
    document = {"digest": test_set.digest, "test_set": encode(test_set)}
    return store.put_if_absent(f"testsets/{test_set.number:020d}.json", canonical_json(document))


def _read_test_set(store: Store, key: str) -> TestSet:
    document = _read_document(store, key)
    fields = cast(dict[str, object], document["test_set"])
    check_schema(TestSet, fields.get("schema"), f"{store.url}/{key}")
    try:
        return decode(TestSet, fields, key)
    except InputError as error:
        raise _changed_test_set_error(store, key, str(error)) from error


def _read_document(store: Store, key: str) -> Mapping[str, object]:
    try:
        document: Mapping[str, object] = json.loads(store.get(key))
        is_intact = digest_json(document["test_set"]) == document["digest"]
    except (ValueError, LookupError, TypeError) as error:
        raise _changed_test_set_error(store, key, str(error)) from error
    if not is_intact:
        raise _changed_test_set_error(store, key, "it does not match its digest")
    return document


def _changed_test_set_error(store: Store, key: str, detail: str) -> IntegrityError:
    return IntegrityError(f"{store.url}/{key}: the test set was changed: {detail}; restore it from a backup")
