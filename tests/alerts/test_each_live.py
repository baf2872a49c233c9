"""Every alert of the rendered chart, provoked and ended on a real API server, Prometheus and Alertmanager.

The operators are two real processes that watch, lead and export; what statuses say is written by the test. An alert
about the operator itself is provoked by its cause.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alerts.provoked import CANARY, NO_CHAMPION, PROVOKED, TUNED, Names, Provoked, site
from alerts.rules import program, rules
from alerts.test_live import filled
from apiserver.operators import FAST, GROUP, Wire, account, free_port
from apiserver.process import Process
from chart.conftest import objects_of, one
from toys.alerting import Alerting
from toys.apiserver import ApiServer
from toys.documents import Json, document, model_spec
from toys.waiting import eventually

from anamnesis.operator.metrics.dashboards import DASHBOARDS

Labels = frozenset[tuple[str, str]]
SENT = {"cluster": "two", "job": "some-scrape"}
"""``cluster``: what this Prometheus adds to all that it sends."""
OF_PROCESS = {
    "AnamnesisOperatorAbsent",
    "AnamnesisNoLeader",
    "AnamnesisWatchSilent",
    "AnamnesisResourceUnread",
    "AnamnesisReconcileErrors",
}
WAITS = {"AnamnesisNoLeader": "8s", "AnamnesisOperatorAbsent": "10s"}
"""Longer than a change of the leader takes, and than Prometheus takes to begin (5 seconds)."""
VALUES: Json = {name: {"for": WAITS.get(name, "1s"), "keepFiringFor": "12s"} for name in rules()}
for name, threshold in TUNED.items():
    VALUES[name]["threshold"] = threshold
NEVER = {"trigger": {"schedule": {"cron": "0 0 31 2 *"}}}


@dataclass
class World:
    """A namespace, two operators of it, and who watches them."""

    cluster: ApiServer
    space: str
    operators: tuple[Process, Process]
    wire: Wire
    alerting: Alerting
    made: dict[tuple[str, str], Json] = field(default_factory=dict)

    def write(self, *documents: Json) -> None:
        """Makes resources, or only writes their statuses."""
        for wanted in documents:
            key = wanted["kind"], wanted["metadata"]["name"]
            found = self.made.get(key) or self.cluster.request("POST", self.path(key[0]), wanted)
            status = {**found, "status": wanted.get("status", {})}
            self.made[key] = self.cluster.request("PUT", f"{self.path(*key)}/status", status)

    def path(self, kind: str, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self.space}/{kind.lower()}s{'/' if name else ''}{name}"

    def kubectl(self, *arguments: str) -> None:
        self.cluster.kubectl(f"--namespace={self.space}", *arguments)

    def told(self) -> dict[Labels, str]:
        """What whoever is on call knows: the labels of every alert that came, and its last status."""
        return {frozenset(one.labels.items()): one.status for one in tuple(self.alerting.webhook.notices)}

    def firing(self) -> set[Labels]:
        return {labels for labels, status in self.told().items() if status == "firing"}

    def expect(self, wanted: set[Labels], status: str = "firing", seconds: float = 60) -> None:
        """Waits until all of them are told so."""

        def so() -> bool:
            told = self.told()
            return all(told.get(labels) == status for labels in wanted)

        try:
            eventually(so, seconds)
        except AssertionError:
            told = self.told()
            missing = [sorted(labels) for labels in wanted if told.get(labels) != status]
            raise AssertionError(
                f"not told as {status}: {missing}\n{self.operators[0].log.read_text()[-2000:]}"
            ) from None

    def description(self, labels: Labels) -> str:
        """What came with an alert."""
        notices = self.alerting.webhook.notices
        return next(one.annotations["description"] for one in notices if frozenset(one.labels.items()) == labels)

    def labels(self, alert: str, more: Mapping[str, str]) -> Labels:
        of_rule = rules()[alert]["labels"]
        return frozenset({"alertname": alert, "cluster": SENT["cluster"], **of_rule, **more}.items())

    def of(self, case: Provoked, names: Names) -> Labels:
        """The labels of the alert of a resource."""
        own = {label: getattr(names, label) for label in case.labels}
        return self.labels(case.alert, {"namespace": self.space, **own, **dict(case.more)})

    def of_process(self, alert: str, **more: str) -> Labels:
        return self.labels(alert, {"job": SENT["job"], **more})


@pytest.fixture
def world(cluster: ApiServer, namespace: str, tmp_path: Path) -> Iterator[World]:
    programs = (
        program("prometheus", "ANAMNESIS_PROMETHEUS", "prometheus"),
        program("prometheus-alertmanager", "ANAMNESIS_ALERTMANAGER", "prometheus-alertmanager"),
    )
    rendered = one(objects_of({"alerts": {"enabled": True, "rules": VALUES}}), "PrometheusRule", "anamnesis")
    wire = Wire(cluster.url)
    direct, proxied = account(cluster, namespace), account(cluster, namespace, wire.url)
    operators = (operator("one", direct, namespace, tmp_path), operator("two", proxied, namespace, tmp_path))
    targets = tuple(f"127.0.0.1:{each.port}" for each in operators)
    try:
        eventually(lambda: any(each.leads() for each in operators), 60)
        eventually(lambda: all(each.get("/metrics") for each in operators), 60)
        alerting = Alerting(tmp_path, *programs, rendered["spec"], targets, SENT["job"], {"cluster": SENT["cluster"]})
        try:
            yield World(cluster, namespace, operators, wire, alerting)
        finally:
            alerting.end()
    finally:
        for each in operators:
            each.kill()
        wire.close()


def operator(identity: str, kubeconfig: Path, space: str, folder: Path) -> Process:
    port = free_port()
    options = {"identity": identity, "lease_namespace": space, "namespaces": [space], "port": port}
    options |= {"check": 1.0, "timeout": 2.0, "lease": FAST}
    command = [sys.executable, "-m", "toys.quiet_operator", str(kubeconfig), json.dumps(options)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    return Process(identity, command, environment, port, folder / f"{identity}.log")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_alert_reaches_whoever_is_on_call_from_what_is_over_its_bound_and_from_nothing_else(world: World) -> None:
    assert {case.alert for case in PROVOKED} | OF_PROCESS == set(rules())
    leader, standby = sorted(world.operators, key=lambda each: not each.leads())
    all_is_well(world)
    expected = {world.of(case, case.names(0)) for case in PROVOKED} | unread(world) | failing(world)
    expected |= silent(world)
    go_over(world)
    world.expect(expected)
    assert world.firing() == expected
    for case in PROVOKED:
        said = world.description(world.of(case, case.names(0)))
        assert case.value in said, said
    leader.kill()
    eventually(standby.leads)
    leader.start()
    assert world.firing() == expected, "a new leader is no new alert, and ends none"
    all_is_well(world)
    mend(world)
    standby.kill()
    standby.start()
    world.expect(expected, "resolved")
    expected |= gone_and_back(world, world.operators)
    assert set(world.told()) == expected, "what else came"
    words = json.dumps([[dict(each.labels), dict(each.annotations)] for each in world.alerting.webhook.notices])
    assert CANARY not in words
    assert "<no value>" not in words


@pytest.mark.slow
def test_on_the_first_day_no_alert_fires_and_each_empty_panel_says_why(world: World) -> None:
    names = Names("chest", "ulm", "lungs")
    world.write(*NO_CHAMPION(names), *site()(names))
    words = {"$namespace": world.space, "$model": "chest", "$__range": "5m", "$__interval": "1s"}
    eventually(
        lambda: bool(world.alerting.query("anamnesis_site_poll_interval_seconds and on () anamnesis_model_info"))
    )
    panels = [panel for one in DASHBOARDS.values() for row in one.rows.values() for panel in row]
    empty = [each for each in panels if not any(world.alerting.query(filled(one.expr, words)) for one in each.queries)]
    assert len(empty) > 10
    assert [each.title for each in empty if not each.empty] == []
    eventually(lambda: world.alerting.query("ALERTS") == [])  # the operator was absent until the first scrape
    assert world.told() == {}


def all_is_well(world: World) -> None:
    """Every resource is within its bound, and Prometheus has seen it."""
    for case in PROVOKED:
        world.write(*case.within(case.names(0)), *case.other(case.names(1)))
    wanted = {case.names(which).model for case in PROVOKED for which in (0, 1) if "model" in case.labels}
    query = f'anamnesis_model_info{{namespace="{world.space}"}}'
    eventually(lambda: wanted <= {each["metric"]["model"] for each in world.alerting.query(query)})
    shown = 'anamnesis_model_log_entries{model="registry-log-shrank-lung"} == 7'
    eventually(lambda: bool(world.alerting.query(shown)))


def go_over(world: World) -> None:
    for case in PROVOKED:
        world.write(*case.over(case.names(0)))


def unread(world: World) -> set[Labels]:
    """A resource that the API server takes and the operator does not."""
    world.write(document("ContinualModel", "unread", model_spec(("ulm",), NEVER)))
    return {world.of_process("AnamnesisResourceUnread", kind="ContinualModel")}


def failing(world: World) -> set[Labels]:
    """A resource that cannot be brought in order, again and again."""
    world.write(*site()(Names("", "stirred", "")))
    world.kubectl("label", "site", "stirred", "fail=yes")
    stir(world, "stirred", lambda: share_of_errors(world) > 0.15)
    return {world.of_process("AnamnesisReconcileErrors", kind="Site")}


def share_of_errors(world: World) -> float:
    rate = 'sum by (kind) (rate(anamnesis_operator_reconcile_duration_seconds_count{kind="Site",result=~"%s"}[10m]))'
    found = world.alerting.query(f"{rate % 'error'} / {rate % '.*'}")
    return float(found[0]["value"][1]) if found else 0.0


def stir(world: World, which: str, until: Callable[[], bool]) -> None:
    """Somebody changes Sites again and again."""

    def stirred() -> bool:
        world.kubectl("annotate", "--overwrite", "sites", which, f"at={datetime.now(UTC).isoformat()}")
        return until()

    eventually(stirred, 60)


def silent(world: World) -> set[Labels]:
    """The connections of one replica fall silent: it hears of no change of the kinds that change now."""
    world.wire.freeze()
    two = world.operators[1]
    kinds = ("ContinualModel", "ModelUpdate", "Site")
    return {world.of_process("AnamnesisWatchSilent", kind=kind, instance=f"127.0.0.1:{two.port}") for kind in kinds}


def mend(world: World) -> None:
    world.kubectl("delete", "continualmodel", "unread")
    world.kubectl("label", "site", "stirred", "fail-")
    stir(world, "--all", lambda: share_of_errors(world) < 0.08)


def gone_and_back(world: World, operators: tuple[Process, ...]) -> set[Labels]:
    """All operators are gone; they come back while somebody else holds the Lease; then nobody does."""
    absent, headless = world.of_process("AnamnesisOperatorAbsent"), world.of_process("AnamnesisNoLeader")
    for each in operators:
        each.kill()
    world.expect({absent})
    for each in operators:
        each.start()

    def held_by_another() -> bool:
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        holder = {"spec": {"holderIdentity": "nobody", "renewTime": time}}
        world.kubectl("patch", "lease", "anamnesis-operator", "--type=merge", "-p", json.dumps(holder))
        return headless in world.firing()

    eventually(held_by_another, 60)
    world.expect({absent, headless}, "resolved")
    return {absent, headless}
