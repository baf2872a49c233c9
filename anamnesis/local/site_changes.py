"""A person's changes of a site's data: the next test set and another split key, both logged; withdrawn patients.

Withdrawals stay in the site's own store: a registry that names their number or their time would say who they are.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from anamnesis.local.context import SelectedModel
from anamnesis.local.progress import Reporter
from anamnesis.operator.addresses import store_url
from anamnesis.operator.api import LoadedResource, Site
from anamnesis.records import EntryKind, LogEntry
from anamnesis.records.timestamps import format_timestamp, utc_now
from anamnesis.registry import Log, record_site_change
from anamnesis.storage import open_store
from anamnesis.storage.scratch import Scratch


@dataclass(frozen=True, slots=True)
class TestSetSummary:
    """One test set of a site.

    Attributes:
        site: name of the site.
        number: 1, 2, 3, ...; the last one is in force.
        digest: of the test set.
        cases: number of its cases.
        patients: number of its patients.
        is_current: whether it is in force.
        issued: the log entry that issued it; none for the first, and for a set that another model issued.
    """

    __test__ = False  # for pytest: this class is not a test

    site: str
    number: int
    digest: str
    cases: int
    patients: int
    is_current: bool
    issued: LogEntry | None


@dataclass(frozen=True, slots=True)
class ReplacedKey:
    """The split key of a site after ``replace_site_key``.

    Attributes:
        site: name of the site.
        fingerprint: of the key in force.
        replaced_fingerprint: of the key that it replaced; empty where none was replaced.
        recognised: number of pseudonyms, of patients and studies, that were recognised by their images.
        held_out: number of patients who never train, because any of them may be a patient of a test set.
        is_new_entry: whether this call wrote the log entry.
    """

    site: str
    fingerprint: str
    replaced_fingerprint: str
    recognised: int
    held_out: int
    is_new_entry: bool


@dataclass(frozen=True, slots=True)
class WithdrawnPatients:
    """The patients of one command.

    Attributes:
        site: name of the site.
        patients: number of patient numbers.
        stored_patients: how many of them have samples in the site's store.
        tested_patients: how many of them are in the test set in force.
    """

    site: str
    patients: int
    stored_patients: int
    tested_patients: int


def withdraw_site_patients(
    selected_model: SelectedModel, site: LoadedResource[Site], identifiers: Iterable[str], *, author: str, reason: str
) -> WithdrawnPatients:
    """Withdraws patients of a site, and removes its prepared images from this machine. A repeated call changes nothing.

    Raises:
        AnamnesisError: there is no number, or the store is not readable.
    """
    from anamnesis import snapshots

    store = open_store(store_url(site))
    key = snapshots.read_site_key(store, site.name, selected_model.split_key(site))
    withdrawal = snapshots.withdraw_patients(
        store, key, site.name, identifiers, author=author, reason=reason, recorded_at=format_timestamp(utc_now())
    )
    Scratch.of_environment(os.environ).remove_all(store.url)
    return WithdrawnPatients(
        site.name,
        withdrawal.patients,
        stored_patients=withdrawal.stored_patients,
        tested_patients=withdrawal.tested_patients,
    )


def list_test_set_summaries(selected_model: SelectedModel, site: LoadedResource[Site]) -> tuple[TestSetSummary, ...]:
    """Returns the test sets of a site, oldest first."""
    from anamnesis.snapshots import list_test_sets

    entries = Log(selected_model.registry).entries()
    issues = {entry.subject: entry for entry in entries if entry.kind is EntryKind.ISSUE_TEST_SET}
    test_sets = list_test_sets(open_store(store_url(site)))
    return tuple(
        TestSetSummary(
            site=site.name,
            number=test_set.number,
            digest=test_set.digest,
            cases=len(test_set.samples),
            patients=len({sample.patient for sample in test_set.samples}),
            is_current=test_set is test_sets[-1],
            issued=issues.get(test_set.digest),
        )
        for test_set in test_sets
    )


def issue_test_set(
    selected_model: SelectedModel,
    site: LoadedResource[Site],
    progress_reporter: Reporter,
    *,
    author: str,
    reason: str,
    workers: int,
) -> TestSetSummary:
    """Issues the next test set of a site and logs it. A repeated call completes one that was killed.

    Raises:
        AnamnesisError: the test set cannot be issued.
    """
    from anamnesis import snapshots

    registry = selected_model.establish_registry()
    Log(registry).entries()  # nothing is issued that cannot be logged
    store = open_store(store_url(site))
    key = snapshots.read_site_key(store, site.name, selected_model.split_key(site))
    progress = progress_reporter.track(f"test set of {site.name}")
    snapshots.issue_test_set(selected_model.config(site), store, key, workers, progress)
    for earlier_set, test_set in pairwise(snapshots.list_test_sets(store)):
        record_site_change(
            registry,
            EntryKind.ISSUE_TEST_SET,
            site.name,
            replaced=earlier_set.digest,
            subject=test_set.digest,
            author=author,
            reason=reason,
        )
    progress(1, 1, "done")
    return list_test_set_summaries(selected_model, site)[-1]


def replace_site_key(
    selected_model: SelectedModel,
    site: LoadedResource[Site],
    progress_reporter: Reporter,
    *,
    author: str,
    reason: str,
    workers: int,
) -> ReplacedKey:
    """Puts the key that the resources give into a site's store, in place of the one there, and logs it.

    A repeated call completes one that was killed.

    Raises:
        AnamnesisError: the key cannot be replaced.
    """
    from anamnesis import snapshots
    from anamnesis.snapshots.site_keys import declared_site_key
    from anamnesis.snapshots.store_binding import list_store_bindings

    registry = selected_model.establish_registry()
    Log(registry).entries()  # nothing is replaced that cannot be logged
    store = open_store(store_url(site))
    key = declared_site_key(site.name, selected_model.split_key(site), create=True)
    progress = progress_reporter.track(f"key of {site.name}")
    binding = snapshots.replace_key(selected_model.config(site), store, key, workers, progress)
    entries = [
        record_site_change(
            registry,
            EntryKind.REKEY,
            site.name,
            replaced=item.replaced_fingerprint,
            subject=item.fingerprint,
            author=author,
            reason=reason,
        )
        for item in list_store_bindings(store)
        if item.replaced_fingerprint
    ]
    progress(1, 1, "done")
    return ReplacedKey(
        site=site.name,
        fingerprint=binding.fingerprint,
        replaced_fingerprint=binding.replaced_fingerprint,
        recognised=len(binding.aliases),
        held_out=len(binding.held_out),
        is_new_entry=any(entries),
    )
