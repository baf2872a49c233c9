"""What runs found: the first result under a claim or a name counts, whatever later attempts find."""

from dataclasses import replace
from decimal import Decimal

import pytest

from anamnesis.records import (
    Arrival,
    InputError,
    IntegrityError,
    Measurement,
    Metric,
    Monitoring,
    Occasion,
    Outcome,
    OutcomeKind,
    Window,
    hex_of,
)
from anamnesis.registry import (
    list_outcomes,
    read_monitoring,
    read_outcome,
    verify_versions,
    write_monitoring,
    write_outcome,
)
from anamnesis.storage import Store


def outcome(build, name: str = "one") -> Outcome:
    occasion = Occasion(f"chest-{name}", build.digest(name), Arrival(build.digest("files"), 12, 6), minimum_patients=5)
    snapshot, test_set = build.digest("snapshot"), build.digest("test set")
    return Outcome(occasion, "lyon", "", build.digest("c"), OutcomeKind.NO_CHANGE, snapshot, test_set)


def monitoring(build) -> Monitoring:
    score = Metric(Decimal("0.81"), 40, Decimal("0.7"), Decimal("0.9"))
    found = Measurement("lyon", "p", Window.FROZEN, build.digest("t"), "AUROC", score, Decimal("0.82"))
    name = "chest-evaluation-20260101T120000Z"
    return Monitoring(name, build.digest("v"), "2026-01-01T12:00:00Z", (found,), (("turin", "no such folder"),))


def test_the_first_outcome_under_a_claim_counts(store: Store, build) -> None:
    first = outcome(build)
    version = build.stored(store)
    late = replace(first, kind=OutcomeKind.CANDIDATE, version=version, new_patients=9, counts={"train": 9})
    assert read_outcome(store, first.occasion.claim) is None
    assert write_outcome(store, first) == first
    assert write_outcome(store, late) == first
    assert read_outcome(store, first.occasion.claim) == first
    other = replace(outcome(build, "other"), kind=OutcomeKind.CANDIDATE, version=version)
    write_outcome(store, other)
    assert list_outcomes(store) == tuple(sorted((first, other), key=lambda one: one.occasion.claim))
    assert verify_versions(store) == ()


def test_the_first_evaluation_under_a_name_counts(store: Store, build) -> None:
    first = monitoring(build)
    assert read_monitoring(store, first.name) is None
    assert write_monitoring(store, first) == first
    assert write_monitoring(store, replace(first, measurements=())) == first
    assert read_monitoring(store, first.name) == first


def test_changed_bytes_are_found(folder: Store, build) -> None:
    first, found = outcome(build), monitoring(build)
    write_outcome(folder, first)
    write_monitoring(folder, found)
    for info in [*folder.list("outcomes/"), *folder.list("monitoring/")]:
        folder.put(info.key, folder.get(info.key).replace(b"lyon", b"LYON", 1).replace(b":1", b": 1", 1))
    with pytest.raises(IntegrityError, match="outcomes/"):
        read_outcome(folder, first.occasion.claim)
    with pytest.raises(IntegrityError, match="monitoring/"):
        read_monitoring(folder, found.name)


def test_one_in_anothers_place_and_a_missing_version_are_found(folder: Store, build) -> None:
    first, found = outcome(build), monitoring(build)
    other = replace(outcome(build, "other"), kind=OutcomeKind.CANDIDATE, version=build.digest("gone"))
    write_outcome(folder, other)
    assert verify_versions(folder) == (f"outcome of chest-other: its version {other.version} is missing",)
    write_monitoring(folder, found)
    there, key = (info.key for prefix in ("outcomes/", "monitoring/") for info in folder.list(prefix))
    folder.put(f"outcomes/{hex_of(first.occasion.claim)}.json", folder.get(there))
    folder.put("monitoring/other.json", folder.get(key))
    with pytest.raises(IntegrityError, match=f"is that of the claim {other.occasion.claim}"):
        read_outcome(folder, first.occasion.claim)
    with pytest.raises(IntegrityError, match=f"is that of '{found.name}'"):
        read_monitoring(folder, "other")
    assert "its bytes were changed" in verify_versions(folder)[0]


@pytest.mark.parametrize("name", ["../versions/x", "a//b"])
def test_a_name_stays_in_its_folder(folder: Store, build, name: str) -> None:
    with pytest.raises(InputError, match="cannot name an object"):
        write_monitoring(folder, replace(monitoring(build), name=name))
