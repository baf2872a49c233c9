"""From a drop in accuracy to a notification: real operator, API server, bucket, Prometheus, Alertmanager, webhook."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from alerts.rules import find_program, rule_file_of, rules
from apiserver.hospital_namespace import HospitalNamespace, OperatorProcess
from builders.alerting_stack import AlertingStack
from builders.api_server import ApiServer
from builders.gates import OPEN_GATE
from builders.waiting import eventually

from anamnesis.operator.metrics.dashboards import DASHBOARDS
from anamnesis.records import Evaluation, EvaluationSet, Measurement, Metric, ScheduledEvaluation, digest_json
from anamnesis.registry import list_update_results, write_evaluation, write_scheduled_evaluation
from anamnesis.storage import Store, open_store

MARGIN = Decimal("0.3")
SPEC = {
    "gate": OPEN_GATE | {"margin": str(MARGIN)},
    "evaluation": {"schedule": {"cron": "0 0 1 1 *"}, "recentFloor": "0.2"},
}
APPROVAL_REQUIRED_PATCH = '{"spec": {"gate": {"approval": "Required", "saliencyFloor": "0.1"}}}'


@dataclass(frozen=True)
class MonitoredHospital:
    """A hospital whose model has learned one site and waits for an approval of the other, and its alerting."""

    hospital: HospitalNamespace
    operator: OperatorProcess
    alerting: AlertingStack

    @property
    def registry(self) -> Store:
        return open_store(self.hospital.registry, self.hospital.bucket)

    @property
    def test_set(self) -> str:
        return next(outcome.test_set for outcome in list_update_results(self.registry) if outcome.site == "north")

    def record_evaluation(self, number: int, below_first: Decimal) -> None:
        """Writes the result of a scheduled evaluation into the registry; the operator reads it."""
        status, width = self.hospital.status(), Decimal("0.01")
        score = Decimal(status["tasks"][0]["firstScore"]) - below_first
        metric = Metric(score, 40, score - width, score + width)
        measurements = tuple(
            Measurement(
                "north", "bars", evaluation_set=evaluation_set, test_set=self.test_set, metric="Accuracy", score=metric
            )
            for evaluation_set in (EvaluationSet.FROZEN, EvaluationSet.RECENT)
        )
        name, time = f"chest-evaluation-2026010{number}t000000z", f"2026-01-0{number}T00:00:00Z"
        write_scheduled_evaluation(self.registry, ScheduledEvaluation(name, status["champion"], time, measurements))
        self.hospital.kubectl("annotate", "--overwrite", "continualmodel", "chest", f"looked={number}")

    def write_saliency_evaluation(self) -> None:
        """Writes the saliency evaluation of an update into the registry, as the pod of an update does."""
        champion, evaluator = self.hospital.status()["champion"], digest_json({"name": "saliency"})
        overlap = {"IoU": Metric(Decimal("0.8"), 20)}
        evaluation = Evaluation(
            champion,
            "north",
            task="bars",
            test_set=self.test_set,
            evaluator=evaluator,
            name="saliency",
            metrics=overlap,
        )
        write_evaluation(self.registry, evaluation)

    def queries_without_answer(self) -> list[str]:
        """Queries of the dashboards without a result, but for those that need what this hospital does not have."""
        all_queries = [query for dashboard in DASHBOARDS.values() for query in dashboard.queries]
        queries = [query.expr for query in all_queries if not query.may_be_empty]
        variables = {"$namespace": self.hospital.namespace, "$model": "chest", "$__range": "5m", "$__interval": "1s"}
        return [expr for expr in queries if not self.alerting.query(fill_variables(expr, variables))]

    def forgotten_ratios(self) -> list[float]:
        return [float(sample["value"][1]) for sample in self.alerting.query("anamnesis_task_forgotten_ratio")]


@pytest.fixture
def monitored_hospital(
    cluster: ApiServer, namespace: str, s3_environment: Mapping[str, str], tmp_path: Path
) -> Iterator[MonitoredHospital]:
    programs = (
        find_program("prometheus", "ANAMNESIS_PROMETHEUS", "prometheus"),
        find_program("prometheus-alertmanager", "ANAMNESIS_ALERTMANAGER", "prometheus-alertmanager"),
    )
    hospital = HospitalNamespace(cluster, namespace, s3_environment, tmp_path)
    hospital.apply(changes=SPEC)
    operator = hospital.start_operator(flags=("--lease-duration=30",))  # it is killed once; no other operator must lead
    quick_rules = rule_file_of(sorted(rules()), **{"for": "2s", "keep_firing_for": "1s"})
    folder = tmp_path / "alerting"
    folder.mkdir()
    alerting = AlertingStack(folder, *programs, quick_rules, (f"127.0.0.1:{operator.port}",))
    try:
        hospital.upload_images("north")
        hospital.wait_for_states(180, north="Learned")
        hospital.kubectl("patch", "continualmodel", "chest", "--type=merge", "-p", APPROVAL_REQUIRED_PATCH)
        hospital.upload_images("south")
        hospital.wait_for_states(180, south="AwaitingApproval")
        yield MonitoredHospital(hospital, operator, alerting)
    finally:
        alerting.stop()
        hospital.stop_operators()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_drop_in_accuracy_and_its_end_are_notified(monitored_hospital: MonitoredHospital) -> None:
    alerting, space = monitored_hospital.alerting, monitored_hospital.hospital.namespace
    monitored_hospital.write_saliency_evaluation()
    monitored_hospital.record_evaluation(1, below_first=MARGIN)
    eventually(lambda: monitored_hospital.forgotten_ratios() == [float(MARGIN)])
    monitored_hospital.record_evaluation(2, below_first=MARGIN + Decimal("0.001"))
    notice = alerting.wait_for_notice("AnamnesisOldTaskAccuracyDrop", "firing")
    resource_labels = {"namespace": space, "model": "chest", "site": "north", "task": "bars"}
    rule_labels = {"alertname": "AnamnesisOldTaskAccuracyDrop", "severity": "critical", "component": "model"}
    assert notice.labels == {**resource_labels, **rule_labels}
    assert notice.annotations["summary"] == f"{space}/chest has forgotten part of task bars of site north"
    assert "the champion's score is 0.301 worse than that of the first" in notice.annotations["description"]
    assert monitored_hospital.queries_without_answer() == []
    monitored_hospital.record_evaluation(3, below_first=Decimal(0))
    alerting.wait_for_notice("AnamnesisOldTaskAccuracyDrop", "resolved")
    monitored_hospital.operator.kill()
    assert alerting.wait_for_notice("AnamnesisOperatorAbsent", "firing").labels["job"] == "anamnesis"
    monitored_hospital.operator.start()
    alerting.wait_for_notice("AnamnesisOperatorAbsent", "resolved")
    fired = {received.labels["alertname"] for received in alerting.webhook.notices}
    assert fired <= {"AnamnesisOldTaskAccuracyDrop", "AnamnesisOperatorAbsent", "AnamnesisNoLeader"}


def fill_variables(expr: str, variables: Mapping[str, str]) -> str:
    """A query as Grafana sends it."""
    for name, value in variables.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr
