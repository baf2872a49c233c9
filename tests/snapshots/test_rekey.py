"""Another split key for a site: frozen patients are recognised by their images first, and none of them ever trains."""

import pytest

from anamnesis import snapshots
from anamnesis.records import TRAINING_SPLITS, ConflictError, InputError, RefusedError, Split
from anamnesis.snapshots.store_binding import StoreBinding, read_store_binding, replace_binding

NEW_KEY, THIRD_KEY = b"1" * 64, b"2" * 64


def lose_key(site):
    for info in list(site.store.list("keys/")):
        site.store.delete(info.key)


def rekey(site, key: bytes = NEW_KEY) -> StoreBinding:
    binding = snapshots.replace_key(site.config, site.store, key, workers=1)
    site.key = key
    return binding


def splits(site, result) -> dict[str, Split]:
    return {sample.id: sample.split for sample in site.manifest(result).samples}


@pytest.mark.parametrize("is_lost", [False, True])
def test_every_sample_keeps_its_identity_and_frozen_cases_their_side(site, is_lost):
    first = site.ingest()
    before = splits(site, first)
    if is_lost:
        lose_key(site)
    binding = rekey(site)
    assert not binding.held_out
    after = splits(site, site.ingest())
    assert set(after) == set(before)
    assert {i for i, split in after.items() if split is Split.TEST} == {
        i for i, split in before.items() if split is Split.TEST
    }
    assert len(snapshots.list_test_sets(site.store)) == 1


def test_later_studies_of_frozen_patients_never_train(site):
    """The name of the file is the patient here: another picture under it is another study of the patient."""
    first = site.ingest()
    tested = {sample.patient for sample in site.manifest(first).samples_of(Split.TEST)}
    rekey(site)
    for path in sorted((site.folder / "no").iterdir()):
        site.png(f"no/{path.stem}.png")  # a new picture of the same patient; the old one is gone
    after = site.manifest(site.ingest())
    trained = {sample.patient for sample in after.samples_of(*TRAINING_SPLITS)}
    assert not tested & trained
    assert {sample.patient for sample in after.samples_of(Split.RESERVE)} & tested


def test_patients_who_cannot_be_mapped_never_train(site):
    first = site.ingest()
    frozen = {sample.patient for sample in site.manifest(first).samples_of(Split.TEST)}
    lose_key(site)
    for path in sorted((site.folder / "no").iterdir())[:20]:
        site.png(f"no/{path.stem}.png")  # exported again with other pixels, so nothing shows who it is
    binding = rekey(site)
    assert len(binding.held_out) == 20
    after = site.manifest(site.ingest())
    assert after.count_by_split()["reserve"] == 20
    images = {image.content for sample in site.manifest(first).samples for image in sample.images.values()}
    trained = list(after.samples_of(*TRAINING_SPLITS))
    assert trained
    assert all(image.content in images for sample in trained for image in sample.images.values())
    assert not frozen & {sample.patient for sample in trained}
    for number in range(40):
        site.png(f"no/new{number}.png")
    later = site.manifest(site.ingest())
    assert later.count_by_split()["reserve"] >= 20
    assert len(list(later.samples_of(*TRAINING_SPLITS))) > len(trained)  # patients who arrive later are new
    issued = snapshots.issue_test_set(site.config, site.store, site.key, workers=1)
    assert not set(binding.held_out) & {sample.patient for sample in issued.samples}


def test_trained_patients_stay_out_of_the_next_test_set(site):
    first = site.ingest()
    trained = {sample.patient for sample in site.manifest(first).samples_of(*TRAINING_SPLITS)}
    rekey(site)
    site.ingest()
    rekey(site, THIRD_KEY)
    site.ingest()
    for number in range(40):
        site.png(f"no/new{number}.png")
        site.png(f"yes/new{number}.png")
    issued = snapshots.issue_test_set(site.config, site.store, site.key, workers=1)
    assert not trained & {sample.patient for sample in issued.samples}


def test_the_first_of_two_records_may_be_lost(site):
    first = site.ingest()
    rekey(site)
    site.store.delete(min(info.key for info in site.store.list("keys/")))
    binding = rekey(site, THIRD_KEY)
    assert (binding.number, set(splits(site, site.ingest()))) == (3, set(splits(site, first)))


@pytest.mark.parametrize("losses", [(False, False), (False, True), (True, False), (True, True, True)])
def test_any_number_of_keys_lost_or_not_puts_no_frozen_patient_into_training(site, losses):
    first = site.ingest()
    frozen = {image.content for s in site.manifest(first).samples_of(Split.TEST) for image in s.images.values()}
    for number, is_lost in enumerate(losses):
        if is_lost:
            lose_key(site)
        rekey(site, str(number).encode() * 64)
        after = site.manifest(site.ingest())
        trained = {image.content for s in after.samples_of(*TRAINING_SPLITS) for image in s.images.values()}
        assert trained
        assert not frozen & trained
        assert frozen == {image.content for s in after.samples_of(Split.TEST) for image in s.images.values()}


def test_a_repeated_rekey_changes_nothing_and_a_race_is_told(site):
    with pytest.raises(InputError, match="there is no key to replace yet"):
        rekey(site)
    site.ingest()
    binding = rekey(site)
    assert rekey(site) == binding == read_store_binding(site.store)
    with pytest.raises(ConflictError, match="another process replaced the key of the site first"):
        replace_binding(site.store, StoreBinding(2, "north", THIRD_KEY.hex()))


def test_a_lost_key_that_was_found_again_needs_no_aliases(site):
    first = site.ingest()
    lose_key(site)
    binding = rekey(site, site.key)
    assert (binding.aliases, binding.replaced_fingerprint) == ({}, "")
    assert site.ingest().snapshot == first.snapshot


def test_an_ingest_with_the_earlier_key_is_refused(site):
    site.ingest()
    earlier_key = site.key
    rekey(site)
    site.key = earlier_key
    with pytest.raises(RefusedError, match="was split with another key"):
        site.ingest()
