"""The controller's process against the real API server, with its own account and a toy reconcile."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apiserver.operators import Operator, account, create, model, read, seen_by, site
from toys.apiserver import ApiServer
from toys.waiting import eventually

Start = Callable[..., Operator]


@pytest.fixture
def start(cluster: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Starts operators with the rights of ``manifests/base``; each is ended with the test."""
    started: list[Operator] = []
    own = account(cluster, namespace)

    def begin(identity: str = "one", kubeconfig: Path = own, **settings: Any) -> Operator:
        log = tmp_path / f"{identity}.log"
        started.append(Operator(kubeconfig, namespace, log, identity, settings).start())
        return started[-1]

    yield begin
    for operator in started:
        operator.end()
        print(operator.log.read_text())  # pytest shows it where the test failed


def test_a_change_is_in_the_status_within_a_second(cluster: ApiServer, namespace: str, start: Start) -> None:
    operator = start()
    eventually(operator.leads)
    took = []
    for number in range(3):
        begin = time.monotonic()
        document = create(cluster, namespace, model(f"chest-{number}", "guangzhou"))
        eventually(lambda: seen_by(cluster, namespace, document) == "one")  # noqa: B023
        took.append(time.monotonic() - begin)
    assert min(took) < 1


def test_nothing_of_the_watching_library_is_left_on_objects(cluster: ApiServer, namespace: str, start: Start) -> None:
    eventually(start().leads)
    document = create(cluster, namespace, site("guangzhou"))
    eventually(lambda: seen_by(cluster, namespace, document) == "one")
    found = read(cluster, namespace, document)
    assert not {"annotations", "finalizers"} & set(found["metadata"])
    managers = {entry["manager"] for entry in found["metadata"]["managedFields"]}
    assert managers == {"anamnesis-operator", document["metadata"]["managedFields"][0]["manager"]}
