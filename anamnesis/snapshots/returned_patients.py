"""The search for images of frozen test and calibration patients that come back under other names or identifiers."""

import json
from collections.abc import Iterable, Sequence

from anamnesis.records import canonical_json, digest_hex, digest_json
from anamnesis.snapshots.manifest import ImageRecord, SampleRecord
from anamnesis.snapshots.quarantine import QuarantineLog, QuarantineReason
from anamnesis.snapshots.sample_assembly import AssembledSample
from anamnesis.snapshots.small_version_store import PREFIX, read_small_versions
from anamnesis.snapshots.small_versions import count_alike
from anamnesis.storage.store import MissingObjectError, Store

MINIMUM_CORRELATION = 0.95
"""Above it, an image is a copy of another one, unless it resembles many."""
MAXIMUM_ALIKE_PATIENTS = 2
MAXIMUM_ALIKE_SHARE = 0.2
"""An image that resembles more of the frozen patients is of a kind that looks alike, such as a phantom: no copy."""


def quarantine_returned(
    samples: Sequence[AssembledSample],
    frozen_samples: Sequence[SampleRecord],
    modality: str,
    store: Store,
    quarantine_log: QuarantineLog,
) -> list[AssembledSample]:
    """Returns the samples without images that are a copy of a frozen image of another patient; these are quarantined.

    A copy has a correlation above ``MINIMUM_CORRELATION`` in any of eight positions, on small versions, with images of
    one or two frozen patients. Where it resembles more of them, only equal pixels would be a copy.

    Args:
        samples: the samples of the ingest.
        frozen_samples: the samples of the test and calibration sets.
        modality: main modality of the site.
        store: the site's own store; it has the pixels of all samples.
        quarantine_log: receives the files of copies.
    """
    frozen_patients = {sample.patient for sample in frozen_samples}
    frozen_images = {sample.images[modality].content: sample for sample in frozen_samples}
    key = f"{PREFIX}compared/{digest_hex(digest_json(sorted(frozen_images)))}.json"
    cleared_contents = _read_cleared(store, key)
    candidates = {
        content: assembled.record.images[modality]
        for assembled in samples
        if assembled.record.patient not in frozen_patients
        and (content := assembled.record.images[modality].content) not in cleared_contents
    }
    if not candidates or not frozen_images:
        return list(samples)
    returned_contents = find_copies(
        store, list(candidates.values()), [(each.images[modality], each.patient) for each in frozen_images.values()]
    )
    _write_cleared(store, key, cleared_contents | set(candidates) - returned_contents)
    returned = [
        assembled
        for assembled in samples
        if assembled.record.patient not in frozen_patients
        and assembled.record.images[modality].content in returned_contents
    ]
    quarantine_log.add(QuarantineReason.TEST_PATIENT_RETURNED, (file for each in returned for file in each.files))
    returned_ids = {assembled.record.id for assembled in returned}
    return [assembled for assembled in samples if assembled.record.id not in returned_ids]


def find_copies(
    store: Store, candidates: Sequence[ImageRecord], frozen_images: Sequence[tuple[ImageRecord, str]]
) -> set[str]:
    """Returns the contents of the candidates that are copies of other images.

    Args:
        store: the site's own store; it has the pixels of all images.
        candidates: the images to search.
        frozen_images: the images that they may be copies of, each with its patient.
    """
    vectors = read_small_versions(store, [*(image for image, _ in frozen_images), *candidates])
    references, queries = vectors[: len(frozen_images)], vectors[len(frozen_images) :]
    patients = [patient for _, patient in frozen_images]
    alike_counts = count_alike(queries, references, patients, MINIMUM_CORRELATION)
    limit = min(MAXIMUM_ALIKE_PATIENTS, MAXIMUM_ALIKE_SHARE * len(set(patients)))
    return {image.content for image, count in zip(candidates, alike_counts, strict=True) if 0 < count <= limit}


def _read_cleared(store: Store, key: str) -> frozenset[str]:
    """Returns the contents of images that were compared before and were not a copy."""
    try:
        return frozenset(json.loads(store.get(key))["cleared"])
    except MissingObjectError:
        return frozenset()


def _write_cleared(store: Store, key: str, contents: Iterable[str]) -> None:
    store.put(key, canonical_json({"schema": 1, "cleared": sorted(contents)}))
