import json
from dataclasses import dataclass

import pytest

from anamnesis.records import (
    Evaluation,
    InputError,
    IntegrityError,
    LogEntry,
    ScheduledEvaluation,
    UpdateRecord,
    UpdateResult,
    Version,
)
from anamnesis.storage.documents import dump_record, load_record


@dataclass(frozen=True)
class Note:
    text: str
    schema: int = 3


def stored(**fields: object) -> bytes:
    return json.dumps({"schema": 3, "text": "a"} | fields, sort_keys=True, separators=(",", ":")).encode()


def test_a_record_is_read_as_it_was_written() -> None:
    assert load_record(Note, dump_record(Note("a")), "notes/1") == Note("a")
    assert dump_record(Note("a")) == stored()


@pytest.mark.parametrize(
    ("schema", "advice"),
    [
        (2, "start a new registry and store, or use the release of Anamnesis that wrote this object"),
        (4, "use a newer release of Anamnesis"),
    ],
)
def test_another_schema_is_refused_with_one_sentence(schema: int, advice: str) -> None:
    with pytest.raises(InputError) as caught:
        load_record(Note, stored(schema=schema, who="dr"), "notes/1")
    assert str(caught.value) == f"notes/1: found schema {schema} of Note, this release reads schema 3; {advice}"


@pytest.mark.parametrize(
    "data", [b"{}", b"x", b"[1]", stored() + b"\n", stored(schema="3"), stored(text=1), stored(x=1)]
)
def test_changed_bytes_are_found(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"^notes/1: its bytes were changed.*; restore it from a backup$"):
        load_record(Note, data, "notes/1")


@pytest.mark.parametrize("kind", [Evaluation, LogEntry, ScheduledEvaluation, UpdateRecord, UpdateResult])
def test_records_with_renamed_fields_have_a_new_schema(kind: type) -> None:
    old_record = b'{"schema":1,"who":"dr"}'
    with pytest.raises(
        InputError, match=f"found schema 1 of {kind.__name__}, this release reads schema [45]; start a new"
    ):
        load_record(kind, old_record, "log entry 1")


def test_a_version_keeps_its_schema_and_so_its_digest() -> None:
    version = Version(base=None, snapshot=None, site="a", configuration={}, parts={})
    assert version.schema == 2
    assert version.digest == "sha256:6dd4b45d48c169563f21d7a927364c4d07294498b8435e679f8b763f77d342c0"
    assert load_record(Version, dump_record(version), "version.json") == version
