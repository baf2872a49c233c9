"""One story of a hospital, in order: installed, learned, approved, alarmed, upgraded, taken away, installed again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from alerts.rules import find_program
from builders.alerting_stack import AlertingStack
from builders.waiting import eventually
from chart.test_install import newer_chart
from images.node_pods import kubectl
from kubeflow.hospital_release import (
    MODELS_NAMESPACE,
    PIPELINES_NAMESPACE,
    RELEASE_NAMESPACE,
    HospitalRelease,
    is_running,
    main_container,
    model,
    site,
)
from kubeflow.prerequisites import RELEASE

from anamnesis import __version__
from anamnesis.operator.backends.base import RunState
from anamnesis.registry import verify_log
from charts.golden import CHART, render_templates

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

EVERY_MINUTE = {"schedule": {"cron": "* * * * *"}, "recentFloor": "0.5"}
NOT_THIS_YEAR = {"quietPeriod": "1s", "schedule": {"cron": "0 0 1 1 *"}}
QUICK = {"AnamnesisRecentAccuracyDrop": {"for": "5s", "keepFiringFor": "1s"}}


def approval_by_rossi(reason: str) -> tuple[str, str]:
    """Author and reason of the approver's entry in the log."""
    return f"system:serviceaccount:{MODELS_NAMESPACE}:rossi", reason


def chest(**changes: object) -> dict[str, object]:
    return model("chest", ("north", "east"), **changes)


def test_the_release_is_ready(hospital_release: HospitalRelease) -> None:
    assert len(hospital_release.operator_pods()) == 2
    eventually(lambda: hospital_release.leader_pod() in hospital_release.operator_pods())
    hospital_release.helm.test(RELEASE, timeout=60)


def test_an_update_outlives_the_leader_and_waits_for_a_person(hospital_release: HospitalRelease) -> None:
    hospital_release.apply(site("north"), site("east"), chest())
    hospital_release.wait_for_states("chest", north="WaitingForData", east="WaitingForData")
    hospital_release.upload_images("north")
    training = "train-finetune"
    eventually(lambda: len(hospital_release.runs("chest")) == 1, 60)
    (run,) = hospital_release.runs("chest")
    eventually(
        lambda: any(is_running(pod) for step, pod in hospital_release.step_pods(run).items() if step == training), 120
    )
    name = hospital_release.step_pods(run)[training]["metadata"]["name"]
    assert kubectl("-n", PIPELINES_NAMESPACE, "exec", name, "--container=main", "--", "id", "-u") == "65532\n"
    killed = hospital_release.leader_pod()
    kubectl(f"--namespace={RELEASE_NAMESPACE}", "delete", "pod", killed, "--force", "--grace-period=0")
    hospital_release.wait_for_states("chest", north="AwaitingApproval")
    eventually(lambda: hospital_release.runs("chest")[0].state is RunState.SUCCEEDED, 60)
    assert hospital_release.leader_pod() in {*hospital_release.operator_pods()} - {killed}
    assert len(hospital_release.runs("chest")) == 1
    assert hospital_release.approvals_in_log("chest") == []


def test_each_step_had_a_pod_of_its_own_as_the_release_says(hospital_release: HospitalRelease) -> None:
    (run,) = hospital_release.runs("chest")
    steps = {name: main_container(pod) for name, pod in hospital_release.step_pods(run).items()}
    evaluations = {"evaluate-forgetting", "evaluate-saliency"}
    assert set(steps) == {"ingest-site", "train-finetune", "promote-model"} | evaluations
    digest = hospital_release.values["images"]["training"]["digest"]
    assert {step_container["image"] for step_container in steps.values()} == {
        f"anamnesis-training:{__version__}@{digest}"
    }
    gpus = {
        name: step_container["resources"].get("limits", {}).get("nvidia.com/gpu")
        for name, step_container in steps.items()
    }
    assert gpus == {**dict.fromkeys(steps), "train-finetune": "1"}
    assert all({"name": "HOSPITAL", "value": "north"} in step_container["env"] for step_container in steps.values())


def test_who_may_not_approve_cannot_and_who_may_is_named(hospital_release: HospitalRelease) -> None:
    approve = ["approve", f"--namespace={MODELS_NAMESPACE}", "chest", hospital_release.candidate("chest"), "--reason"]
    refused = hospital_release.anamnesis("weber", *approve, "looks fine")
    assert refused.returncode != 0
    assert "may not" in refused.stderr or "orbidden" in refused.stderr, refused.stderr
    assert hospital_release.get("updateapprovals")["items"] == []
    assert hospital_release.anamnesis("rossi", "suspend", f"--namespace={MODELS_NAMESPACE}", "chest").returncode != 0
    result = hospital_release.anamnesis("rossi", *approve, "report reviewed")
    assert result.returncode == 0, result.stderr
    hospital_release.wait_for_states("chest", north="Learned", seconds=60)
    assert hospital_release.approvals_in_log("chest") == [approval_by_rossi("report reviewed")]


def test_a_second_site_is_learned(hospital_release: HospitalRelease) -> None:
    hospital_release.upload_images("east", seed=1)
    hospital_release.wait_for_states("chest", north="Learned", east="AwaitingApproval")
    version = hospital_release.candidate("chest")
    result = hospital_release.anamnesis(
        "rossi", "approve", f"--namespace={MODELS_NAMESPACE}", "chest", version, "--reason", "north is kept"
    )
    assert result.returncode == 0, result.stderr
    hospital_release.wait_for_states("chest", north="Learned", east="Learned", seconds=60)
    assert hospital_release.approvals_in_log("chest") == [
        approval_by_rossi("report reviewed"),
        approval_by_rossi("north is kept"),
    ]
    assert hospital_release.status("chest")["champion"] == version


@pytest.fixture
def alerting(hospital_release: HospitalRelease, tmp_path: Path) -> Iterator[AlertingStack]:
    """Prometheus and Alertmanager on this machine, with the release's own rules; they scrape the operator's pods."""
    values = {**hospital_release.values, "alerts": {"enabled": True, "rules": QUICK}}
    rules = yaml.safe_load(render_templates(values, RELEASE_NAMESPACE)["alerts.yaml"])["spec"]
    pods = hospital_release.get(
        "pods", "--selector=app.kubernetes.io/name=anamnesis-operator", namespace=RELEASE_NAMESPACE
    )["items"]
    targets = tuple(f"{pod['status']['podIP']}:8080" for pod in pods)
    programs = (
        find_program("prometheus", "ANAMNESIS_PROMETHEUS", "prometheus"),
        find_program("prometheus-alertmanager", "ANAMNESIS_ALERTMANAGER", "prometheus-alertmanager"),
    )
    stack = AlertingStack(tmp_path, *programs, rules, targets)
    yield stack
    stack.stop()


def test_wrong_labels_fire_an_alert_until_they_are_right(
    hospital_release: HospitalRelease, alerting: AlertingStack
) -> None:
    champion = hospital_release.status("chest")["champion"]
    hospital_release.apply(chest(trigger=NOT_THIS_YEAR, evaluation=EVERY_MINUTE))
    hospital_release.upload_images("east", seed=2, name="recent", classes=("right", "left"))
    notice = alerting.wait_for_notice("AnamnesisRecentAccuracyDrop", "firing", seconds=300)
    assert notice.labels | {"namespace": MODELS_NAMESPACE, "model": "chest", "site": "east"} == notice.labels
    assert hospital_release.condition("chest", "Drifting") == "True RecentBelowFloor"
    hospital_release.upload_images("east", seed=2, name="recent")
    alerting.wait_for_notice("AnamnesisRecentAccuracyDrop", "resolved", seconds=300)
    assert hospital_release.condition("chest", "Drifting") == "False RecentWithinFloor"
    assert (hospital_release.status("chest")["champion"], len(hospital_release.approvals_in_log("chest"))) == (
        champion,
        2,
    )
    assert {received.labels["alertname"] for received in alerting.webhook.notices} == {"AnamnesisRecentAccuracyDrop"}


def test_a_pending_approval_counts_after_an_upgrade_and_after_a_rollback(
    hospital_release: HospitalRelease, tmp_path: Path
) -> None:
    hospital_release.apply(chest())
    hospital_release.wait_for_states("chest", east="AwaitingApproval")
    version = hospital_release.candidate("chest")
    kubectl(f"--namespace={RELEASE_NAMESPACE}", "scale", "deployment", "anamnesis-operator", "--replicas=0")
    eventually(lambda: hospital_release.operator_pods() == [], 60)
    hospital_release.anamnesis(
        "rossi", "approve", f"--namespace={MODELS_NAMESPACE}", "chest", version, "--reason", "right now", "--wait=0"
    )
    changed = {**hospital_release.values, "operator": {"replicas": 3, "graceSeconds": 5}}
    hospital_release.helm.upgrade(newer_chart(tmp_path), RELEASE, changed, wait="watcher", timeout=180)
    assert len(hospital_release.operator_pods()) == 3
    hospital_release.wait_for_states("chest", north="Learned", east="Learned", seconds=120)
    approvals = [
        approval_by_rossi("report reviewed"),
        approval_by_rossi("north is kept"),
        approval_by_rossi("right now"),
    ]
    assert hospital_release.approvals_in_log("chest") == approvals
    hospital_release.helm.rollback(RELEASE, version=1, wait="watcher", timeout=180)
    eventually(lambda: len(hospital_release.operator_pods()) == 2, 60)
    eventually(lambda: hospital_release.leader_pod() in hospital_release.operator_pods(), 60)
    assert (
        hospital_release.status("chest")["champion"],
        len(hospital_release.runs("chest")),
        hospital_release.approvals_in_log("chest"),
    ) == (
        version,
        3,
        approvals,
    )


def test_what_was_learned_outlives_the_release(hospital_release: HospitalRelease) -> None:
    status_before, approvals = hospital_release.status("chest"), hospital_release.approvals_in_log("chest")
    hospital_release.helm.uninstall(RELEASE)
    remaining_names = kubectl(
        "get", "deployments,services,roles,rolebindings", f"--namespace={RELEASE_NAMESPACE}", "--output=name"
    )
    assert "anamnesis" not in remaining_names
    assert hospital_release.status("chest") == status_before
    assert hospital_release.approvals_in_log("chest") == approvals
    hospital_release.helm.install(CHART, RELEASE, hospital_release.values, wait="watcher", timeout=180)
    hospital_release.upload_images("north", seed=3, name="more")
    hospital_release.wait_for_states("chest", north="AwaitingApproval", east="Learned")
    version = hospital_release.candidate("chest")
    result = hospital_release.anamnesis(
        "rossi", "approve", f"--namespace={MODELS_NAMESPACE}", "chest", version, "--reason", "on we go"
    )
    assert result.returncode == 0, result.stderr
    hospital_release.wait_for_states("chest", north="Learned", east="Learned", seconds=60)
    assert hospital_release.approvals_in_log("chest") == [*approvals, approval_by_rossi("on we go")]
    assert len(hospital_release.runs("chest")) == 4, "nothing was learned twice"
    assert verify_log(hospital_release.registry("chest")) == ()
