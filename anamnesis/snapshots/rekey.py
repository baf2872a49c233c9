"""Replaces the split key of a site. Patients whose images or earlier key are known keep their pseudonyms."""

from collections.abc import Iterable, Iterator, Sequence

from anamnesis.records import TRAINING_SPLITS, InputError, Progress, SiteConfig, ignore_progress
from anamnesis.snapshots.ingestion import read_present_samples
from anamnesis.snapshots.keys import key_fingerprint
from anamnesis.snapshots.manifest import SampleRecord, read_snapshot_manifest
from anamnesis.snapshots.store_binding import StoreBinding, list_store_bindings, replace_binding
from anamnesis.snapshots.test_set_issue import image_contents
from anamnesis.snapshots.testsets import TestSet, list_calibration_sets, list_test_sets
from anamnesis.storage.store import Store


def replace_key(
    config: SiteConfig, store: Store, key: bytes, workers: int = 2, progress: Progress = ignore_progress
) -> StoreBinding:
    """Replaces the split key of a site, and returns the binding in force.

    A patient who has an image of an earlier snapshot or test set keeps the earlier pseudonym, and so the split. Where
    the store has the earlier keys, the other patients are recognised by them, now and later. Where it lost one and some
    frozen patients were not recognised, the source's other patients never train: any of them may be such a patient.

    A repeated call with the same key changes nothing.

    Args:
        config: settings of the site.
        store: the site's own store.
        key: the new key.
        workers: number of processes that read files, when there are many.
        progress: receives the progress.

    Raises:
        InputError: the site was never ingested, or its source is unusable.
        ConflictError: another process replaced the key first.
    """
    bindings, test_sets = list_store_bindings(store), list_test_sets(store)
    if not test_sets:
        raise InputError(f"site {config.name!r}: there is no key to replace yet; run 'anamnesis ingest' first")
    if bindings and bindings[-1].split_key == key:
        return bindings[-1]
    replaced_fingerprint = bindings[-1].fingerprint if bindings else test_sets[-1].key_fingerprint
    if replaced_fingerprint == key_fingerprint(key):  # the lost key was found again
        binding = StoreBinding(1, config.name, key.hex())
    else:
        binding = _make_binding(
            config,
            store,
            key,
            number=bindings[-1].number + 1 if bindings else 1,
            replaced_fingerprint=replaced_fingerprint,
            present_samples=read_present_samples(config, store, key, workers, progress),
        )
    replace_binding(store, binding)
    return binding


def _make_binding(
    config: SiteConfig,
    store: Store,
    key: bytes,
    *,
    number: int,
    replaced_fingerprint: str,
    present_samples: Sequence[SampleRecord],
) -> StoreBinding:
    bindings, test_sets = list_store_bindings(store), list_test_sets(store)
    frozen_samples = list(_frozen_samples(store, test_sets))
    snapshot_samples = list(_snapshot_samples(store))
    aliases = _recognise_by_image(present_samples, snapshot_samples, frozen_samples)
    known_keys = {binding.fingerprint for binding in bindings}
    lost_key = any(test_set.key_fingerprint not in known_keys for test_set in test_sets)
    unrecognised = {sample.patient for sample in frozen_samples} - set(aliases.values())
    held_out = {sample.patient for sample in present_samples} - set(aliases) if lost_key and unrecognised else set()
    return StoreBinding(
        number=number,
        site=config.name,
        key=key.hex(),
        replaced_fingerprint=replaced_fingerprint,
        aliases=aliases,
        earlier_patients=tuple(sorted({sample.patient for sample in (*snapshot_samples, *frozen_samples)})),
        trained_patients=tuple(
            sorted({sample.patient for sample in snapshot_samples if sample.split in TRAINING_SPLITS})
        ),
        held_out=tuple(sorted(held_out)),
    )


def _recognise_by_image(
    present_samples: Iterable[SampleRecord],
    snapshot_samples: Iterable[SampleRecord],
    frozen_samples: Iterable[SampleRecord],
) -> dict[str, str]:
    """Returns the pseudonyms of patients and studies with their earlier ones; frozen samples count most."""
    owners: dict[str, SampleRecord] = {}
    for sample in (*snapshot_samples, *frozen_samples):
        owners |= dict.fromkeys(image_contents(sample), sample)
    frozen_patients = {sample.patient for sample in frozen_samples}
    aliases: dict[str, str] = {}
    for sample in present_samples:
        for content in sorted(image_contents(sample) & set(owners)):
            owner = owners[content]
            aliases.setdefault(sample.study, owner.study)
            if owner.patient in frozen_patients or sample.patient not in aliases:
                aliases[sample.patient] = owner.patient
    return aliases


def _snapshot_samples(store: Store) -> Iterator[SampleRecord]:
    for info in store.list("snapshots/"):
        digest = f"sha256:{info.key.removeprefix('snapshots/').removesuffix('.json')}"
        yield from read_snapshot_manifest(store, digest).samples


def _frozen_samples(store: Store, test_sets: Sequence[TestSet]) -> Iterator[SampleRecord]:
    for calibration_set in list_calibration_sets(store, test_sets):
        yield from calibration_set.samples
    for test_set in test_sets:
        yield from test_set.samples
