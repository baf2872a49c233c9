"""The report about a version: in the status, in a ConfigMap, and in the approval that was given after reading it."""

import json

from fakes.hospital import APPROVAL_REQUIRED, AUTOMATIC_GATE, SPACE, FakeHospital, HospitalNetwork, digest

from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.config_map import REPORT_KEY, report_name
from anamnesis.operator.api.gate import GateSpec
from anamnesis.records import EntryKind
from anamnesis.registry import Log


def waiting_hospital(network: HospitalNetwork) -> FakeHospital:
    """The champion has learned the north; a version of the south waits."""
    hospital = FakeHospital(network, APPROVAL_REQUIRED)
    network.add_data("north", "a", quality="0.91")
    hospital.run_update()
    hospital.decide_pending()
    hospital.reconcile()
    network.add_data("south", "b", quality="0.85")
    hospital.run_update()
    return hospital


def test_the_status_of_a_waiting_update_has_scores_before_and_after(network: HospitalNetwork) -> None:
    hospital = waiting_hospital(network)
    update = next(each for each in hospital.updates if each.spec.site == "south")
    report = update.status.report
    assert report
    assert update.status.report_digest == report.digest
    north, south = report.tasks
    assert (north.site, north.role, str(north.before and north.before.value)) == ("north", "Earlier", "0.91")
    assert (str(north.after and north.after.value), str(north.forgetting)) == ("0.85", "0.06")
    assert (south.role, south.before, south.recalls[0].label) == ("New", None, "left")
    assert {(each.name, each.site, each.result) for each in report.criteria} == {
        ("floor", "north", "Passed"), ("recall", "north", "Passed"), ("forgetting", "north", "Passed"),
        ("recall_drop", "north", "Passed"), ("floor", "south", "Passed"), ("recall", "south", "Passed"),
    }  # fmt: skip


def test_the_config_map_has_the_report_of_the_status_and_is_written_once(network: HospitalNetwork) -> None:
    hospital = waiting_hospital(network)
    update = next(each for each in hospital.updates if each.spec.site == "south")
    assert update.status.report_digest
    name = report_name(update.metadata.name, update.status.report_digest)
    config_map = hospital.cluster.config_maps[SPACE, name]
    assert config_map.labels["anamnesis.dev/model"] == "chest"
    assert CandidateReport.model_validate(json.loads(config_map.data[REPORT_KEY])) == update.status.report
    count = len(hospital.cluster.config_maps)
    hospital.start_operator()
    hospital.reconcile()
    assert len(hospital.cluster.config_maps) == count


def test_another_limit_gives_another_report_and_an_approval_of_the_old_one_is_refused(
    network: HospitalNetwork,
) -> None:
    hospital = waiting_hospital(network)
    update = next(each for each in hospital.updates if each.spec.site == "south")
    version, old_report = update.status.version, update.status.report_digest
    assert version
    assert old_report
    hospital.edit_model(gate=GateSpec.model_validate(AUTOMATIC_GATE | {"floor": "0.6", "approval": "Required"}))
    hospital.reconcile()
    refused = hospital.create_approval("Approve", version, update.metadata.name, report=old_report)
    hospital.reconcile()
    assert hospital.approval_result(refused) == ("False", "ReportChanged")
    assert hospital.states()["south"] == "AwaitingApproval"
    update = next(each for each in hospital.updates if each.spec.site == "south")
    assert update.status.report_digest not in (None, old_report)
    accepted = hospital.create_approval("Approve", version, update.metadata.name, report=update.status.report_digest)
    hospital.reconcile()
    assert hospital.approval_result(accepted) == ("True", "Recorded")
    entry = next(each for each in reversed(Log(hospital.registry).entries()) if each.kind is EntryKind.APPROVE)
    assert update.status.report_digest in f"{entry.reason} {entry.approval}"


def test_an_approval_before_the_last_scores_is_refused_and_has_no_effect_later(network: HospitalNetwork) -> None:
    hospital = waiting_hospital(network)
    update = next(each for each in hospital.updates if each.spec.site == "south")
    version = update.status.version
    assert version
    objects = hospital.registry.objects
    scores = {
        key: data for key, data in objects.items() if key.startswith(f"versions/{version[7:]}/evaluations/north/")
    }
    for key in scores:
        del objects[key]
    early = hospital.create_approval("Approve", version, update.metadata.name)
    hospital.start_operator()  # has read no evaluation before
    hospital.reconcile()
    assert hospital.approval_result(early) == ("False", "ScoresMissing")
    objects.update(scores)
    hospital.start_operator()
    hospital.reconcile()
    assert hospital.states()["south"] == "AwaitingApproval"
    later = hospital.create_approval("Approve", version, update.metadata.name)
    hospital.reconcile()
    assert hospital.approval_result(later) == ("True", "Recorded")
    assert hospital.history().champion == version


def test_a_rejection_counts_whatever_report_was_read(network: HospitalNetwork) -> None:
    hospital = waiting_hospital(network)
    update = next(each for each in hospital.updates if each.spec.site == "south")
    rejection = hospital.create_approval(
        "Reject", update.status.version or "", update.metadata.name, report=digest("another report")
    )
    hospital.reconcile()
    assert hospital.approval_result(rejection) == ("True", "Recorded")


def test_a_version_that_no_person_was_asked_about_has_a_report_too(hospital: FakeHospital) -> None:
    hospital.network.add_data("north", "a")
    hospital.run_update()
    hospital.network.add_data("south", "b", quality="0.4")
    hospital.run_update()
    promoted, rejected = (
        next(each.status for each in hospital.updates if each.spec.site == site) for site in ("north", "south")
    )
    assert promoted.report
    assert {each.result for each in promoted.report.criteria} == {"Passed"}
    assert rejected.report
    assert "Failed" in {each.result for each in rejected.report.criteria}


def test_commands_in_messages_name_the_namespace_and_the_model(network: HospitalNetwork) -> None:
    hospital = waiting_hospital(network)
    update = next(each for each in hospital.updates if each.spec.site == "south")
    status = hospital.model.status
    messages = [each.message for each in (*status.conditions, *status.sites, *update.status.conditions)]
    assert any(f"anamnesis approve -n {SPACE} chest sha256:" in message for message in messages)
    hospital.edit_model(state="Suspended")
    hospital.reconcile()
    messages += [each.message for each in (*hospital.model.status.conditions, *hospital.model.status.sites)]
    assert f"to continue, run: anamnesis resume -n {SPACE} chest" in messages[-1]
    assert [message for message in messages if "NAMESPACE" in message or "MODEL" in message] == []


def test_the_report_stays_after_the_decision(network: HospitalNetwork) -> None:
    hospital = waiting_hospital(network)
    before = next(each.status.report for each in hospital.updates if each.spec.site == "south")
    hospital.decide_pending()
    hospital.reconcile()
    hospital.start_operator()
    hospital.reconcile()
    assert next(each.status.report for each in hospital.updates if each.spec.site == "south") == before
