"""From a drop in accuracy to somebody's pager: real operator, API server, bucket, Prometheus, Alertmanager, webhook."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from alerts.rules import copy_of, program, rules
from apiserver.hospital import Hospital, Process
from toys.alerting import Alerting
from toys.apiserver import ApiServer
from toys.waiting import eventually

from anamnesis.operator.metrics.dashboards import DASHBOARDS
from anamnesis.records import Evaluation, Measurement, Metric, Monitoring, Window, digest_json
from anamnesis.registry import list_outcomes, write_evaluation, write_monitoring
from anamnesis.storage import Store, open_store

MARGIN = Decimal("0.3")
SPEC = {
    "gate": {"floor": "0.1", "margin": str(MARGIN), "saliencyFloor": "0", "approval": "Automatic"},
    "evaluation": {"schedule": {"cron": "0 0 1 1 *"}, "recentFloor": "0.2"},
}
FOR_A_PERSON = '{"spec": {"gate": {"approval": "Required"}}}'


@dataclass(frozen=True)
class Scene:
    """A hospital whose model has learned one site and waits for a person about the other, and who watches it."""

    hospital: Hospital
    operator: Process
    alerting: Alerting

    @property
    def registry(self) -> Store:
        return open_store(self.hospital.registry, self.hospital.bucket)

    @property
    def test_set(self) -> str:
        return next(one.test_set for one in list_outcomes(self.registry) if one.site == "north")

    def evaluate(self, number: int, below_best: Decimal) -> None:
        """Leaves in the registry what the pod of a scheduled evaluation does; the operator looks at it."""
        status, width = self.hospital.status(), Decimal("0.01")
        score = Decimal(status["tasks"][0]["best"]) - below_best
        metric = Metric(score, 40, score - width, score + width)
        found = tuple(
            Measurement("north", "bars", window, self.test_set, "Accuracy", metric)
            for window in (Window.FROZEN, Window.RECENT)
        )
        name, time = f"chest-evaluation-2026010{number}t000000z", f"2026-01-0{number}T00:00:00Z"
        write_monitoring(self.registry, Monitoring(name, status["champion"], time, found))
        self.hospital.kubectl("annotate", "--overwrite", "continualmodel", "chest", f"looked={number}")

    def judge_saliency(self) -> None:
        """Leaves in the registry what the pod of an update does where an earlier site is there."""
        champion, evaluator = self.hospital.status()["champion"], digest_json({"name": "saliency"})
        overlap = {"IoU": Metric(Decimal("0.8"), 20)}
        evaluation = Evaluation(champion, "north", "bars", self.test_set, evaluator, "saliency", overlap)
        write_evaluation(self.registry, evaluation)

    def empty(self) -> list[str]:
        """Queries of the dashboards that have no answer."""
        queries = [query.expr for one in DASHBOARDS.values() for query in one.queries]
        words = {"$namespace": self.hospital.space, "$model": "chest", "$__range": "5m", "$__interval": "1s"}
        return [expr for expr in queries if not self.alerting.query(filled(expr, words))]

    def forgotten(self) -> list[float]:
        return [float(one["value"][1]) for one in self.alerting.query("anamnesis_task_forgotten_ratio")]


@pytest.fixture
def scene(cluster: ApiServer, namespace: str, s3_environment: Mapping[str, str], tmp_path: Path) -> Iterator[Scene]:
    programs = (
        program("prometheus", "ANAMNESIS_PROMETHEUS", "prometheus"),
        program("prometheus-alertmanager", "ANAMNESIS_ALERTMANAGER", "prometheus-alertmanager"),
    )
    hospital = Hospital(cluster, namespace, s3_environment, tmp_path)
    hospital.apply(changes=SPEC)
    operator = hospital.operator(flags=("--lease-duration=30",))  # it is killed once; nobody else shall lead
    quick = copy_of(sorted(rules()), **{"for": "2s", "keep_firing_for": "1s"})
    folder = tmp_path / "alerting"
    folder.mkdir()
    alerting = Alerting(folder, *programs, quick, (f"127.0.0.1:{operator.port}",))
    try:
        hospital.drop("north")
        hospital.wait(180, north="Learned")
        hospital.kubectl("patch", "continualmodel", "chest", "--type=merge", "-p", FOR_A_PERSON)
        hospital.drop("south")
        hospital.wait(180, south="AwaitingApproval")
        yield Scene(hospital, operator, alerting)
    finally:
        alerting.end()
        hospital.end()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_drop_in_accuracy_reaches_whoever_is_on_call_and_its_end_does_too(scene: Scene) -> None:
    alerting, space = scene.alerting, scene.hospital.space
    scene.judge_saliency()
    scene.evaluate(1, below_best=MARGIN)
    eventually(lambda: scene.forgotten() == [float(MARGIN)])
    scene.evaluate(2, below_best=MARGIN + Decimal("0.001"))
    notice = alerting.notice("AnamnesisOldTaskAccuracyDrop", "firing")
    place = {"namespace": space, "model": "chest", "site": "north", "task": "bars"}
    of_the_rule = {"alertname": "AnamnesisOldTaskAccuracyDrop", "severity": "critical", "component": "model"}
    assert notice.labels == {**place, **of_the_rule}
    assert notice.annotations["summary"] == f"{space}/chest knows bars of north less well than it did"
    assert "its score is 0.301 below the best" in notice.annotations["description"]
    assert scene.empty() == []
    scene.evaluate(3, below_best=Decimal(0))
    alerting.notice("AnamnesisOldTaskAccuracyDrop", "resolved")
    scene.operator.kill()
    assert alerting.notice("AnamnesisOperatorAbsent", "firing").labels["job"] == "anamnesis"
    scene.operator.start()
    alerting.notice("AnamnesisOperatorAbsent", "resolved")
    fired = {one.labels["alertname"] for one in alerting.webhook.notices}
    assert fired <= {"AnamnesisOldTaskAccuracyDrop", "AnamnesisOperatorAbsent", "AnamnesisNoLeader"}


def filled(expr: str, words: Mapping[str, str]) -> str:
    """A query as Grafana sends it."""
    for name, value in words.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr
