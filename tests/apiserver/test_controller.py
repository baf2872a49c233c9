"""The controller's process against the real API server, with its own account and a toy reconcile."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apiserver.operators import (
    FreezableProxy,
    StubOperator,
    create_operator_account,
    create_resource,
    last_reconciled_by,
    model,
    read_resource,
    site,
)
from builders.api_server import ApiServer
from builders.waiting import eventually

Start = Callable[..., StubOperator]
LEASES = "/apis/coordination.k8s.io/v1"


@pytest.fixture
def start(cluster: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Starts operators with the rights of ``manifests/base``; each is ended with the test."""
    started: list[StubOperator] = []
    operator_kubeconfig = create_operator_account(cluster, namespace)

    def begin(identity: str = "one", kubeconfig: Path = operator_kubeconfig, **settings: Any) -> StubOperator:
        log = tmp_path / f"{identity}.log"
        started.append(StubOperator(kubeconfig, namespace, log=log, identity=identity, settings=settings).start())
        return started[-1]

    yield begin
    for operator in started:
        operator.kill()
        print(operator.log.read_text())  # pytest shows it where the test failed


def test_a_change_is_in_the_status_within_a_second(cluster: ApiServer, namespace: str, start: Start) -> None:
    operator = start()
    eventually(operator.is_leader)
    durations = []
    for number in range(3):
        begin = time.monotonic()
        document = create_resource(cluster, namespace, model(f"chest-{number}", "guangzhou"))
        eventually(lambda: last_reconciled_by(cluster, namespace, document) == "one")  # noqa: B023
        durations.append(time.monotonic() - begin)
    assert min(durations) < 1


def test_nothing_of_the_watching_library_is_left_on_objects(cluster: ApiServer, namespace: str, start: Start) -> None:
    eventually(start().is_leader)
    document = create_resource(cluster, namespace, site("guangzhou"))
    eventually(lambda: last_reconciled_by(cluster, namespace, document) == "one")
    resource = read_resource(cluster, namespace, document)
    assert not {"annotations", "finalizers"} & set(resource["metadata"])
    managers = {entry["manager"] for entry in resource["metadata"]["managedFields"]}
    assert managers == {"anamnesis-operator", document["metadata"]["managedFields"][0]["manager"]}


def test_the_next_replica_takes_over_where_the_leader_was_killed(
    cluster: ApiServer, namespace: str, start: Start
) -> None:
    first = start("one")
    eventually(first.is_leader)
    second = start("two")
    eventually(second.is_ready)
    document = create_resource(cluster, namespace, site("guangzhou"))
    eventually(lambda: last_reconciled_by(cluster, namespace, document) == "one")
    assert not second.observed_metrics()["leads"]
    assert second.observed_metrics()["reconciled"] == 0
    first.process.send_signal(signal.SIGKILL)
    eventually(second.is_leader)
    eventually(lambda: last_reconciled_by(cluster, namespace, document) == "two")


def test_a_graceful_stop_ends_the_work_that_runs_and_gives_the_lease_back(
    cluster: ApiServer, namespace: str, start: Start
) -> None:
    operator = start(seconds=3.0, worker_count=1)
    eventually(operator.is_leader)
    documents = [create_resource(cluster, namespace, site(name)) for name in ("ulm", "bonn", "jena")]
    eventually(lambda: operator.log.read_text().count('"begins"') == 2)  # the worker for all, and that of Sites
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(15) == 0
    assert sorted(last_reconciled_by(cluster, namespace, document) for document in documents) == ["", "one", "one"]
    assert read_lease_spec(cluster, namespace)["holderIdentity"] == ""


def test_work_that_outlasts_the_grace_is_left_to_the_next_leader(
    cluster: ApiServer, namespace: str, start: Start
) -> None:
    operator = start(seconds=60.0, grace_period=0.5)
    eventually(operator.is_leader)
    create_resource(cluster, namespace, site("ulm"))
    eventually(lambda: '"begins"' in operator.log.read_text())
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(15) == 0
    assert read_lease_spec(cluster, namespace)["holderIdentity"] == "one"  # another waits until it runs out


def test_work_that_hangs_fails_the_health_of_who_does_it(cluster: ApiServer, namespace: str, start: Start) -> None:
    operator = start(seconds=60.0, work_timeout=0.5)
    eventually(operator.is_leader)
    assert operator.get("/healthz")[0] == 200
    create_resource(cluster, namespace, site("ulm"))
    message = f"reconciling Site/{namespace}/ulm hangs: it has taken more than 0.5 seconds\n"
    eventually(lambda: operator.get("/healthz") == (503, message))


def test_who_loses_the_lease_ends(cluster: ApiServer, namespace: str, start: Start) -> None:
    operator = start()
    eventually(operator.is_leader)
    stolen_lease = {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 60}}
    arguments = ("patch", "lease", "anamnesis-operator", "--type=merge", "-p", json.dumps(stolen_lease))
    cluster.kubectl("-n", namespace, *arguments)
    assert operator.process.wait(15) == 1


def test_work_goes_on_by_itself_after_an_outage_of_the_api_server(
    cluster: ApiServer, namespace: str, start: Start
) -> None:
    patient = {"duration": 30.0, "deadline": 25.0, "retry": 0.5}
    operator = start(lease=patient, request_timeout=2.0, watch_check_interval=2.0)
    eventually(operator.is_leader)
    before = create_resource(cluster, namespace, site("before"))
    eventually(lambda: last_reconciled_by(cluster, namespace, before) == "one")
    cluster.kill()
    late = start("two")
    eventually(lambda: late.get("/healthz")[0] == 200)
    assert late.get("/readyz")[0] == 503
    cluster.start_server()
    eventually(late.is_ready)
    after = create_resource(cluster, namespace, site("after"))
    eventually(lambda: last_reconciled_by(cluster, namespace, after) == "one", 60)
    assert operator.process.poll() is None
    assert operator.get("/healthz")[0] == 200


def test_a_silent_watch_is_found_out_and_the_work_goes_on(cluster: ApiServer, namespace: str, start: Start) -> None:
    proxy = FreezableProxy(cluster.url)
    try:
        proxied_kubeconfig = create_operator_account(cluster, namespace, proxy.url)
        patient = {"duration": 30.0, "deadline": 25.0, "retry": 0.5}
        times = {"request_timeout": 1.0, "watch_check_interval": 0.5, "watch_silence_limit": 3.0}
        operator = start(kubeconfig=proxied_kubeconfig, lease=patient, **times)
        eventually(operator.is_leader)
        before = create_resource(cluster, namespace, site("before"))
        eventually(lambda: last_reconciled_by(cluster, namespace, before) == "one")
        eventually(lambda: operator.get("/healthz")[0] == 200)
        proxy.freeze()
        after = create_resource(cluster, namespace, site("after"))
        eventually(lambda: last_reconciled_by(cluster, namespace, after) == "one")
        message = "the watch of Site is silent: it has missed changes for more than 3 seconds\n"
        eventually(lambda: operator.get("/healthz") == (503, message))
    finally:
        proxy.close()


def test_logs_are_json_and_hold_nothing_of_a_spec(cluster: ApiServer, namespace: str, start: Start) -> None:
    operator = start()
    eventually(operator.is_leader)
    create_resource(cluster, namespace, site("ulm", labels={"fail": "yes"}))
    eventually(lambda: "unexpected error" in operator.log.read_text())
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(15) == 0
    lines = [json.loads(line) for line in operator.log.read_text().splitlines()]
    failed = next(line for line in lines if line["message"].startswith("unexpected error while reconciling"))
    assert (failed["key"], failed["error"]) == (f"Site/{namespace}/ulm", "ValueError")
    assert "canary" not in operator.log.read_text()


def test_all_namespaces_can_be_watched_at_once(cluster: ApiServer, namespace: str, start: Start) -> None:
    operator = start(kubeconfig=cluster.kubeconfig(), namespaces=[])
    eventually(operator.is_leader)
    for target_namespace in (namespace, "default"):
        document = create_resource(cluster, target_namespace, site(f"in-{namespace}"))
        eventually(lambda: last_reconciled_by(cluster, target_namespace, document) == "one")  # noqa: B023


def read_lease_spec(cluster: ApiServer, namespace: str) -> dict[str, Any]:
    spec: dict[str, Any] = cluster.request("GET", f"{LEASES}/namespaces/{namespace}/leases/anamnesis-operator")["spec"]
    return spec
