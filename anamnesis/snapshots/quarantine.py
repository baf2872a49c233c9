"""The quarantine list: rejected files and their reasons. It names files, so it stays in the site's own store."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from anamnesis.records import InputError, canonical_json, digest_hex, encode
from anamnesis.storage.store import Store


class QuarantineReason(StrEnum):
    """Reasons in addition to ``imaging.ReadErrorReason``. They contain no file name, no value and no person's name."""

    UNKNOWN_LABEL = "the label is not one of the task's classes"
    LABELS_DIFFER = "the files of one study have different labels"
    OTHER_MODALITY = "the modality is not one of the site's modalities"
    NO_MAIN_IMAGE = "the study has no image of the site's first modality"
    TWO_IMAGES = "the study has several images of one modality"
    MASK_SIZE = "the mask and its image differ in size"
    MASK_PLACE = "the mask and its image are in different places of the patient"
    UNUSABLE_SLICE = "another slice of the series is unusable, so the volume would have a gap"
    MASK_VALUES = "the mask has pixel values that are not classes of the task; correct the mask at the site"
    DUPLICATE = "another patient or study has the same pixels"
    PATIENT_IN_TWO_SPLITS = "the source puts one patient into two splits"
    TEST_PATIENT_IN_TRAINING = "the source puts a patient of a frozen test or calibration set into training"
    MISSING_FILE = "the manifest lists the file, but the source does not have it"


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One quarantined file, or one image inside a file.

    Attributes:
        file: name below the source.
        reason: one of ``ReadErrorReason`` or ``QuarantineReason``; safe to show anywhere.
        detail: may quote the file; for the staff of the site only.
    """

    file: str
    reason: str
    detail: str = ""


def count_by_reason(entries: Iterable[QuarantineEntry]) -> dict[str, int]:
    """Returns the number of entries for each reason, most frequent first."""
    reason_counts = Counter(str(entry.reason) for entry in entries)
    return dict(sorted(reason_counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(slots=True)
class QuarantineLog:
    """The quarantined files of one ingest so far.

    Attributes:
        store: the site's own store.
        fingerprint: fingerprint of the ingest; it is part of the key of the list.
        maximum_share: the largest accepted share of quarantined images.
        image_count: number of images, readable or not.
        entries: the quarantined files and images.
    """

    store: Store
    fingerprint: str
    maximum_share: float
    image_count: int = 0
    entries: list[QuarantineEntry] = field(default_factory=list)

    @property
    def url(self) -> str:
        """URL of the list, for people."""
        return f"{self.store.url}/{self._key}"

    @property
    def _key(self) -> str:
        return f"quarantine/{digest_hex(self.fingerprint)}.json"

    def add(self, reason: str, files: Iterable[str], detail: str = "") -> None:
        """Adds files or images with one reason."""
        self.entries += [QuarantineEntry(file, reason, detail) for file in files]

    def write_and_check_share(self) -> None:
        """Writes the list, sorted by file, and checks the share of quarantined images.

        Raises:
            InputError: the share is too large; the message gives reasons, never file names.
        """
        self.write()
        if len(self.entries) <= self.maximum_share * self.image_count:
            return
        reasons = "; ".join(f"{count} x {reason}" for reason, count in list(count_by_reason(self.entries).items())[:3])
        raise InputError(
            f"{len(self.entries)} of {self.image_count} images are unusable, more than maximumQuarantineShare "
            f"{self.maximum_share:g}: {reasons}. The files are listed in {self.url}; repair them, list labels to skip "
            "in labels.ignore, or raise maximumQuarantineShare"
        )

    def write(self) -> None:
        """Writes the list."""
        sorted_entries = sorted(self.entries, key=lambda entry: (entry.file, entry.reason, entry.detail))
        document = {
            "schema": 1,
            "count": len(sorted_entries),
            "reasons": count_by_reason(sorted_entries),
            "entries": encode(sorted_entries),
        }
        self.store.put(self._key, canonical_json(document))
