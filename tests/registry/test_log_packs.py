"""A long log is read from packs, and a pack is believed only where the single entries prove it."""

import gzip
import logging
from dataclasses import replace

import pytest

from anamnesis.records import AnamnesisError, EntryKind, IntegrityError, LogEntry, RefusedError, UnreachableError
from anamnesis.registry import Log, build_history, log_packs, log_reader, verification, verify_log
from anamnesis.registry.log_entries import dump_entry, entry_key, parse_chained_entry, parse_entry
from anamnesis.registry.log_packs import PACKS_PREFIX, list_packs, pack_key, read_pack
from anamnesis.registry.signing import Signing
from anamnesis.storage import Store
from anamnesis.storage.cached import CachedStore


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (log_packs, log_reader, verification):
        monkeypatch.setattr(module, "PACK_SIZE", 4)


@pytest.fixture
def long_log(memory_store, build) -> Store:
    """A registry with ten entries, one of them with a decision, and two packs."""
    store = memory_store()
    write_entries(store, build, 10)
    assert len(Log(store).entries()) == 10
    assert [number for number, _ in list_packs(store)] == [4, 8]
    return store


def write_entries(store: Store, build, count: int, author: str = "dr") -> None:
    for number in range(count):
        decision = build.decision(build.digest("x"), None) if number == 2 else None
        kind = EntryKind.PROMOTE if decision else EntryKind.CLAIM
        Log(store).append(kind, build.digest("x"), author, "«reason»", decision=decision)


@pytest.fixture
def read_keys(long_log: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    keys: list[str] = []
    get = long_log.get
    monkeypatch.setattr(long_log, "get", lambda key: keys.append(key) or get(key))
    return keys


def singly(store: Store) -> tuple[LogEntry, ...]:
    numbers = range(1, sum(1 for _ in store.list("log/")) + 1)
    return tuple(parse_entry(store.get(entry_key(number)), number).entry for number in numbers)


def test_a_new_process_reads_packs_and_the_entries_after_them(long_log: Store, read_keys: list[str]) -> None:
    state = Log(long_log).state()
    assert sorted(read_keys) == sorted(
        [*(info.key for info in long_log.list(PACKS_PREFIX)), entry_key(8), entry_key(9), entry_key(10)]
    )
    assert state.entries == singly(long_log)
    assert state.history == build_history(state.entries)
    assert (state.head.number, state.head.digest) == (10, state.entries[-1].digest)
    read_keys.clear()
    assert Log(long_log).head() == state.head
    assert read_keys == [entry_key(10)]


def test_a_running_process_reads_only_what_is_new(long_log: Store, read_keys: list[str], build) -> None:
    cached = CachedStore(long_log)
    before = Log(cached).state()
    read_keys.clear()
    assert Log(cached).state().entries is before.entries
    assert not read_keys
    Log(long_log).append(EntryKind.APPROVE, build.digest("new"), "dr", "ok")
    read_keys.clear()
    after = Log(cached).state()
    assert read_keys == [entry_key(11)]
    assert (len(before.history.approvals), len(after.history.approvals)) == (0, 1)
    assert after.history == build_history(singly(long_log))


def test_the_fold_starts_again_where_other_signatures_count(long_log: Store) -> None:
    reader = log_reader.LogReader(long_log)
    assert reader.state(Signing()).history.champion
    signing = Signing(registry="sha256:" + "0" * 64)
    assert reader.state(signing).history == reader.state(Signing()).history


@pytest.mark.parametrize("damage", ["cut", "entry", "order", "text", "last", "bomb"])
def test_a_damaged_pack_is_reported_and_the_single_entries_count(
    long_log: Store, damage: str, caplog: pytest.LogCaptureFixture, build
) -> None:
    number, digest = list_packs(long_log)[0]
    key = pack_key(number, digest)
    lines = gzip.decompress(long_log.get(key)).split(b"\n")
    forged = replace(parse_entry(lines[1], 2).entry, author="mallory")
    data = {
        "cut": long_log.get(key)[:-20],
        "entry": gzip.compress(b"\n".join([lines[0], dump_entry(forged), *lines[2:]])),
        "order": gzip.compress(b"\n".join([lines[1], lines[0], *lines[2:]])),
        "text": b"hello",
        "last": gzip.compress(b"\n".join(lines[:3])),
        "bomb": gzip.compress(b"\n" * (65 << 20)),
    }[damage]
    long_log.objects[key] = data  # type: ignore[attr-defined]
    with caplog.at_level(logging.WARNING):
        assert Log(long_log).entries() == singly(long_log)
    assert f"{key}: this copy of log entries was changed" in caplog.text
    assert "mallory" not in caplog.text
    (problem,) = verify_log(long_log)
    assert problem.startswith(f"{key}: this copy of log entries was changed")


def test_a_forged_chain_with_its_own_pack_is_not_believed(long_log: Store, memory_store, build) -> None:
    forgery = memory_store()
    write_entries(forgery, build, 8, author="mallory")
    Log(forgery).entries()
    for info in list(forgery.list(PACKS_PREFIX)):
        long_log.put(info.key, forgery.get(info.key))
    genuine = {digest for _, digest in list_packs(long_log)} - {digest for _, digest in list_packs(forgery)}
    assert Log(long_log).entries() == singly(long_log)
    assert {entry.author for entry in Log(long_log).entries()} == {"dr"}
    assert len(verify_log(long_log)) == 2
    for digest in genuine:
        long_log.delete(pack_key(4 if digest == singly(long_log)[3].digest else 8, digest))
    assert Log(long_log).entries() == singly(long_log)


def test_packs_beyond_the_end_of_a_restored_copy_are_not_read(long_log: Store, build) -> None:
    """A copy of the log is older than the packs that were copied after it."""
    for number in range(7, 11):
        long_log.delete(entry_key(number))
    assert Log(long_log).entries() == singly(long_log)
    assert Log(long_log).head().number == 6
    write_entries(long_log, build, 4)
    assert Log(long_log).entries() == singly(long_log)
    assert [number for number, _ in list_packs(long_log)] == [4, 8, 8]
    (problem,) = verify_log(long_log)
    assert "no entry of the log is its last one" in problem


@pytest.mark.parametrize("number", [4, 8, 9, 10])
def test_a_rewritten_single_entry_is_an_error_where_it_is_read(long_log: Store, number: int) -> None:
    entry = singly(long_log)[number - 1]
    long_log.put(entry_key(number), dump_entry(replace(entry, author="mallory")))
    if number == 10:
        assert Log(long_log).entries()[-1].author == "mallory"  # only a head that was kept elsewhere shows it
        return
    assert any("was rewritten" in problem for problem in verify_log(long_log))
    if number == 4:  # a command reads the pack
        assert {entry.author for entry in Log(long_log).entries()} == {"dr"}
        return
    with pytest.raises(IntegrityError, match=r"does not continue log entry"):
        Log(long_log).entries()


def test_a_cut_log_is_read_again_from_the_start(long_log: Store) -> None:
    cached = CachedStore(long_log)
    assert len(Log(cached).entries()) == 10
    long_log.delete(entry_key(10))
    long_log.delete(entry_key(9))
    state = Log(cached).state()
    assert len(state.entries) == state.head.number == 8
    assert state.history == build_history(state.entries)


def test_a_reader_without_the_right_to_write_reads_the_log(long_log: Store) -> None:
    for number, digest in list_packs(long_log):
        long_log.delete(pack_key(number, digest))

    def refuse() -> None:
        raise RefusedError("read only")

    assert Log(CachedStore(long_log, before_write=refuse)).entries() == singly(long_log)
    assert list_packs(long_log) == ()


def test_packs_are_written_after_the_store_failed_for_a_moment(long_log: Store, build) -> None:
    for number, digest in list_packs(long_log):
        long_log.delete(pack_key(number, digest))
    errors: list[AnamnesisError] = [UnreachableError("no route"), AnamnesisError("another replica leads")]

    def fail_twice() -> None:
        if errors:
            raise errors.pop()

    cached = CachedStore(long_log, before_write=fail_twice)
    for written_packs in ([], [], [4, 8]):
        assert Log(cached).entries() == singly(long_log)
        assert [number for number, _ in list_packs(long_log)] == written_packs


def test_two_writers_write_equal_packs(long_log: Store) -> None:
    packs = {info.key: long_log.get(info.key) for info in long_log.list(PACKS_PREFIX)}
    for key in packs:
        long_log.delete(key)
    Log(long_log).entries()
    assert {info.key: long_log.get(info.key) for info in long_log.list(PACKS_PREFIX)} == packs


def test_a_packed_entry_equals_the_single_one(long_log: Store) -> None:
    number, digest = list_packs(long_log)[0]
    items = read_pack(long_log, number, digest)
    assert tuple(item.entry for item in items) == singly(long_log)[:4]
    assert [item.digest for item in items] == [entry.digest for entry in singly(long_log)[:4]]
    data = long_log.get(entry_key(3))
    for changed in (data.replace(b'"dr"', b'"me"'), data.replace(b'"number":3', b'"number":7'), b"[]", b"{}"):
        with pytest.raises(IntegrityError, match="log entry 3: its bytes were changed"):
            parse_chained_entry(changed, 3)
