"""Calibration sets: frozen beside a test set, for operating points. They are never trained on."""

from dataclasses import dataclass
from typing import cast

from anamnesis.records import IntegrityError, Task, canonical_json, decode, digest_bytes, digest_hex, encode
from anamnesis.snapshots.manifest import SampleRecord, read_verified_json
from anamnesis.storage.documents import check_schema
from anamnesis.storage.store import Store

MINIMUM_PATIENTS = 20
"""With fewer patients a held-out split says too little: they are trained on instead."""


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """The calibration cases of a task at one site. No patient of it is trained on or tested.

    Attributes:
        site: the site of the data.
        task: the task of the site.
        key_fingerprint: fingerprint of the split key.
        samples: the complete records, sorted by id.
        schema: schema of this document.
    """

    site: str
    task: Task
    key_fingerprint: str
    samples: tuple[SampleRecord, ...]
    schema: int = 1


def write_calibration_set(store: Store, calibration_set: CalibrationSet) -> str:
    """Writes a calibration set under its digest and returns the digest; a test set then names it.

    Raises:
        IntegrityError: another content is stored under the digest.
    """
    data = canonical_json(encode(calibration_set))
    digest = digest_bytes(data)
    if not store.put_if_absent(_calibration_key(digest), data):
        raise IntegrityError(
            f"{store.url}/{_calibration_key(digest)}: its bytes were changed; restore it from a backup"
        )
    return digest


def read_calibration_set(store: Store, digest: str) -> CalibrationSet:
    """Returns the calibration set with this digest.

    Raises:
        InputError: the set does not exist, or another release wrote it.
        IntegrityError: the stored bytes do not match the digest.
    """
    key = _calibration_key(digest)
    document = cast(dict[str, object], read_verified_json(store, key, digest))
    check_schema(CalibrationSet, document.get("schema"), f"{store.url}/{key}")
    return decode(CalibrationSet, document, "calibration set")


def _calibration_key(digest: str) -> str:
    return f"calibrationsets/{digest_hex(digest)}.json"
