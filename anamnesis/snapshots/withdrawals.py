"""Withdrawn patients of a site: records ``withdrawals/<number>.json`` in the site's own store, each written once."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from anamnesis.records import ConflictError, InputError, IntegrityError, canonical_json, decode, digest_json, encode
from anamnesis.snapshots.aliases import Pseudonyms
from anamnesis.snapshots.image_annotations import strip_image_suffix
from anamnesis.snapshots.manifest import SampleRecord, read_snapshot_manifest
from anamnesis.snapshots.patient_ids import normalise_patient_id
from anamnesis.snapshots.sample_assembly import content_digests
from anamnesis.snapshots.testsets import list_frozen_samples, list_test_sets
from anamnesis.storage.store import Store

_PREFIX = "withdrawals/"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One command of a person. It names pseudonyms only; the site's own store holds the images that they belong to.

    Attributes:
        number: 1, 2, 3, ...
        patients: pseudonyms under all keys of the site.
        contents: digests of the images that the store has of these patients: they are recognised under other names.
        author: who withdrew them.
        reason: why.
        recorded_at: when, UTC, ISO 8601.
        schema: schema of this record.
    """

    number: int
    patients: tuple[str, ...]
    contents: tuple[str, ...] = ()
    author: str = ""
    reason: str = ""
    recorded_at: str = ""
    schema: int = 1


@dataclass(frozen=True, slots=True)
class WithdrawnData:
    """All that the commands of a site have withdrawn.

    Attributes:
        patients: pseudonyms.
        contents: digests of images.
    """

    patients: frozenset[str] = field(default_factory=frozenset)
    contents: frozenset[str] = field(default_factory=frozenset)

    @property
    def digest(self) -> str:
        """Digest for the fingerprint of an ingest; empty where nothing is withdrawn."""
        return digest_json([sorted(self.patients), sorted(self.contents)]) if self.patients else ""


@dataclass(frozen=True, slots=True)
class WithdrawalCounts:
    """What a command withdrew.

    Attributes:
        patients: number of identifiers.
        stored_patients: how many of them the store has a sample of.
        tested_patients: how many of them are in the test set in force.
    """

    patients: int
    stored_patients: int
    tested_patients: int


def list_withdrawals(store: Store) -> tuple[Withdrawal, ...]:
    """Returns all records, oldest first.

    Raises:
        IntegrityError: a record was changed.
    """
    return tuple(_read_withdrawal(store, info.key) for info in store.list(_PREFIX))


def read_withdrawn_data(store: Store) -> WithdrawnData:
    """Returns all that is withdrawn; see ``list_withdrawals``."""
    withdrawals = list_withdrawals(store)
    return WithdrawnData(
        frozenset(patient for withdrawal in withdrawals for patient in withdrawal.patients),
        frozenset(content for withdrawal in withdrawals for content in withdrawal.contents),
    )


def withdraw_patients(
    store: Store, key: bytes, site: str, identifiers: Iterable[str], *, author: str, reason: str, recorded_at: str
) -> WithdrawalCounts:
    """Records patients who must be in no later snapshot; a repeated call changes nothing.

    Args:
        store: the site's own store.
        key: the site's split key.
        site: name of the site.
        identifiers: patient identifiers as the source has them, or names of files where each file is a patient.
        author: of the command.
        reason: of the command.
        recorded_at: time of the command, UTC, ISO 8601.

    Raises:
        InputError: there is no identifier.
        ConflictError: another process recorded a withdrawal first.
    """
    names = {name for identifier in identifiers if (name := identifier.strip())}
    if not names:
        raise InputError("no patient number was given; write one on each line")
    pseudonyms = Pseudonyms.of_store(store, key, site)
    patients_of_name = {name: _candidates(pseudonyms, name) for name in names}
    patients = frozenset().union(*patients_of_name.values())
    samples = [sample for sample in _stored_samples(store) if sample.patient in patients]
    stored_patients = {sample.patient for sample in samples}
    earlier = list_withdrawals(store)
    contents = {content for sample in samples for content in content_digests(sample)}
    already = read_withdrawn_data(store)
    if not patients <= already.patients or not contents <= already.contents:
        withdrawal = Withdrawal(
            len(earlier) + 1,
            tuple(sorted(patients)),
            tuple(sorted(contents)),
            author=author,
            reason=reason,
            recorded_at=recorded_at,
        )
        if not store.put_if_absent(f"{_PREFIX}{withdrawal.number:020d}.json", canonical_json(encode(withdrawal))):
            raise ConflictError(f"{store.url}: another process withdrew patients first; run the command again")
    test_sets = list_test_sets(store)
    tested_patients = {sample.patient for sample in (test_sets[-1].samples if test_sets else ())}
    return WithdrawalCounts(
        patients=len(names),
        stored_patients=sum(not stored_patients.isdisjoint(each) for each in patients_of_name.values()),
        tested_patients=sum(not tested_patients.isdisjoint(each) for each in patients_of_name.values()),
    )


def _candidates(pseudonyms: Pseudonyms, name: str) -> frozenset[str]:
    """Returns the pseudonyms that a line may mean: of a patient number, or of a file that counts as a patient."""
    forms = {normalise_patient_id(name), name, strip_image_suffix(name)} - {""}
    return frozenset().union(*(pseudonyms.of_patient(form) for form in forms))


def _stored_samples(store: Store) -> Iterator[SampleRecord]:
    for info in store.list("snapshots/"):
        digest = f"sha256:{info.key.removeprefix('snapshots/').removesuffix('.json')}"
        yield from read_snapshot_manifest(store, digest).samples
    yield from list_frozen_samples(store, list_test_sets(store))


def _read_withdrawal(store: Store, key: str) -> Withdrawal:
    try:
        return decode(Withdrawal, json.loads(store.get(key)), "withdrawal")
    except (ValueError, InputError):
        raise IntegrityError(f"{store.url}/{key}: the record was changed; restore it from a backup") from None
