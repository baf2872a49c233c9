from dataclasses import replace

import pytest

from anamnesis.records import EvaluationSet, InputError, IntegrityError
from anamnesis.registry import (
    find_update_record,
    list_update_records,
    list_versions,
    read_evaluations,
    read_part,
    read_version,
    write_evaluation,
    write_update_record,
    write_version,
)
from anamnesis.registry.versions import blob_key, version_key
from anamnesis.storage import MissingObjectError, Store


def test_a_version_is_read_as_it_was_written(store: Store, build) -> None:
    digest = build.stored(store)
    assert build.stored(store) == digest  # a repeated call is safe
    version = read_version(store, digest)
    assert version == build.version()
    assert {part: read_part(store, version, part) for part in version.parts} == build.blobs()
    assert list_versions(store) == [digest]


def test_parts_of_another_version_need_no_bytes(store: Store, build) -> None:
    build.stored(store, "a")
    child = replace(build.version("a"), base=build.version("a").digest)
    assert write_version(store, child, {}) == child.digest


def test_a_version_without_a_part_is_not_written(store: Store, build) -> None:
    blobs = build.blobs()
    del blobs["method"]
    with pytest.raises(InputError, match=r"'method'.*the program passed no bytes"):
        write_version(store, build.version(), blobs)
    with pytest.raises(InputError, match=r"'method' of version .*: expected bytes with the digest"):
        write_version(store, build.version(), {**blobs, "method": b"other bytes"})
    with pytest.raises(InputError, match="'extra'"):
        write_version(store, build.version(), {**build.blobs(), "extra": b"x"})
    assert list_versions(store) == []


def test_the_record_is_written_last(folder: Store, build, monkeypatch: pytest.MonkeyPatch) -> None:
    def power_cut(key: str, data: bytes) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "put_if_absent", power_cut)
    with pytest.raises(KeyboardInterrupt):
        build.stored(folder)
    assert [info.key for info in folder.list()] == sorted(map(blob_key, build.version().parts.values()))


def test_changed_bytes_are_never_returned(store: Store, build) -> None:
    digest = build.stored(store)
    version = read_version(store, digest)
    store.put(blob_key(version.parts["method"]), b"changed")
    with pytest.raises(IntegrityError, match="'method'"):
        read_part(store, version, "method")
    build.stored(store)  # a repeated call repairs it
    assert read_part(store, version, "method") == b"a method"
    good = store.get(version_key(digest))
    for bad in (good + b" ", good.replace(b"guangzhou", b"bethesda_"), b"", b"[1]", good.replace(b"0.001", b"NaN")):
        store.put(version_key(digest), bad)
        with pytest.raises(IntegrityError, match=r"version\.json"):
            read_version(store, digest)
    store.put(version_key(digest), good.replace(b'"schema":2', b'"schema":3'))
    with pytest.raises(InputError, match="newer release"):
        read_version(store, digest)


def test_what_is_missing_is_named(store: Store, build) -> None:
    with pytest.raises(MissingObjectError, match="no version sha256"):
        read_version(store, build.digest("nothing"))
    with pytest.raises(InputError, match="digest: expected 'sha256:"):
        read_version(store, "latest")
    with pytest.raises(InputError, match="has no part 'pool', only backbone, method"):
        read_part(store, build.version(), "pool")


def test_an_evaluation_is_written_once(store: Store, build) -> None:
    version = build.stored(store)
    first = build.evaluation(version, "0.9")
    assert write_evaluation(store, first) == first
    assert write_evaluation(store, build.evaluation(version, "0.1")) == first
    other_site_evaluation = build.evaluation(version, "0.8", site="bethesda")
    map_ = build.evaluation(version, "0.5", name="saliency")
    recent = replace(
        build.evaluation(version, "0.7"), test_set=build.digest("recent"), evaluation_set=EvaluationSet.RECENT
    )
    for evaluation in (other_site_evaluation, map_, recent):
        write_evaluation(store, evaluation)
    evaluations = read_evaluations(store, version)
    assert sorted(map(repr, evaluations)) == sorted(map(repr, (first, other_site_evaluation, map_, recent)))
    assert evaluations[0] == other_site_evaluation  # sorted by site
    assert read_evaluations(store, version, {other_site_evaluation.test_set}) == (other_site_evaluation,)


def test_an_evaluation_needs_its_version_and_a_plain_site(store: Store, build) -> None:
    with pytest.raises(InputError, match="so the evaluation of the version was not stored"):
        write_evaluation(store, build.evaluation(build.digest("nothing"), "0.9"))
    version = build.stored(store)
    for site in ("a/b", "..", ""):
        with pytest.raises(InputError):
            write_evaluation(store, build.evaluation(version, "0.9", site=site))


def test_an_evaluation_under_a_wrong_key_is_found(store: Store, build) -> None:
    version = build.stored(store)
    write_evaluation(store, build.evaluation(version, "0.9"))
    write_evaluation(store, build.evaluation(version, "0.2", site="bethesda"))
    first_key, second_key = [info.key for info in store.list("versions/") if "evaluations" in info.key]
    store.put(first_key, store.get(second_key))
    with pytest.raises(IntegrityError, match="bethesda"):
        read_evaluations(store, version)


def test_the_first_result_of_an_update_wins(store: Store, build) -> None:
    input_digest = build.digest("input")
    record = build.update_record("input", build.stored(store, "a"), opened_snapshots=(build.digest("s"),))
    assert find_update_record(store, input_digest) is None
    assert write_update_record(store, record) == record
    late = replace(record, version=build.stored(store, "b"))
    assert write_update_record(store, late) == record
    assert find_update_record(store, input_digest) == record
    assert list_update_records(store) == [record]
    with pytest.raises(InputError, match="so the record of the update was not stored"):
        write_update_record(store, replace(record, input_digest=build.digest("i"), version=build.digest("nothing")))


def test_an_update_record_under_a_wrong_key_is_found(store: Store, build) -> None:
    record = build.update_record("one", build.stored(store))
    write_update_record(store, record)
    (info,) = store.list("updates/")
    store.put(f"updates/{build.digest('two')[7:]}.json", store.get(info.key))
    with pytest.raises(IntegrityError, match="holds the record of the input"):
        find_update_record(store, build.digest("two"))
