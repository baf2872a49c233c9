"""An ingest in progress: what all of its parts need."""

from collections.abc import Sequence
from dataclasses import dataclass

from anamnesis.records import Progress, SiteConfig, Split
from anamnesis.snapshots.aliases import Pseudonyms
from anamnesis.snapshots.keys import key_fingerprint
from anamnesis.snapshots.listings import EarlierSnapshot, read_earlier_snapshot
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.quarantine import QuarantineLog
from anamnesis.snapshots.source_files import check_store_outside_source, compute_fingerprint, list_source_items
from anamnesis.snapshots.testsets import TestSet
from anamnesis.snapshots.withdrawals import WithdrawnData, read_withdrawn_data
from anamnesis.sources import SourceItem
from anamnesis.storage.store import Store


@dataclass(frozen=True, slots=True)
class ListedSource:
    """A source as it is listed now, before a file is read.

    Attributes:
        config: settings of the site.
        store: the site's own store.
        key: the site's split key.
        items: the files.
        withdrawn: what commands have withdrawn.
    """

    config: SiteConfig
    store: Store
    key: bytes
    items: tuple[SourceItem, ...]
    withdrawn: WithdrawnData

    @property
    def fingerprint(self) -> str:
        """Fingerprint of files, settings, key and withdrawals."""
        return compute_fingerprint(self.config, key_fingerprint(self.key), self.items, self.withdrawn.digest)


@dataclass(frozen=True, slots=True)
class IngestRun:
    """An ingest in progress.

    Attributes:
        source: what is read.
        issued_test_sets: the frozen test sets; none for a first ingest, and where none counts.
        earlier: the snapshot in force; none for a first ingest.
        pseudonyms: of the site's patients.
        quarantine_log: receives the files without a sample.
        workers: number of processes that read files, when there are many.
        progress: receives the progress.
    """

    source: ListedSource
    issued_test_sets: Sequence[TestSet]
    earlier: EarlierSnapshot | None
    pseudonyms: Pseudonyms
    quarantine_log: QuarantineLog
    workers: int
    progress: Progress

    @property
    def config(self) -> SiteConfig:
        """Settings of the site."""
        return self.source.config

    @property
    def store(self) -> Store:
        """The site's own store."""
        return self.source.store

    @property
    def key(self) -> bytes:
        """The site's split key."""
        return self.source.key

    @property
    def earlier_samples(self) -> tuple[SampleRecord, ...]:
        """The samples of the snapshot in force."""
        return self.earlier.samples if self.earlier else ()

    @property
    def known_pseudonyms(self) -> frozenset[str]:
        """Pseudonyms of the patients and studies that snapshots have or had."""
        left = self.earlier.listing.left if self.earlier else ()
        return frozenset((*left, *(name for sample in self.earlier_samples for name in (sample.patient, sample.study))))

    def earlier_patients(self, split: Split) -> set[str]:
        """Returns the pseudonyms of the patients of a split of the snapshot in force."""
        return {sample.patient for sample in self.earlier_samples if sample.split is split}


def list_source(config: SiteConfig, store: Store, key: bytes) -> ListedSource:
    """Lists a source.

    Raises:
        InputError: the source is empty, holds the store, or cannot be listed.
    """
    check_store_outside_source(config.source, store.url)
    return ListedSource(config, store, key, items=list_source_items(config), withdrawn=read_withdrawn_data(store))


def begin_run(source: ListedSource, workers: int, progress: Progress, issued_test_sets: Sequence[TestSet]) -> IngestRun:
    """Returns the ingest of a source."""
    quarantine_log = QuarantineLog(source.store, source.fingerprint, source.config.maximum_quarantine_share)
    return IngestRun(
        source=source,
        issued_test_sets=issued_test_sets,
        earlier=read_earlier_snapshot(source.store),
        pseudonyms=Pseudonyms.of_store(source.store, source.key, source.config.name),
        quarantine_log=quarantine_log,
        workers=workers,
        progress=progress,
    )
