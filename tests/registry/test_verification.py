from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import EntryKind
from anamnesis.registry import (
    Log,
    LogPosition,
    evaluate_gate,
    record_decision,
    verify_log,
    verify_objects,
    write_evaluation,
    write_update_record,
)
from anamnesis.registry.gate import GatePolicy
from anamnesis.registry.log_entries import dump_entry, entry_key
from anamnesis.registry.update_records import update_record_key
from anamnesis.registry.versions import blob_key, version_key
from anamnesis.storage import Store


def fill_registry(store: Store, build) -> LogPosition:
    """Makes a registry with one version, judged and promoted, and three log entries; returns the log's head."""
    digest = build.stored(store)
    write_update_record(store, build.update_record("input", digest))
    write_evaluation(store, build.evaluation(digest, "0.91"))
    log = Log(store, nonce=lambda: "0" * 32)
    log.append(EntryKind.CLAIM, build.digest("claim"), "operator", "daten für «Lunge»", deadline="2026-01-01T00:00:00Z")
    log.append(EntryKind.APPROVE, digest, "dr", "read the report")
    record_decision(store, evaluate_gate(store, digest, GatePolicy(), [build.test(new=True)]), "operator", "passed")
    return log.head()


def test_a_good_registry_has_no_problems(store: Store, build) -> None:
    head = fill_registry(store, build)
    assert head.number == 3
    assert verify_log(store, head) == verify_log(store) == verify_objects(store) == ()
    assert verify_log(store, LogPosition()) == ()
    Log(store).append(EntryKind.APPROVE, build.digest("later"), "dr", "ok")
    assert verify_log(store, head) == ()


def test_every_changed_byte_of_the_log_is_found_and_its_entry_named(memory_store, build) -> None:
    store = memory_store()
    fill_registry(store, build)
    _every_byte(store, range(1, 4))


def test_every_changed_byte_of_an_entry_in_a_store_is_found(folder: Store, build) -> None:
    fill_registry(folder, build)
    _every_byte(folder, range(1, 4))


def _every_byte(store: Store, numbers: range) -> None:
    for number in numbers:
        good = store.get(entry_key(number))
        for i in range(len(good)):
            store.put(entry_key(number), good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :])
            problems = verify_log(store)
            assert problems, (number, i)
            assert f"log entry {number}" in problems[0]
        store.put(entry_key(number), good)
    assert verify_log(store) == ()


@given(number=st.integers(1, 3), data=st.data())
def test_other_damage_to_an_entry_is_found(build, memory_store, number: int, data: st.DataObject) -> None:
    store = memory_store()
    fill_registry(store, build)
    good = store.get(entry_key(number))
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    bad = good[:start] + data.draw(st.binary(max_size=3) | st.sampled_from([b" ", b"\n", b"0", b","])) + good[end:]
    store.put(entry_key(number), bad)
    assert bool(verify_log(store)) == (bad != good)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_removed_entry_is_found(store: Store, build, number: int) -> None:
    head = fill_registry(store, build)
    store.delete(entry_key(number))
    expected = "the log ends at entry 2, but entry 3" if number == 3 else f"log entry {number} is missing"
    assert any(expected in problem for problem in verify_log(store, head))


def test_several_removed_entries_are_named(folder: Store, build) -> None:
    fill_registry(folder, build)
    for number in (1, 2):
        folder.delete(entry_key(number))
    assert verify_log(folder) == ("log entries 1 to 2 are missing; restore them from a backup",)


def test_removed_last_entries_are_found_with_the_expected_head(store: Store, build) -> None:
    head = fill_registry(store, build)
    store.delete(entry_key(3))
    assert verify_log(store) == ()  # the log itself does not show it
    assert verify_log(store, head) == (
        "the log ends at entry 2, but entry 3 existed before: the last entries were removed; "
        "restore the log from a backup",
    )
    for number in (1, 2):
        store.delete(entry_key(number))
    assert verify_log(store, head)


def test_a_rewritten_entry_breaks_the_chain(store: Store, build) -> None:
    head = fill_registry(store, build)
    forged = replace(Log(store).entries()[1], author="nobody")
    store.put(entry_key(2), dump_entry(forged))
    assert verify_log(store, head) == (
        "log entry 3 does not continue log entry 2: one of them was rewritten; restore the log from a backup",
    )


def test_a_completely_rewritten_chain_is_found_with_the_expected_head(store: Store, build) -> None:
    head = fill_registry(store, build)
    previous_digest = ""
    for entry in Log(store).entries():
        forged = replace(entry, author="nobody", previous_digest=previous_digest)
        store.put(entry_key(entry.number), dump_entry(forged))
        previous_digest = forged.digest
    assert verify_log(store) == ()
    (problem,) = verify_log(store, head)
    assert problem.startswith("log entry 3 had the digest")
    assert verify_log(store, LogPosition(3, previous_digest)) == ()


def test_a_first_entry_with_a_previous_digest_and_a_foreign_object_are_found(folder: Store, build) -> None:
    fill_registry(folder, build)
    folder.put(entry_key(1), dump_entry(replace(Log(folder).entries()[0], previous_digest=build.digest("x"))))
    folder.put("log/notes.txt", b"hello")
    problems = verify_log(folder)
    assert (
        "log entry 1 is the first entry, but holds the digest of an earlier one; restore the log from a backup"
        in problems
    )
    assert "log/notes.txt: not a log entry; delete it, and check who can write to the registry" in problems


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_damage_beside_the_log_is_found(store: Store, build, damage: str) -> None:
    fill_registry(store, build)
    version = build.version()
    (evaluation,) = [info.key for info in store.list("versions/") if "evaluations" in info.key]
    for key in (blob_key(version.parts["method"]), version_key(version.digest), evaluation):
        good = store.get(key)
        if damage == "change":
            store.put(key, good.replace(b"0.91", b"0.92") if key == evaluation else good + b" ")
        else:
            store.delete(key)
        problems = verify_objects(store)
        assert problems, key
        assert verify_log(store) == ()
        store.put(key, good)
    store.put(update_record_key(build.digest("input")), b"{}")
    assert verify_objects(store)


def test_a_missing_base_is_found(folder: Store, build) -> None:
    build.stored(folder, "b", base=build.digest("gone"))
    (problem,) = verify_objects(folder)
    assert "is missing; restore the base from a backup" in problem


def test_an_empty_registry_has_no_problems(folder: Store) -> None:
    assert verify_log(folder) == verify_objects(folder) == ()
