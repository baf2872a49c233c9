"""Every alert of the rendered chart fires and ends, with a real API server, Prometheus and Alertmanager.

The operators are two real processes that watch, lead and export; the test writes the statuses. Alerts about the
operator itself are provoked by their cause.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alerts.provoked_alerts import (
    CANARY,
    NO_CHAMPION,
    PROVOKED_ALERTS,
    TUNED_THRESHOLDS,
    ProvokedAlert,
    ResourceNames,
    site,
)
from alerts.rules import find_program, rules
from alerts.test_accuracy_drop_live import fill_variables
from apiserver.operator_process import OperatorProcess
from apiserver.operators import FAST, GROUP, FreezableProxy, create_operator_account, free_port
from builders.alerting_stack import AlertingStack
from builders.api_server import ApiServer
from builders.resource_documents import Json, document, model_spec
from builders.waiting import eventually
from chart.conftest import find_object, objects_of

from anamnesis.operator.metrics.dashboards import DASHBOARDS

Labels = frozenset[tuple[str, str]]
EXTERNAL_LABELS = {"cluster": "two", "job": "some-scrape"}
"""``cluster``: label that this Prometheus adds to all its notifications."""
PROCESS_ALERTS = {
    "AnamnesisOperatorAbsent",
    "AnamnesisNoLeader",
    "AnamnesisWatchSilent",
    "AnamnesisResourceUnread",
    "AnamnesisReconcileErrors",
}
ALERT_DELAYS = {"AnamnesisNoLeader": "8s", "AnamnesisOperatorAbsent": "10s"}
"""Longer than a change of the leader takes, and than Prometheus takes to start (5 seconds)."""
VALUES: Json = {name: {"for": ALERT_DELAYS.get(name, "1s"), "keepFiringFor": "12s"} for name in rules()}
for name, threshold in TUNED_THRESHOLDS.items():
    VALUES[name]["threshold"] = threshold
NEVER_DUE = {"trigger": {"schedule": {"cron": "0 0 31 2 *"}, "minimumNewPatients": 0}}


@dataclass
class AlertTestbed:
    """A namespace, its two operators, and their alerting."""

    cluster: ApiServer
    namespace: str
    operators: tuple[OperatorProcess, OperatorProcess]
    proxy: FreezableProxy
    alerting: AlertingStack
    created: dict[tuple[str, str], Json] = field(default_factory=dict)

    def write(self, *documents: Json) -> None:
        """Creates resources that do not exist, and writes all statuses."""
        for manifest in documents:
            key = manifest["kind"], manifest["metadata"]["name"]
            resource = self.created.get(key) or self.cluster.request("POST", self.path(key[0]), manifest)
            status = {**resource, "status": manifest.get("status", {})}
            self.created[key] = self.cluster.request("PUT", f"{self.path(*key)}/status", status)

    def path(self, kind: str, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self.namespace}/{kind.lower()}s{'/' if name else ''}{name}"

    def kubectl(self, *arguments: str) -> None:
        self.cluster.kubectl(f"--namespace={self.namespace}", *arguments)

    def last_statuses(self) -> dict[Labels, str]:
        """The labels of every alert that was notified, and its last status."""
        return {frozenset(notice.labels.items()): notice.status for notice in tuple(self.alerting.webhook.notices)}

    def firing(self) -> set[Labels]:
        return {labels for labels, status in self.last_statuses().items() if status == "firing"}

    def expect(self, expected: set[Labels], status: str = "firing", seconds: float = 60) -> None:
        """Waits until all of them were notified with this status."""

        def all_reported() -> bool:
            statuses = self.last_statuses()
            return all(statuses.get(labels) == status for labels in expected)

        try:
            eventually(all_reported, seconds)
        except AssertionError:
            statuses = self.last_statuses()
            missing = [sorted(labels) for labels in expected if statuses.get(labels) != status]
            raise AssertionError(
                f"not reported as {status}: {missing}\n{self.operators[0].log.read_text()[-2000:]}"
            ) from None

    def description(self, labels: Labels) -> str:
        """The description in an alert's notification."""
        notices = self.alerting.webhook.notices
        return next(
            notice.annotations["description"] for notice in notices if frozenset(notice.labels.items()) == labels
        )

    def merged_labels(self, alert: str, extra_labels: Mapping[str, str]) -> Labels:
        of_rule = rules()[alert]["labels"]
        return frozenset({"alertname": alert, "cluster": EXTERNAL_LABELS["cluster"], **of_rule, **extra_labels}.items())

    def alert_labels(self, case: ProvokedAlert, names: ResourceNames) -> Labels:
        """The labels of the alert of a resource."""
        resource_labels = {label: getattr(names, label) for label in case.labels}
        return self.merged_labels(
            case.alert, {"namespace": self.namespace, **resource_labels, **dict(case.extra_labels)}
        )

    def process_alert_labels(self, alert: str, **extra_labels: str) -> Labels:
        return self.merged_labels(alert, {"job": EXTERNAL_LABELS["job"], **extra_labels})


@pytest.fixture
def testbed(cluster: ApiServer, namespace: str, tmp_path: Path) -> Iterator[AlertTestbed]:
    programs = (
        find_program("prometheus", "ANAMNESIS_PROMETHEUS", "prometheus"),
        find_program("prometheus-alertmanager", "ANAMNESIS_ALERTMANAGER", "prometheus-alertmanager"),
    )
    rendered = find_object(objects_of({"alerts": {"enabled": True, "rules": VALUES}}), "PrometheusRule", "anamnesis")
    proxy = FreezableProxy(cluster.url)
    direct, proxied = (
        create_operator_account(cluster, namespace),
        create_operator_account(cluster, namespace, proxy.url),
    )
    operators = (
        start_operator("one", direct, namespace, tmp_path),
        start_operator("two", proxied, namespace, tmp_path),
    )
    targets = tuple(f"127.0.0.1:{process.port}" for process in operators)
    try:
        eventually(lambda: any(process.is_leader() for process in operators), 60)
        eventually(lambda: all(process.get("/metrics") for process in operators), 60)
        alerting = AlertingStack(
            tmp_path,
            *programs,
            rendered["spec"],
            targets,
            EXTERNAL_LABELS["job"],
            {"cluster": EXTERNAL_LABELS["cluster"]},
        )
        try:
            yield AlertTestbed(cluster, namespace, operators=operators, proxy=proxy, alerting=alerting)
        finally:
            alerting.stop()
    finally:
        for process in operators:
            process.kill()
        proxy.close()


def start_operator(identity: str, kubeconfig: Path, namespace: str, folder: Path) -> OperatorProcess:
    port = free_port()
    options = {"identity": identity, "lease_namespace": namespace, "namespaces": [namespace], "port": port}
    options |= {"watch_check_interval": 1.0, "request_timeout": 2.0, "lease": FAST}
    command = [sys.executable, "-m", "fakes.idle_operator", str(kubeconfig), json.dumps(options)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    return OperatorProcess(identity, command, environment=environment, port=port, log=folder / f"{identity}.log")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_alert_fires_over_its_limit_and_nothing_else_does(testbed: AlertTestbed) -> None:
    assert {case.alert for case in PROVOKED_ALERTS} | PROCESS_ALERTS == set(rules())
    leader, standby = sorted(testbed.operators, key=lambda operator: not operator.is_leader())
    keep_within_limits(testbed)
    expected = (
        {testbed.alert_labels(case, case.names(0)) for case in PROVOKED_ALERTS}
        | create_unreadable_model(testbed)
        | create_failing_site(testbed)
    )
    expected |= freeze_watches(testbed)
    exceed_limits(testbed)
    testbed.expect(expected)
    assert testbed.firing() == expected
    for case in PROVOKED_ALERTS:
        description = testbed.description(testbed.alert_labels(case, case.names(0)))
        assert case.value in description, description
    leader.kill()
    eventually(standby.is_leader)
    leader.start()
    assert testbed.firing() == expected, "a new leader neither starts nor ends an alert"
    keep_within_limits(testbed)
    repair(testbed)
    standby.kill()
    standby.start()
    testbed.expect(expected, "resolved")
    expected |= stop_and_restart_operators(testbed, testbed.operators)
    assert set(testbed.last_statuses()) == expected, "what else came"
    notice_text = json.dumps(
        [[dict(notice.labels), dict(notice.annotations)] for notice in testbed.alerting.webhook.notices]
    )
    assert CANARY not in notice_text
    assert "<no value>" not in notice_text


@pytest.mark.slow
def test_on_the_first_day_no_alert_fires_and_each_empty_panel_says_why(testbed: AlertTestbed) -> None:
    names = ResourceNames("chest", "ulm", "lungs")
    testbed.write(*NO_CHAMPION(names), *site()(names))
    variables = {"$namespace": testbed.namespace, "$model": "chest", "$__range": "5m", "$__interval": "1s"}
    eventually(
        lambda: bool(testbed.alerting.query("anamnesis_site_poll_interval_seconds and on () anamnesis_model_info"))
    )
    panels = [panel for dashboard in DASHBOARDS.values() for row in dashboard.rows.values() for panel in row]
    empty = [
        panel
        for panel in panels
        if not any(testbed.alerting.query(fill_variables(query.expr, variables)) for query in panel.queries)
    ]
    assert len(empty) > 10
    assert [panel.title for panel in empty if not panel.empty_text] == []
    eventually(lambda: testbed.alerting.query("ALERTS") == [])  # the operator was absent until the first scrape
    assert testbed.last_statuses() == {}


def keep_within_limits(testbed: AlertTestbed) -> None:
    """Every resource is within its limit, and Prometheus has scraped it."""
    for case in PROVOKED_ALERTS:
        testbed.write(*case.within_limit(case.names(0)), *case.other_limit(case.names(1)))
    model_names = {case.names(which).model for case in PROVOKED_ALERTS for which in (0, 1) if "model" in case.labels}
    query = f'anamnesis_model_info{{namespace="{testbed.namespace}"}}'
    eventually(lambda: model_names <= {sample["metric"]["model"] for sample in testbed.alerting.query(query)})
    log_query = 'anamnesis_model_log_entries{model="registry-log-shrank-lung"} == 7'
    eventually(lambda: bool(testbed.alerting.query(log_query)))


def exceed_limits(testbed: AlertTestbed) -> None:
    for case in PROVOKED_ALERTS:
        testbed.write(*case.over_limit(case.names(0)))


def create_unreadable_model(testbed: AlertTestbed) -> set[Labels]:
    """A resource that the API server accepts and the operator does not."""
    testbed.write(document("ContinualModel", "unread", model_spec(("ulm",), NEVER_DUE)))
    return {testbed.process_alert_labels("AnamnesisResourceUnread", kind="ContinualModel")}


def create_failing_site(testbed: AlertTestbed) -> set[Labels]:
    """A resource that the operator fails to reconcile repeatedly."""
    testbed.write(*site()(ResourceNames("", "stirred", "")))
    testbed.kubectl("label", "site", "stirred", "fail=yes")
    change_sites_until(testbed, "stirred", lambda: share_of_errors(testbed) > 0.15)
    return {testbed.process_alert_labels("AnamnesisReconcileErrors", kind="Site")}


def share_of_errors(testbed: AlertTestbed) -> float:
    rate = 'sum by (kind) (rate(anamnesis_operator_reconcile_duration_seconds_count{kind="Site",result=~"%s"}[10m]))'
    samples = testbed.alerting.query(f"{rate % 'error'} / {rate % '.*'}")
    return float(samples[0]["value"][1]) if samples else 0.0


def change_sites_until(testbed: AlertTestbed, selector: str, is_reached: Callable[[], bool]) -> None:
    """Changes Sites until the condition is reached."""

    def change_sites() -> bool:
        testbed.kubectl("annotate", "--overwrite", "sites", selector, f"at={datetime.now(UTC).isoformat()}")
        return is_reached()

    eventually(change_sites, 60)


def freeze_watches(testbed: AlertTestbed) -> set[Labels]:
    """Freezes the connections of one replica: its watches report no change of the kinds that change now."""
    testbed.proxy.freeze()
    second_operator = testbed.operators[1]
    kinds = ("ContinualModel", "ModelUpdate", "Site")
    return {
        testbed.process_alert_labels("AnamnesisWatchSilent", kind=kind, instance=f"127.0.0.1:{second_operator.port}")
        for kind in kinds
    }


def repair(testbed: AlertTestbed) -> None:
    testbed.kubectl("delete", "continualmodel", "unread")
    testbed.kubectl("label", "site", "stirred", "fail-")
    change_sites_until(testbed, "--all", lambda: share_of_errors(testbed) < 0.08)


def stop_and_restart_operators(testbed: AlertTestbed, operators: tuple[OperatorProcess, ...]) -> set[Labels]:
    """All operators stop; they restart while another process holds the Lease; then it is released."""
    absent, headless = (
        testbed.process_alert_labels("AnamnesisOperatorAbsent"),
        testbed.process_alert_labels("AnamnesisNoLeader"),
    )
    for process in operators:
        process.kill()
    testbed.expect({absent})
    for process in operators:
        process.start()

    def hold_lease() -> bool:
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        holder = {"spec": {"holderIdentity": "nobody", "renewTime": time}}
        testbed.kubectl("patch", "lease", "anamnesis-operator", "--type=merge", "-p", json.dumps(holder))
        return headless in testbed.firing()

    eventually(hold_lease, 60)
    testbed.expect({absent, headless}, "resolved")
    return {absent, headless}
