"""The cluster as reconciling sees it, on the real API server, as the operator's own account."""

import base64
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from apiserver.operators import BASE, GROUP, account, create, model, read, site
from toys.apiserver import ApiServer

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Metadata, Resource
from anamnesis.operator.api.conditions import Condition, merge
from anamnesis.operator.api.status import SiteStatus
from anamnesis.operator.api.update import ModelUpdate, ModelUpdateSpec
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.kube_cluster import KubeCluster
from anamnesis.operator.runtime.kubernetes_api import Api, configuration
from anamnesis.operator.runtime.leader_election import Election
from anamnesis.operator.runtime.options import LeaseTimes
from anamnesis.operator.runtime.watchdog import Watchdog
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.records import InputError, RefusedError, UnreachableError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
GONE = Metadata(name="gone", uid="11111111-1111-4111-8111-111111111111")


@pytest.fixture
def own(cluster: ApiServer, namespace: str) -> Path:
    """The kubeconfig of the operator's account in the namespace."""
    return account(cluster, namespace)


@pytest.fixture
def kube(own: Path) -> KubeCluster:
    return KubeCluster(Api(configuration({}, str(own))), "test", lambda: NOON)


@pytest.fixture
def made(cluster: ApiServer, kube: KubeCluster, namespace: str) -> Site:
    create(cluster, namespace, site("guangzhou"))
    return known(kube.get(Site, namespace, "guangzhou"))


def known(found: Any) -> Any:
    assert found is not None
    return found


def update(namespace: str, name: str = "chest-0123456789", of: str = "chest") -> ModelUpdate:
    digest = "sha256:" + "a" * 64
    spec = ModelUpdateSpec(model=of, site="guangzhou", claim=digest, source=digest, request='{"a": 1}')
    metadata = Metadata(name=name, namespace=namespace, labels={"anamnesis.dev/model": of}, finalizers=("other.io/x",))
    return ModelUpdate(apiVersion="anamnesis.dev/v1alpha1", kind="ModelUpdate", metadata=metadata, spec=spec)


def readable(reason: str, status: str, before: SiteStatus | None = None) -> SiteStatus:
    condition = Condition(type="Readable", status=status, reason=reason, message="why")
    return SiteStatus(conditions=merge(before.conditions if before else (), (condition,), 1, NOON))


def events(cluster: ApiServer, namespace: str) -> list[tuple[str, str, str]]:
    found = cluster.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    return sorted((event["regarding"]["name"], event["type"], event["reason"]) for event in found)


def test_resources_are_read_sorted_and_selected(cluster: ApiServer, kube: KubeCluster, namespace: str) -> None:
    assert kube.get(Site, namespace, "none") is None
    for name in ("b", "a"):
        create(cluster, namespace, site(name))
    assert [one.metadata.name for one in kube.list(Site, namespace)] == ["a", "b"]
    kube.create(update(namespace, "chest-1"))
    kube.create(update(namespace, "hand-1", of="hand"))
    assert [one.spec.model for one in kube.list(ModelUpdate, namespace, {"spec.model": "hand"})] == ["hand"]


def test_a_child_belongs_to_its_owner_and_is_made_once(cluster: ApiServer, kube: KubeCluster, namespace: str) -> None:
    create(cluster, namespace, model("chest", "guangzhou"))
    owner = known(kube.get(ContinualModel, namespace, "chest"))
    child = kube.create(update(namespace), owner)
    assert (child.spec, child.metadata.labels) == (update(namespace).spec, {"anamnesis.dev/model": "chest"})
    found = cluster.request("GET", f"{GROUP}/namespaces/{namespace}/modelupdates/chest-0123456789")
    assert [(one["name"], one["uid"], one["controller"]) for one in found["metadata"]["ownerReferences"]] == [
        ("chest", owner.metadata.uid, True)
    ]
    assert kube.create(update(namespace), owner) == child


def test_a_status_is_written_where_it_differs_and_each_later_transition_is_one_event(
    cluster: ApiServer, kube: KubeCluster, namespace: str, made: Site
) -> None:
    kube.put_status(made, readable("Listed", "True"))
    first = known(kube.get(Site, namespace, "guangzhou"))
    assert first.status == readable("Listed", "True")
    kube.put_status(first, first.status)
    assert known(kube.get(Site, namespace, "guangzhou")).metadata.resource_version == first.metadata.resource_version
    kube.put_status(first, readable("Refused", "False", first.status))
    assert known(kube.get(Site, namespace, "guangzhou")).status.conditions[0].reason == "Refused"
    kube.put_status(known(kube.get(Site, namespace, "guangzhou")), readable("Listed", "True"))
    assert events(cluster, namespace) == [("guangzhou", "Normal", "Listed"), ("guangzhou", "Warning", "Refused")]


def test_what_others_wrote_into_a_status_is_taken_over(cluster: ApiServer, kube: KubeCluster, made: Site) -> None:
    namespace = made.metadata.namespace or ""
    forged = {"status": {"polled": "2026-01-01T00:00:00Z"}}
    cluster.kubectl("-n", namespace, "patch", "site", "guangzhou", "--subresource=status", "--type=merge", "-p",
                    yaml.safe_dump(forged))  # fmt: skip
    kube.put_status(made, SiteStatus(polled=NOON))
    assert known(kube.get(Site, namespace, "guangzhou")).status.polled == NOON


def test_nothing_happens_to_what_is_gone_nor_to_another_of_its_name(
    cluster: ApiServer, kube: KubeCluster, namespace: str, made: Site
) -> None:
    gone, other = (made.model_copy(update={"metadata": made.metadata.model_copy(update=changes)})
                   for changes in ({"name": "gone"}, {"uid": GONE.uid, "resource_version": "1"}))  # fmt: skip
    before = read(cluster, namespace, site("guangzhou"))
    for resource in (gone, other):
        kube.put_status(resource, readable("Listed", "True"))
        kube.set_finalizers(resource, ("anamnesis.dev/run",))
        kube._api.delete(f"{GROUP}/namespaces/{namespace}/modelupdates/gone", GONE.uid)
    assert read(cluster, namespace, site("guangzhou")) == before
    assert events(cluster, namespace) == []
    child = kube.create(update(namespace))
    kube.delete(child.model_copy(update={"metadata": child.metadata.model_copy(update={"uid": GONE.uid})}))
    assert kube.get(ModelUpdate, namespace, child.metadata.name) == child


def test_our_finalizers_come_and_go_and_others_stay(kube: KubeCluster, namespace: str) -> None:
    child = kube.create(update(namespace))
    kube.set_finalizers(child, ("anamnesis.dev/run",))
    kube.delete(child)
    held = known(kube.get(ModelUpdate, namespace, child.metadata.name))
    assert held.metadata.finalizers == ("other.io/x", "anamnesis.dev/run")
    assert held.metadata.deletion_timestamp
    kube.set_finalizers(child, ())
    assert known(kube.get(ModelUpdate, namespace, child.metadata.name)).metadata.finalizers == ("other.io/x",)


def test_a_secret_is_read_as_text_by_name_only(cluster: ApiServer, kube: KubeCluster, namespace: str) -> None:
    def make(name: str, value: bytes) -> None:
        data = {"AWS_REGION": base64.b64encode(value).decode()}
        cluster.request("POST", f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": name}, "data": data})

    make("store", b"ulm")
    make("binary", b"\xff")
    assert kube.secret(namespace, "store") == {"AWS_REGION": "ulm"}
    assert kube.secret(namespace, "none") is None
    assert kube.secret("kube-system", "none") is None  # no right to read it
    with pytest.raises(InputError, match=r"Secret .*/binary: a value is not UTF-8 text"):
        kube.secret(namespace, "binary")


def test_approvals_are_guarded_while_the_policy_stands(cluster: ApiServer, own: Path, kube: KubeCluster) -> None:
    since = kube.approvals_guarded_since()
    assert since is not None
    assert since <= datetime.now(UTC)
    stranger = KubeCluster(Api(configuration({}, str(cluster.kubeconfig("viewer")))), "test", lambda: NOON)
    assert stranger.approvals_guarded_since() is None


def test_a_refusal_says_why_and_an_invalid_field_is_named_without_its_value(
    cluster: ApiServer, kube: KubeCluster, namespace: str, made: Site
) -> None:
    with pytest.raises(RefusedError, match=r"GET .*sites: the API server refuses with 403: sites.* cannot list"):
        kube.list(Site, "kube-system")
    wrong = update(namespace)
    wrong = wrong.model_copy(update={"spec": wrong.spec.model_copy(update={"claim": "canary"})})
    with pytest.raises(InputError, match=r"finds it invalid: spec\.claim$") as caught:
        kube.create(wrong)
    assert "canary" not in str(caught.value)


def test_no_answer_is_told_at_once_and_as_such(cluster: ApiServer, namespace: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        where = configuration({}, str(cluster.kubeconfig(server=address)))
        kube, begin = KubeCluster(Api(where, timeout=0.3), "test", lambda: NOON), time.monotonic()
        with pytest.raises(UnreachableError, match=r"GET .*/sites/a: the API server does not answer"):
            kube.get(Site, namespace, "a")
        assert time.monotonic() - begin < 2
    with pytest.raises(UnreachableError):
        kube.get(Site, namespace, "a")


class Recorder(Api):
    """Remembers what right each request needs."""

    def __init__(self, where: Any, rights: set[tuple[str, str, str]]) -> None:
        super().__init__(where)
        self._rights = rights

    def request(self, method: str, path: str, **parameters: Any) -> Any:
        self._rights.add(right(method, path))
        return super().request(method, path, **parameters)


def right(method: str, path: str) -> tuple[str, str, str]:
    """API group, resource and verb of a request."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    resource, *name = rest[2:] if rest[0] == "namespaces" else rest
    verb = {"post": "create", "put": "update", "get": "get" if name else "list"}.get(method, method)
    return group, "/".join([resource, *name[1:]]), verb


def test_the_roles_allow_what_is_done_and_nothing_else(
    cluster: ApiServer, own: Path, namespace: str, kube: KubeCluster, made: Site
) -> None:
    rights: set[tuple[str, str, str]] = set()
    api = Recorder(configuration({}, str(own)), rights)
    everything(cluster, api, KubeCluster(api, "test", lambda: NOON), namespace)
    kinds = ("continualmodels", "modelupdates", "sites", "updateapprovals")
    watched = {("anamnesis.dev", kind, verb) for kind in kinds for verb in ("list", "watch")}
    allowed = {
        (group, resource, verb)
        for name in ("role.yaml", "admission-reader.yaml")
        for document in yaml.safe_load_all((BASE / name).read_text())
        for rule in document.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert rights | watched == allowed


def everything(cluster: ApiServer, api: Api, kube: KubeCluster, namespace: str) -> None:
    """Does once all that the operator ever does."""
    create(cluster, namespace, model("chest", "guangzhou"))
    approval = {"model": "chest", "version": "sha256:" + "b" * 64, "decision": "RollBack", "reason": "worse"}
    head = {"apiVersion": "anamnesis.dev/v1alpha1", "kind": "UpdateApproval", "metadata": {"name": "back"}}
    create(cluster, namespace, head | {"spec": {**approval, "approver": "admin"}})
    child = kube.create(update(namespace))
    kinds: tuple[type[Resource], ...] = (ContinualModel, ModelUpdate, Site, UpdateApproval)
    for kind in kinds:
        one = kube.list(kind, namespace)[0]
        assert kube.get(kind, namespace, one.metadata.name) == one
        before = one.status  # type: ignore[attr-defined]
        kube.put_status(one, before.model_copy(update={"observed_generation": 1}))
        if kind in (ContinualModel, ModelUpdate):
            kube.set_finalizers(one, ("anamnesis.dev/run",))
    kube.event(child, "Normal", "Tried", "once")
    kube.delete(child)
    kube.secret(namespace, "none")
    assert kube.approvals_guarded_since()
    Watchdog(api, Cache(), WorkQueue(), (namespace,), 1, lambda kind: None).look()
    election = Election(api, namespace, "anamnesis-operator", "me", LeaseTimes(), lambda: NOON)
    assert election.acquire(lambda seconds: True)
    assert election.hold(_twice())
    election.release()


def _twice() -> Callable[[float], bool]:
    """Waits once, then no more."""
    answers = iter((False, True))
    return lambda seconds: next(answers)
