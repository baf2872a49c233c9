"""Recognition of the samples of an ingest by their pixels: renamed files, duplicates, and returned test patients."""

from collections.abc import Sequence

from anamnesis.records import Split
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.quarantine import QuarantineLog
from anamnesis.snapshots.renamed_files import recognise_renamed
from anamnesis.snapshots.returned_patients import quarantine_returned
from anamnesis.snapshots.sample_assembly import AssembledSample, drop_duplicates
from anamnesis.snapshots.testsets import TestSet, list_frozen_samples
from anamnesis.storage.store import Store


def recognise_samples(
    assembled_samples: Sequence[AssembledSample],
    issued_test_sets: Sequence[TestSet],
    earlier_samples: Sequence[SampleRecord],
    modality: str,
    store: Store,
    quarantine_log: QuarantineLog,
) -> list[AssembledSample]:
    """Returns the samples that are kept, each under the identity that it had before.

    Args:
        assembled_samples: the samples of the ingest.
        issued_test_sets: the frozen test sets; none before the first. Then the images are compared with those that
            will be frozen.
        earlier_samples: the samples of the snapshot in force.
        modality: main modality of the site.
        store: the site's own store.
        quarantine_log: receives the files of the other samples.
    """
    frozen_samples = list_frozen_samples(store, issued_test_sets)
    known_samples = (*reversed(frozen_samples), *earlier_samples) if issued_test_sets else ()
    renamed_samples = recognise_renamed(assembled_samples, known_samples)
    unique_samples = drop_duplicates(renamed_samples, frozen_samples, quarantine_log)
    if not issued_test_sets:
        records = [assembled.record for assembled in unique_samples]
        frozen_samples = tuple(record for record in records if record.split in (Split.TEST, Split.CALIBRATION))
    return quarantine_returned(
        unique_samples, frozen_samples, modality=modality, store=store, quarantine_log=quarantine_log
    )
