import pytest

from anamnesis import snapshots
from anamnesis.records import InputError, IntegrityError, RefusedError, Split


def test_the_guard_allows_only_its_splits_and_records_openings(site):
    result = site.ingest()
    guard = snapshots.Guard({result.snapshot: frozenset({Split.TRAIN})})
    assert guard.opened_digests == ()
    assert list(snapshots.open_split(site.store, result.snapshot, Split.TRAIN, guard))
    for split in (Split.TEST, Split.RESERVE, Split.PENDING):
        with pytest.raises(RefusedError, match=split.value):
            snapshots.open_split(site.store, result.snapshot, split, guard)
    with pytest.raises(RefusedError):
        snapshots.open_test_set(site.store, result.test_set, guard)
    assert guard.opened_digests == (result.snapshot,)


def test_a_missing_snapshot_or_test_set_is_an_input_error(site):
    nothing = "sha256:" + "0" * 64
    guard = snapshots.Guard({nothing: frozenset(Split)})
    with pytest.raises(InputError):
        snapshots.open_split(site.store, nothing, Split.TRAIN, guard)
    with pytest.raises(InputError):
        snapshots.open_test_set(site.store, nothing, guard)


def _change(store, prefix, suffix, offset):
    key = next(info.key for info in store.list(prefix) if info.key.endswith(suffix))
    data = bytearray(store.get(key))
    data[offset] ^= 1
    store.put(key, bytes(data))


@pytest.mark.parametrize(
    ("prefix", "suffix", "offset"),
    [("shards/", ".safetensors", -1), ("shards/", ".safetensors", 20), ("snapshots/", "", 9)],
)
def test_a_changed_byte_is_found(site, prefix, suffix, offset):
    result = site.ingest()
    site.samples(result, Split.TRAIN)
    _change(site.store, prefix, suffix, offset)
    with pytest.raises(IntegrityError):
        [site.samples(result, split) for split in Split]


@pytest.mark.parametrize("offset", [20, 120, -3])
def test_a_changed_test_set_is_found(site, offset):
    result = site.ingest()
    _change(site.store, "testsets/", "", offset)
    with pytest.raises(IntegrityError):
        list(snapshots.open_test_set(site.store, result.test_set, site.guard(result)))
    with pytest.raises(IntegrityError):
        site.ingest()


def test_a_cut_or_missing_shard_is_found(site):
    result = site.ingest()
    key = next(info.key for info in site.store.list("shards/") if info.key.endswith(".safetensors"))
    site.store.put(key, site.store.get(key)[:-100])
    with pytest.raises(IntegrityError):
        site.samples(result, Split.TRAIN)
    site.store.delete(key)
    with pytest.raises(IntegrityError):
        site.samples(result, Split.TRAIN)
