import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anamnesis.records import digest_hex
from anamnesis.registry import PruneResult, find_prunable, prune, read_part, read_version, write_update_record
from anamnesis.storage import Store, open_store

HOUR = timedelta(hours=1)


def later() -> datetime:
    return datetime.now(UTC) + 48 * HOUR


def test_unneeded_objects_are_deleted_and_all_others_stay(store: Store, build) -> None:
    digest = build.stored(store)
    finished, running = build.digest("finished"), build.digest("running")
    write_update_record(store, build.update_record("finished", digest))
    for input_digest in (finished, running):
        store.put(f"checkpoints/{digest_hex(input_digest)}/manifest.json", b"{}")
    orphan = f"blobs/{digest_hex(build.digest('orphan'))}"
    store.put(orphan, b"orphan")
    everything = [info.key for info in store.list()]

    unneeded = find_prunable(store, clock=later)
    assert {info.key for info in unneeded} == {f"checkpoints/{digest_hex(finished)}/manifest.json", orphan}
    assert [info.key for info in store.list()] == everything  # a dry run
    assert prune(store, unneeded, clock=later) == PruneResult(unneeded)
    assert {info.key for info in store.list()} == set(everything) - {info.key for info in unneeded}
    assert read_part(store, read_version(store, digest), "method") == b"a method"
    assert find_prunable(store, clock=later) == ()


def test_a_young_blob_may_belong_to_a_version_that_is_being_written(store: Store, build) -> None:
    store.put(f"blobs/{digest_hex(build.digest('a method'))}", b"a method")
    assert find_prunable(store) == ()
    unneeded = find_prunable(store, clock=later)
    assert len(unneeded) == 1
    build.stored(store)  # between the dry run and the deletion, a new version uses it
    assert prune(store, unneeded, clock=later) == PruneResult(())


def test_old_unfinished_writes_are_deleted(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    (tmp_path / "log").mkdir()
    old, new = tmp_path / "log" / ".tmp-old", tmp_path / "log" / ".tmp-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    unneeded = find_prunable(store)
    assert [info.key for info in unneeded] == ["log/.tmp-old"]
    prune(store, unneeded)
    assert list(tmp_path.rglob("*")) == [tmp_path / "log", new]
