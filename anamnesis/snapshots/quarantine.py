"""The quarantine list: files without a sample, and their reasons. It names files, so it stays in the site's own store.

Everything else names a file by its number in this list.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from anamnesis.imaging.errors import FOREIGN_REASONS
from anamnesis.records import InputError, canonical_json, digest_hex, encode_object
from anamnesis.storage.store import Store


class QuarantineReason(StrEnum):
    """Reasons in addition to ``imaging.ReadErrorReason``. They contain no file name, no value and no person's name."""

    UNKNOWN_LABEL = "the label is not one of the task's classes"
    LABELS_DIFFER = "the files of one study have different labels"
    PATIENTS_DIFFER = "the files of one series belong to different patients"
    SPLITS_DIFFER = "the files of one series have different splits"
    LABEL_CONFLICT = "one image has two labels; correct one of them"
    ROW_CONFLICT = "the label table lists the file twice with different values"
    NAME_CONFLICT = "two files have names that differ only in the form of letters or slashes; rename one of them"
    INSTANCE_CONFLICT = "two files have one SOPInstanceUID and different pixels"
    INCOMPLETE_SERIES = "another slice of the series is unusable; send the complete series again"
    PATIENT_CONFLICT = "one PatientID of the files has several patients in the label table; correct one of them"
    NO_PATIENT = "neither the label table nor the file has an identifier of the patient"
    OTHER_MODALITY = "the modality is not one of the site's modalities"
    OTHER_BODY_PART = "the body part is missing, or not one of the site's body parts"
    NO_MAIN_IMAGE = "the study has no image of the site's first modality"
    TWO_IMAGES = "the study has several images of one modality"
    UNUSED_MASK = "the file is the mask of an image, and the task needs no masks"
    MASK_SIZE = "the mask and its image differ in size"
    MASK_PLACE = "the mask and its image are in different places of the patient"
    MASK_VALUES = "the mask has pixel values that are not classes of the task; correct the mask at the site"
    DUPLICATE = "another patient or study has the same pixels"
    PATIENT_IN_TWO_SPLITS = "the source puts one patient into two splits, such as training and test; declare one"
    TEST_PATIENT_IN_TRAINING = (
        "the source puts a patient of a frozen test or calibration set into training; declare 'test' or 'calibration'"
    )
    SHARED_IDENTIFIER = (
        "one patient identifier has more studies than maximumStudiesPerPatient, so it may be many people"
    )
    TEST_PATIENT_RETURNED = "the image is a copy of a test or calibration patient's image under another name"
    MISSING_FILE = "the manifest lists the file, but the source does not have it"
    COPY = "the file is a copy of another one; the image counts once"


NOT_FOR_THE_SITE = frozenset(
    {
        *FOREIGN_REASONS,
        QuarantineReason.OTHER_MODALITY,
        QuarantineReason.OTHER_BODY_PART,
        QuarantineReason.UNUSED_MASK,
    }
)
"""Reasons of intact files that are not for the task of the site. They are counted apart."""
_RETURNED_PATIENTS_HINT = (
    " to the share found here: copies of test patients stay out of training, and the other images are used. If a test "
    "set is frozen and identifiers of patients were corrected, run 'anamnesis testset issue --site SITE --reason TEXT'"
)


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One quarantined file, or one image inside a file.

    Attributes:
        file: name below the source.
        reason: one of ``ReadErrorReason`` or ``QuarantineReason``; safe to show anywhere.
        detail: may quote the file; for the staff of the site only.
        cause: name of another listed file that makes this one unusable, such as the damaged slice of a series.
    """

    file: str
    reason: str
    detail: str = ""
    cause: str = ""


def count_by_reason(entries: Iterable[QuarantineEntry]) -> dict[str, int]:
    """Returns the number of entries for each reason, most frequent first."""
    reason_counts = Counter(str(entry.reason) for entry in entries)
    return dict(sorted(reason_counts.items(), key=lambda item: (-item[1], item[0])))


def is_quarantined(entry: QuarantineEntry) -> bool:
    """Returns whether a listed file is unusable: neither a copy nor a file that is not for the site."""
    return entry.reason not in NOT_FOR_THE_SITE and entry.reason != QuarantineReason.COPY


def format_reasons(reason_counts: Mapping[str, int], limit: int = 0) -> str:
    """Returns reasons with their numbers, for people; at most ``limit`` reasons, or all."""
    return "; ".join(f"{count} x {reason}" for reason, count in list(reason_counts.items())[: limit or None])


def quarantine_url(store: Store, fingerprint: str) -> str:
    """Returns the URL of the quarantine list of an ingest, for people."""
    return f"{store.url}/{_list_key(fingerprint)}"


@dataclass(slots=True)
class QuarantineLog:
    """The quarantined files of one ingest so far.

    Attributes:
        store: the site's own store.
        fingerprint: fingerprint of the ingest; it is part of the key of the list.
        maximum_share: the largest accepted share of quarantined images.
        image_count: number of images for the site, usable or not.
        entries: the listed files and images: quarantined, not for the site, or copies.
    """

    store: Store
    fingerprint: str
    maximum_share: float
    image_count: int = 0
    entries: list[QuarantineEntry] = field(default_factory=list)

    @property
    def url(self) -> str:
        """URL of the list, for people."""
        return quarantine_url(self.store, self.fingerprint)

    @property
    def quarantined(self) -> list[QuarantineEntry]:
        """The unusable files and images."""
        return [entry for entry in self.entries if is_quarantined(entry)]

    @property
    def foreign(self) -> list[QuarantineEntry]:
        """The files and images that are not for the site."""
        return [entry for entry in self.entries if entry.reason in NOT_FOR_THE_SITE]

    def counts(self) -> dict[str, int]:
        """Returns the numbers of ``quarantined``, ``foreign`` and ``copies``."""
        quarantined_count, foreign_count = len(self.quarantined), len(self.foreign)
        copy_count = len(self.entries) - quarantined_count - foreign_count
        return {"quarantined": quarantined_count, "foreign": foreign_count, "copies": copy_count}

    def add(self, reason: str, files: Iterable[str], detail: str = "") -> None:
        """Adds files or images with one reason."""
        self.entries += [QuarantineEntry(file, reason, detail) for file in files]

    def write_and_check_share(self) -> None:
        """Writes the list, sorted by file, and checks the share of quarantined images.

        Raises:
            InputError: the share is too large; the message gives reasons, never file names.
        """
        self.write()
        quarantined = self.quarantined
        if len(quarantined) <= self.maximum_share * self.image_count:
            return
        raise InputError(
            f"{len(quarantined)} of {self.image_count} images are unusable, more than maximumQuarantineShare "
            f"{self.maximum_share:g}: {format_reasons(count_by_reason(quarantined), 3)}. The files are listed in "
            f"{self.url}; repair them, list labels to skip in labels.ignore, or raise maximumQuarantineShare"
            + (_RETURNED_PATIENTS_HINT if self._has_returned_patients else "")
        )

    @property
    def _has_returned_patients(self) -> bool:
        return any(entry.reason == QuarantineReason.TEST_PATIENT_RETURNED for entry in self.entries)

    def write(self) -> None:
        """Writes the list; the number of an entry is its place in the list, from 1. A cause is written as a number."""
        sorted_entries = sorted(self.entries, key=lambda entry: (entry.file, entry.reason, entry.detail))
        numbers = {entry.file: number for number, entry in enumerate(sorted_entries, 1)}
        rows = [
            {"number": number, **encode_object(entry), "cause": numbers.get(entry.cause)}
            for number, entry in enumerate(sorted_entries, 1)
        ]
        document = {
            "schema": 2,
            "counts": self.counts(),
            "reasons": count_by_reason(sorted_entries),
            "entries": rows,
        }
        self.store.put(_list_key(self.fingerprint), canonical_json(document))


def _list_key(fingerprint: str) -> str:
    return f"quarantine/{digest_hex(fingerprint)}.json"
