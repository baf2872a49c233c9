"""A model's life with a real operator on a real API server: images in a bucket, training, people, metrics."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from apiserver.hospital_namespace import HospitalNamespace, decided_state
from builders.waiting import eventually

from anamnesis.operator.api.config_map import report_name


def test_a_sites_images_are_learned_approved_and_told(hospital: HospitalNamespace, run: Callable[..., Any]) -> None:
    hospital.apply(approval="Required")
    operator = hospital.start_operator()
    hospital.wait_for_states(30, north="WaitingForData", south="WaitingForData")
    hospital.upload_images("north")
    hospital.wait_for_states(north="AwaitingApproval")
    (update,) = hospital.updates()
    version = update["status"]["version"]
    spec = {"update": update["metadata"]["name"], "version": version, "decision": "Approve", "approver": "admin"}
    report = update["status"]["reportDigest"]
    config_map = hospital.kubectl("get", "configmap", report_name(spec["update"], report), "-o", "jsonpath={.data}")
    assert json.loads(json.loads(config_map)["report.json"]) == update["status"]["report"]
    shown = run("report", "-n", hospital.namespace, "chest", "--json")
    assert (json.loads(shown.out)["digest"], json.loads(shown.out)["report"]["version"]) == (report, version)
    approval = {
        "apiVersion": "anamnesis.dev/v1alpha1",
        "kind": "UpdateApproval",
        "metadata": {"generateName": "chest-"},
        "spec": {**spec, "reason": "reviewed", "report": report},
    }
    hospital.kubectl("create", "-f", "-", stdin=json.dumps(approval))
    hospital.wait_for_states(north="Learned")
    assert hospital.status()["champion"] == version
    shown = hospital.kubectl("get", "anamnesis")
    assert "Promoted" in shown, shown
    events = hospital.kubectl("get", "events.events.k8s.io", "-o", "json")
    reasons = [event["reason"] for event in json.loads(events)["items"]]
    assert {"AwaitingApproval", "Promoted", "ChampionInUse"} <= set(reasons)
    metrics = operator.get("/metrics")
    assert (
        f'anamnesis_task_score_ratio{{evaluation_set="frozen",model="chest",namespace="{hospital.namespace}"' in metrics
    )
    assert "anamnesis_operator_leader 1.0" in metrics
    operator.popen.terminate()
    assert operator.popen.wait(20) == 0
    log = (hospital.state_folder / "one.log").read_text().splitlines()
    assert {"time", "level", "message"} <= json.loads(log[0]).keys()
    assert not any("unexpected" in json.loads(line)["message"] for line in log), log


def test_what_only_the_types_can_refuse_is_told_on_the_resource(hospital: HospitalNamespace) -> None:
    hospital.apply()
    never = '{"spec": {"trigger": {"schedule": {"cron": "0 0 31 2 *"}}}}'
    hospital.kubectl("patch", "continualmodel", "chest", "--type=merge", "-p", never)
    hospital.start_operator()

    def ready() -> dict[str, str]:
        return next((c for c in hospital.status().get("conditions", ()) if c["type"] == "Ready"), {})

    eventually(lambda: ready().get("reason") == "InvalidSpec")
    assert "spec.trigger.schedule" in ready()["message"]
    better = never.replace("31 2", "1 2")
    hospital.kubectl("patch", "continualmodel", "chest", "--type=merge", "-p", better)
    eventually(lambda: ready().get("reason") == "NoChampion")


@pytest.mark.slow
def test_a_request_is_answered_after_the_model_was_deleted_and_applied_again(
    hospital: HospitalNamespace, run: Callable[..., Any]
) -> None:
    def request_update() -> int:
        result = run("update", "-n", hospital.namespace, "chest", "--site", "north", "--json")
        assert result.code == 0, result.err
        return int(json.loads(result.out)["counter"])

    def has_update(counter: int, *states: str) -> bool:
        update_states = [(update, decided_state(update)) for update in hospital.updates()]
        return any(update["spec"]["counter"] == counter and state in states for update, state in update_states)

    hospital.apply(sites=("north",), changes={"sites": [{"name": "north"}]})
    hospital.start_operator()
    hospital.upload_images("north")
    hospital.wait_for_states(north="Learned")
    assert request_update() == 1
    eventually(lambda: has_update(1, "NoChange"), 60)
    hospital.kubectl("delete", "continualmodel", "chest")
    hospital.apply(sites=("north",), changes={"sites": [{"name": "north"}]})
    assert request_update() == 2, "the operator reports the request that the registry has a result of"
    eventually(lambda: has_update(2, "Running", "NoChange"), 60)
