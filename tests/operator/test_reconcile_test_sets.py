"""A frozen test set that rests on a mistake: the next verdict waits, and the next test set decides."""

import pytest
from fakes.hospital import FakeHospital, HospitalNetwork

from anamnesis.operator.api.condition_types import DECIDED, FORGETTING
from anamnesis.records import EntryKind, LogEntry
from anamnesis.registry import Log, read_evaluations, record_site_change
from anamnesis.snapshots.testsets import list_test_sets, write_test_set


def wait_for_the_test_set(network: HospitalNetwork, hospital: FakeHospital) -> None:
    """The labels of the frozen test set are put right, so the version that learned the right ones scores badly."""
    network.add_data("north", "swapped")
    hospital.run_update()
    network.add_data("north", "right", quality="0.1")
    network.corrected_labels["north"] = 7
    hospital.run_update()


def issue_next_set(network: HospitalNetwork, hospital: FakeHospital) -> LogEntry | None:
    """Does what ``anamnesis testset issue`` does; calling it again changes nothing."""
    from dataclasses import replace

    store = network.store("s3://images/north")
    first = list_test_sets(store)[0]
    second = replace(first, number=2)
    write_test_set(store, second)
    return record_site_change(
        hospital.registry,
        EntryKind.ISSUE_TEST_SET,
        "north",
        replaced=first.digest,
        subject=second.digest,
        author="rossi",
        reason="labels were swapped",
    )


def decisions(hospital: FakeHospital) -> dict[str, str]:
    """Reason -> message of the updates' conditions."""
    conditions = [update.status.condition(DECIDED) for update in hospital.updates]
    return {condition.reason: condition.message for condition in conditions if condition}


def test_corrected_test_labels_are_never_a_rejection(network: HospitalNetwork, hospital: FakeHospital) -> None:
    wait_for_the_test_set(network, hospital)
    champion = hospital.model.status.champion
    assert hospital.states()["north"] == "AwaitingEvaluations"
    message = decisions(hospital)["AwaitingEvaluations"]
    assert "another label for 7 cases of its frozen test set" in message
    assert "run 'anamnesis testset issue --site north --reason TEXT'" in message
    assert "anamnesis evaluate" not in message
    hospital.reconcile()
    assert hospital.model.status.champion == champion
    assert not hospital.history().rejections


@pytest.mark.parametrize("writes", range(12))
def test_the_next_set_decides_also_after_a_kill(network: HospitalNetwork, hospital: FakeHospital, writes: int) -> None:
    wait_for_the_test_set(network, hospital)
    champion = hospital.model.status.champion
    network.corrected_labels.clear()
    network.quality = dict.fromkeys(network.quality, "0.9")
    assert issue_next_set(network, hospital)
    assert issue_next_set(network, hospital) is None
    hospital.reconcile_until_killed(writes)
    for _ in range(3):
        hospital.run_update()
    assert (len(hospital.updates), set(decisions(hospital))) == (3, {"Superseded", "Promoted"})
    assert hospital.model.status.champion != champion
    assert len(hospital.backend.submitted) == 3
    assert hospital.states()["north"] == "Learned"
    kinds = [entry.kind for entry in Log(hospital.registry).entries()]
    assert kinds.count(EntryKind.ISSUE_TEST_SET) == kinds.count(EntryKind.SUPERSEDE) == 1
    assert EntryKind.REJECT not in kinds


def test_a_learned_site_keeps_its_champion_and_is_scored_on_the_next_set_with_its_next_data(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.run_update()
    champion = hospital.model.status.champion
    issue_next_set(network, hospital)
    hospital.run_update()
    assert (hospital.states()["north"], hospital.model.status.champion) == ("Learned", champion)
    forgetting = hospital.model.status.condition(FORGETTING)
    assert forgetting
    assert (forgetting.status, forgetting.reason) == ("Unknown", "NotEvaluated")
    network.add_data("north", "b")
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"
    forgetting = hospital.model.status.condition(FORGETTING)
    assert forgetting
    assert forgetting.reason == "WithinMargin"
    second = list_test_sets(network.store("s3://images/north"))[-1]
    lineage = hospital.history().lineage
    assert all(read_evaluations(hospital.registry, version, {second.digest}) for version in lineage)
