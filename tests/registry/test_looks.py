"""Looks at a test set: numbered once, by two writers too, and none can be removed unseen."""

from dataclasses import replace

import pytest

from anamnesis.records import CANDIDATE, IntegrityError
from anamnesis.registry import verify_objects, write_evaluation
from anamnesis.registry.looks import read_looks, record_look
from anamnesis.storage import Store


def look_at(store: Store, build, version: str, base: str = "base", purpose: str = CANDIDATE) -> int:
    test_set, versions = build.digest("test"), [build.digest(name) if name else "" for name in (version, base)]
    return record_look(store, test_set, version=versions[0], base=versions[1], purpose=purpose)


def test_candidates_of_one_base_are_counted_once_each(store: Store, build) -> None:
    assert [look_at(store, build, version) for version in ("a", "b", "a", "c", "b")] == [1, 2, 1, 3, 2]
    assert look_at(store, build, "a", purpose="weekly") == 1  # the same weights on the same images
    assert look_at(store, build, "d", base="a") == 1  # the first candidate of a new champion
    assert look_at(store, build, "e") == 4
    assert [look.number for look in read_looks(store, build.digest("test"))] == [1, 2, 3, 4, 5, 6]
    assert verify_objects(store) == ()


def test_two_writers_never_share_a_number(memory_store, build) -> None:
    store = memory_store()

    def other_writer(key: str) -> None:
        store.before = lambda key: None
        assert look_at(store, build, "other") == 1

    store.before = other_writer  # writes between our reading and our writing
    assert look_at(store, build, "ours") == 2
    assert [look.number for look in read_looks(store, build.digest("test"))] == [1, 2]


def test_a_killed_writer_has_used_its_look_once(memory_store, build) -> None:
    store = memory_store()

    def kill(key: str) -> None:
        raise KeyboardInterrupt

    store.before = kill
    with pytest.raises(KeyboardInterrupt):
        look_at(store, build, "a")
    store.before = lambda key: None
    assert look_at(store, build, "a") == look_at(store, build, "a") == 1


def test_a_removed_look_is_found(folder: Store, build) -> None:
    digest = build.stored(folder)
    evaluation = build.evaluation(digest, "0.9")
    for name in ("a", "b"):
        record_look(folder, evaluation.test_set, version=build.digest(name), base="", purpose=CANDIDATE)
    assert record_look(folder, evaluation.test_set, version=digest, base="", purpose=CANDIDATE) == 3
    write_evaluation(folder, replace(evaluation, look=3))
    assert verify_objects(folder) == ()
    *_, middle, last = [info.key for info in folder.list("looks/")]
    stored = folder.get(last)
    folder.delete(last)
    assert "has no look at" in verify_objects(folder)[0]
    folder.put(last, stored)
    folder.delete(middle)
    assert "a look was removed" in verify_objects(folder)[0]
    with pytest.raises(IntegrityError, match="expected look 2"):
        read_looks(folder, evaluation.test_set)
