"""What did not get in, and why. The list names files: it stays in the site's own store, outside every snapshot."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from anamnesis.records import InputError, canonical_json, digest_hex, encode
from anamnesis.storage.store import Store


class QuarantineReason(StrEnum):
    """Reasons beyond those of reading (``anamnesis.imaging.Reason``). They name no file, no value and nobody."""

    UNKNOWN_LABEL = "the label is not one of the task's classes"
    LABELS_DIFFER = "the files of one study carry different labels"
    OTHER_MODALITY = "the modality does not belong to this site"
    NO_MAIN_IMAGE = "the study has no image of the site's first modality"
    TWO_IMAGES = "the study has several images of one modality"
    MASK_MISMATCH = "the mask does not fit its image or the task's classes"
    DUPLICATE = "the same pixels came from another patient or study"
    PATIENT_IN_TWO_SPLITS = "the source puts one patient into training and test"
    MISSING_FILE = "the manifest lists it, the source does not have it"


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One file, or one image inside a file, that did not get in.

    Attributes:
        file: its name below the source.
        reason: one of ``Reason`` or ``Misfit``; safe to show anywhere.
        detail: what stood in the file; for the people of the site.
    """

    file: str
    reason: str
    detail: str = ""


def count_by_reason(entries: Iterable[QuarantineEntry]) -> dict[str, int]:
    """Returns how many entries each reason has, most frequent first."""
    reason_counts = Counter(str(entry.reason) for entry in entries)
    return dict(sorted(reason_counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(slots=True)
class QuarantineLog:
    """What one ingest has put into quarantine so far.

    Attributes:
        store: the site's own store.
        fingerprint: names the list.
        image_count: images found, readable or not.
        maximum_share: the largest share of them that is accepted.
        entries: so far.
    """

    store: Store
    fingerprint: str
    image_count: int
    maximum_share: float
    entries: list[QuarantineEntry] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where people find the list."""
        return f"{self.store.url}/{self._key}"

    @property
    def _key(self) -> str:
        return f"quarantine/{digest_hex(self.fingerprint)}.json"

    def add(self, reason: str, files: Iterable[str], detail: str = "") -> None:
        """Takes files or images, all for one reason."""
        self.entries += [QuarantineEntry(file, reason, detail) for file in files]

    def write_and_check_share(self) -> None:
        """Writes the list, sorted by file, and refuses a source of which too much is unusable.

        Raises:
            InputError: the share is too large; the message names reasons, never files.
        """
        self.write()
        if len(self.entries) <= self.maximum_share * self.image_count:
            return
        reasons = "; ".join(f"{count} x {reason}" for reason, count in list(count_by_reason(self.entries).items())[:3])
        raise InputError(
            f"{len(self.entries)} of {self.image_count} images cannot be used, more than the share {self.maximum_share:g} that "
            f"maximumQuarantineShare accepts: {reasons}. The list is {self.url}; mend the source, name "
            "what is left out on purpose in labels.ignore, or raise the share"
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
