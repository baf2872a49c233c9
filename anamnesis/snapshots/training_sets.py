"""The training sets of a site: the patients and images of each class that a version was computed from.

They are kept in the site's own store, because they name pseudonyms. A version has the digest of its set.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from anamnesis.records import InputError, IntegrityError, canonical_json, decode, digest_json, encode
from anamnesis.storage.store import Store

Members = Mapping[str, tuple[str, ...]]
"""Pseudonym of a patient -> sorted digests of the images of each of their samples.

The digests recognise a patient under another pseudonym: after a new split key, or a corrected identifier.
"""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The data of a site that a version is computed from.

    Attributes:
        site: the site of the data.
        classes: class -> its patients; a task without classes has its own name as the only one.
        snapshot: digest of the snapshot that it was first chosen for; equal sets may be of several snapshots.
        minimum_patients: the limit that it was chosen with.
        schema: schema of this document.
    """

    site: str
    classes: Mapping[str, Members]
    snapshot: str = field(default="", compare=False)
    minimum_patients: int = field(default=0, compare=False)
    schema: int = 1

    @property
    def digest(self) -> str:
        """Digest of the canonical JSON of site and classes."""
        return digest_json({"schema": self.schema, "site": self.site, "classes": encode(self.classes)})

    @property
    def all_members(self) -> Members:
        """The patients of all classes together."""
        samples: dict[str, list[str]] = defaultdict(list)
        for members in self.classes.values():
            for patient, contents in members.items():
                samples[patient] += contents
        return {patient: tuple(sorted(contents)) for patient, contents in samples.items()}


def all_contents(members: Members) -> frozenset[str]:
    """Returns the digests of all samples of some patients."""
    return frozenset(content for contents in members.values() for content in contents)


def list_training_sets(store: Store) -> tuple[TrainingSet, ...]:
    """Returns all training sets of a site, in the order in which they were chosen.

    Raises:
        IntegrityError: a training set was changed.
    """
    return tuple(_read_training_set(store, info.key) for info in store.list("trainingsets/"))


def find_training_set(store: Store, digest: str) -> TrainingSet:
    """Returns the training set with this digest.

    Raises:
        InputError: it does not exist.
        IntegrityError: a training set was changed.
    """
    training_set = next((item for item in list_training_sets(store) if item.digest == digest), None)
    if training_set is None:
        raise InputError(
            f"{store.url}: no training set has the digest {digest}; check that this is the store of the site. "
            "If it is, the training set was deleted: restore it from a backup"
        )
    return training_set


def write_training_set(store: Store, number: int, training_set: TrainingSet) -> bool:
    """Records a training set under its number; returns whether no other set has this number."""
    document = {"digest": training_set.digest, "training_set": encode(training_set)}
    return store.put_if_absent(f"trainingsets/{number:020d}.json", canonical_json(document))


def _read_training_set(store: Store, key: str) -> TrainingSet:
    try:
        document = json.loads(store.get(key))
        training_set = decode(TrainingSet, document["training_set"], key)
        is_intact = training_set.digest == document["digest"]
    except (ValueError, LookupError, TypeError, InputError) as error:
        raise _changed_error(store, key) from error
    if not is_intact:
        raise _changed_error(store, key)
    return training_set


def _changed_error(store: Store, key: str) -> IntegrityError:
    return IntegrityError(f"{store.url}/{key}: the training set was changed; restore it from a backup")
