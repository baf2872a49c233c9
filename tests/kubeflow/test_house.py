"""One story of a hospital, in order: installed, learned, approved, alarmed, upgraded, taken away, installed again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from alerts.rules import program
from chart.test_install import newer
from images.pods import kubectl
from kubeflow.house import HOME, PIPELINES, WARDS, House, container, model, runs_now, site
from kubeflow.installing import RELEASE
from toys.alerting import Alerting
from toys.waiting import eventually

from anamnesis import __version__
from anamnesis.operator.backends.base import RunState
from anamnesis.registry import verify
from charts.golden import CHART, rendered

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

EVERY_MINUTE = {"schedule": {"cron": "* * * * *"}, "recentFloor": "0.5"}
NOT_THIS_YEAR = {"quietPeriod": "1s", "schedule": {"cron": "0 0 1 1 *"}}
QUICK = {"AnamnesisRecentAccuracyDrop": {"for": "5s", "keepFiringFor": "1s"}}


def rossi(why: str) -> tuple[str, str]:
    """How the log tells what the approver said."""
    return f"system:serviceaccount:{WARDS}:rossi", why


def chest(**changes: object) -> dict[str, object]:
    return model("chest", ("north", "east"), **changes)


def test_the_release_is_ready(house: House) -> None:
    assert len(house.operators()) == 2
    eventually(lambda: house.leader() in house.operators())
    house.helm.test(RELEASE, timeout=60)


def test_an_update_outlives_the_leader_and_waits_for_a_person(house: House) -> None:
    house.apply(site("north"), site("east"), chest())
    house.wait("chest", north="WaitingForData", east="WaitingForData")
    house.drop("north")
    training = "train-finetune"
    eventually(lambda: len(house.runs("chest")) == 1, 60)
    (run,) = house.runs("chest")
    eventually(lambda: any(runs_now(pod) for step, pod in house.steps(run).items() if step == training), 120)
    name = house.steps(run)[training]["metadata"]["name"]
    assert kubectl("-n", PIPELINES, "exec", name, "--container=main", "--", "id", "-u") == "65532\n"
    killed = house.leader()
    kubectl(f"--namespace={HOME}", "delete", "pod", killed, "--force", "--grace-period=0")
    house.wait("chest", north="AwaitingApproval")
    eventually(lambda: house.runs("chest")[0].state is RunState.SUCCEEDED, 60)
    assert house.leader() in {*house.operators()} - {killed}
    assert len(house.runs("chest")) == 1
    assert house.log("chest") == []


def test_each_step_had_a_pod_of_its_own_as_the_release_says(house: House) -> None:
    (run,) = house.runs("chest")
    steps = {name: container(pod) for name, pod in house.steps(run).items()}
    evaluations = {"evaluate-forgetting", "evaluate-saliency"}
    assert set(steps) == {"ingest-site", "train-finetune", "promote-model"} | evaluations
    digest = house.values["images"]["training"]["digest"]
    assert {one["image"] for one in steps.values()} == {f"anamnesis-training:{__version__}@{digest}"}
    gpus = {name: one["resources"].get("limits", {}).get("nvidia.com/gpu") for name, one in steps.items()}
    assert gpus == {**dict.fromkeys(steps), "train-finetune": "1"}
    assert all({"name": "HOSPITAL", "value": "north"} in one["env"] for one in steps.values())


def test_who_may_not_approve_cannot_and_who_may_is_named(house: House) -> None:
    approve = ["approve", f"--namespace={WARDS}", "chest", house.candidate("chest"), "--why"]
    refused = house.anamnesis("weber", *approve, "looks fine")
    assert refused.returncode != 0
    assert "may not" in refused.stderr or "orbidden" in refused.stderr, refused.stderr
    assert house.get("updateapprovals")["items"] == []
    assert house.anamnesis("rossi", "suspend", f"--namespace={WARDS}", "chest").returncode != 0
    said = house.anamnesis("rossi", *approve, "report reviewed")
    assert said.returncode == 0, said.stderr
    house.wait("chest", north="Learned", seconds=60)
    assert house.log("chest") == [rossi("report reviewed")]


def test_a_second_site_is_learned(house: House) -> None:
    house.drop("east", seed=1)
    house.wait("chest", north="Learned", east="AwaitingApproval")
    version = house.candidate("chest")
    said = house.anamnesis("rossi", "approve", f"--namespace={WARDS}", "chest", version, "--why", "north is kept")
    assert said.returncode == 0, said.stderr
    house.wait("chest", north="Learned", east="Learned", seconds=60)
    assert house.log("chest") == [rossi("report reviewed"), rossi("north is kept")]
    assert house.status("chest")["champion"] == version


@pytest.fixture
def alerting(house: House, tmp_path: Path) -> Iterator[Alerting]:
    """Prometheus and Alertmanager on this machine, with the release's own rules; they scrape the operator's pods."""
    values = {**house.values, "alerts": {"enabled": True, "rules": QUICK}}
    rules = yaml.safe_load(rendered(values, HOME)["alerts.yaml"])["spec"]
    pods = house.get("pods", "--selector=app.kubernetes.io/name=anamnesis-operator", namespace=HOME)["items"]
    targets = tuple(f"{one['status']['podIP']}:8080" for one in pods)
    programs = (
        program("prometheus", "ANAMNESIS_PROMETHEUS", "prometheus"),
        program("prometheus-alertmanager", "ANAMNESIS_ALERTMANAGER", "prometheus-alertmanager"),
    )
    found = Alerting(tmp_path, *programs, rules, targets)
    yield found
    found.end()


def test_wrong_labels_wake_somebody_until_they_are_right(house: House, alerting: Alerting) -> None:
    champion = house.status("chest")["champion"]
    house.apply(chest(trigger=NOT_THIS_YEAR, evaluation=EVERY_MINUTE))
    house.drop("east", seed=2, name="recent", classes=("right", "left"))
    notice = alerting.notice("AnamnesisRecentAccuracyDrop", "firing", seconds=300)
    assert notice.labels | {"namespace": WARDS, "model": "chest", "site": "east"} == notice.labels
    assert house.condition("chest", "Drifting") == "True RecentBelowFloor"
    house.drop("east", seed=2, name="recent")
    alerting.notice("AnamnesisRecentAccuracyDrop", "resolved", seconds=300)
    assert house.condition("chest", "Drifting") == "False RecentWithinFloor"
    assert (house.status("chest")["champion"], len(house.log("chest"))) == (champion, 2)
    assert {one.labels["alertname"] for one in alerting.webhook.notices} == {"AnamnesisRecentAccuracyDrop"}


def test_a_word_that_waits_counts_after_an_upgrade_and_after_a_rollback_too(house: House, tmp_path: Path) -> None:
    house.apply(chest())
    house.wait("chest", east="AwaitingApproval")
    version = house.candidate("chest")
    kubectl(f"--namespace={HOME}", "scale", "deployment", "anamnesis-operator", "--replicas=0")
    eventually(lambda: house.operators() == [], 60)
    house.anamnesis("rossi", "approve", f"--namespace={WARDS}", "chest", version, "--why", "right now", "--wait=0")
    changed = {**house.values, "operator": {"replicas": 3, "graceSeconds": 5}}
    house.helm.upgrade(newer(tmp_path), RELEASE, changed, wait="watcher", timeout=180)
    assert len(house.operators()) == 3
    house.wait("chest", north="Learned", east="Learned", seconds=120)
    told = [rossi("report reviewed"), rossi("north is kept"), rossi("right now")]
    assert house.log("chest") == told
    house.helm.rollback(RELEASE, version=1, wait="watcher", timeout=180)
    eventually(lambda: len(house.operators()) == 2, 60)
    eventually(lambda: house.leader() in house.operators(), 60)
    assert (house.status("chest")["champion"], len(house.runs("chest")), house.log("chest")) == (version, 3, told)


def test_what_was_learned_outlives_the_release(house: House) -> None:
    before, told = house.status("chest"), house.log("chest")
    house.helm.uninstall(RELEASE)
    left = kubectl("get", "deployments,services,roles,rolebindings", f"--namespace={HOME}", "--output=name")
    assert "anamnesis" not in left
    assert house.status("chest") == before
    assert house.log("chest") == told
    house.helm.install(CHART, RELEASE, house.values, wait="watcher", timeout=180)
    house.drop("north", seed=3, name="more")
    house.wait("chest", north="AwaitingApproval", east="Learned")
    version = house.candidate("chest")
    said = house.anamnesis("rossi", "approve", f"--namespace={WARDS}", "chest", version, "--why", "on we go")
    assert said.returncode == 0, said.stderr
    house.wait("chest", north="Learned", east="Learned", seconds=60)
    assert house.log("chest") == [*told, rossi("on we go")]
    assert len(house.runs("chest")) == 4, "nothing was learned twice"
    assert verify(house.registry("chest")) == ()
