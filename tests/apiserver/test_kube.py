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
from apiserver.operators import BASE, GROUP, create_operator_account, create_resource, model, read_resource, site
from builders.api_server import ApiServer
from builders.resource_documents import REQUEST

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.admission import ApprovalPolicy
from anamnesis.operator.api.api_model import Metadata, Resource
from anamnesis.operator.api.conditions import Condition, merge_conditions
from anamnesis.operator.api.config_map import ConfigMap
from anamnesis.operator.api.status import SiteStatus
from anamnesis.operator.api.update import ModelUpdate, ModelUpdateSpec
from anamnesis.operator.runtime.api_access import load_access
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.kube_cluster import KubeCluster
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi
from anamnesis.operator.runtime.leader_election import LeaderElection
from anamnesis.operator.runtime.options import LeaseTimes
from anamnesis.operator.runtime.watchdog import Watchdog
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.records import InputError, RefusedError, UnreachableError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MISSING_METADATA = Metadata(name="gone", uid="11111111-1111-4111-8111-111111111111")


@pytest.fixture
def operator_kubeconfig(cluster: ApiServer, namespace: str) -> Path:
    """The kubeconfig of the operator's account in the namespace."""
    return create_operator_account(cluster, namespace)


@pytest.fixture
def kube(operator_kubeconfig: Path) -> KubeCluster:
    return KubeCluster(KubernetesApi(load_access({}, str(operator_kubeconfig))), "test", lambda: NOON)


@pytest.fixture
def created_site(cluster: ApiServer, kube: KubeCluster, namespace: str) -> Site:
    create_resource(cluster, namespace, site("guangzhou"))
    return not_none(kube.get(Site, namespace, "guangzhou"))


def not_none(value: Any) -> Any:
    assert value is not None
    return value


def update(namespace: str, name: str = "chest-0123456789", model_name: str = "chest") -> ModelUpdate:
    digest = "sha256:" + "a" * 64
    spec = ModelUpdateSpec(model=model_name, site="guangzhou", claim=digest, sourceFingerprint=digest, request=REQUEST)
    metadata = Metadata(
        name=name, namespace=namespace, labels={"anamnesis.dev/model": model_name}, finalizers=("other.io/x",)
    )
    return ModelUpdate(apiVersion="anamnesis.dev/v1alpha1", kind="ModelUpdate", metadata=metadata, spec=spec)


def readable(reason: str, status: str, before: SiteStatus | None = None) -> SiteStatus:
    condition = Condition(type="Ready", status=status, reason=reason, message="why")
    return SiteStatus(conditions=merge_conditions(before.conditions if before else (), (condition,), 1, NOON))


def events(cluster: ApiServer, namespace: str) -> list[tuple[str, str, str]]:
    items = cluster.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    return sorted((event["regarding"]["name"], event["type"], event["reason"]) for event in items)


def test_resources_are_read_sorted_and_selected(cluster: ApiServer, kube: KubeCluster, namespace: str) -> None:
    assert kube.get(Site, namespace, "none") is None
    for name in ("b", "a"):
        create_resource(cluster, namespace, site(name))
    assert [resource.metadata.name for resource in kube.list(Site, namespace)] == ["a", "b"]
    kube.create(update(namespace, "chest-1"))
    kube.create(update(namespace, "hand-1", model_name="hand"))
    assert [resource.spec.model for resource in kube.list(ModelUpdate, namespace, {"spec.model": "hand"})] == ["hand"]


def test_a_child_belongs_to_its_owner_and_is_made_once(cluster: ApiServer, kube: KubeCluster, namespace: str) -> None:
    create_resource(cluster, namespace, model("chest", "guangzhou"))
    owner = not_none(kube.get(ContinualModel, namespace, "chest"))
    child = kube.create(update(namespace), owner)
    assert (child.spec, child.metadata.labels) == (update(namespace).spec, {"anamnesis.dev/model": "chest"})
    child_document = cluster.request("GET", f"{GROUP}/namespaces/{namespace}/modelupdates/chest-0123456789")
    assert [
        (reference["name"], reference["uid"], reference["controller"])
        for reference in child_document["metadata"]["ownerReferences"]
    ] == [("chest", owner.metadata.uid, True)]
    assert kube.create(update(namespace), owner) == child


def test_a_status_is_written_where_it_differs_and_each_later_transition_is_one_event(
    cluster: ApiServer, kube: KubeCluster, namespace: str, created_site: Site
) -> None:
    kube.put_status(created_site, readable("Listed", "True"))
    first = not_none(kube.get(Site, namespace, "guangzhou"))
    assert first.status == readable("Listed", "True")
    kube.put_status(first, first.status)
    assert not_none(kube.get(Site, namespace, "guangzhou")).metadata.resource_version == first.metadata.resource_version
    kube.put_status(first, readable("Refused", "False", first.status))
    assert not_none(kube.get(Site, namespace, "guangzhou")).status.conditions[0].reason == "Refused"
    kube.put_status(not_none(kube.get(Site, namespace, "guangzhou")), readable("Listed", "True"))
    assert events(cluster, namespace) == [("guangzhou", "Normal", "Listed"), ("guangzhou", "Warning", "Refused")]


def test_what_others_wrote_into_a_status_is_taken_over(
    cluster: ApiServer, kube: KubeCluster, created_site: Site
) -> None:
    namespace = created_site.metadata.namespace or ""
    forged = {"status": {"lastPollTime": "2026-01-01T00:00:00Z"}}
    cluster.kubectl("-n", namespace, "patch", "site", "guangzhou", "--subresource=status", "--type=merge", "-p",
                    yaml.safe_dump(forged))  # fmt: skip
    kube.put_status(created_site, SiteStatus(lastPollTime=NOON))
    assert not_none(kube.get(Site, namespace, "guangzhou")).status.last_poll_time == NOON


def test_nothing_happens_to_what_is_gone_nor_to_another_of_its_name(
    cluster: ApiServer, kube: KubeCluster, namespace: str, created_site: Site
) -> None:
    missing_site, replaced_site = (
        created_site.model_copy(update={"metadata": created_site.metadata.model_copy(update=changes)})
        for changes in ({"name": "gone"}, {"uid": MISSING_METADATA.uid, "resource_version": "1"})
    )
    before = read_resource(cluster, namespace, site("guangzhou"))
    for resource in (missing_site, replaced_site):
        kube.put_status(resource, readable("Listed", "True"))
        kube.remove_finalizers(resource)
        kube._api.delete(f"{GROUP}/namespaces/{namespace}/modelupdates/gone", MISSING_METADATA.uid)
    assert read_resource(cluster, namespace, site("guangzhou")) == before
    assert events(cluster, namespace) == []
    child = kube.create(update(namespace))
    kube.delete(child.model_copy(update={"metadata": child.metadata.model_copy(update={"uid": MISSING_METADATA.uid})}))
    assert kube.get(ModelUpdate, namespace, child.metadata.name) == child


def test_our_old_finalizers_are_removed_and_others_stay(cluster: ApiServer, kube: KubeCluster, namespace: str) -> None:
    finalizers = ["other.io/x", "anamnesis.dev/runs"]
    create_resource(cluster, namespace, model("chest", "guangzhou", finalizers=finalizers))
    chest = not_none(kube.get(ContinualModel, namespace, "chest"))
    cluster.request("DELETE", f"/apis/anamnesis.dev/v1alpha1/namespaces/{namespace}/continualmodels/chest")
    deleted_model = not_none(kube.get(ContinualModel, namespace, "chest"))
    assert (list(deleted_model.metadata.finalizers), bool(deleted_model.metadata.deletion_timestamp)) == (
        finalizers,
        True,
    )
    kube.remove_finalizers(chest)
    assert not_none(kube.get(ContinualModel, namespace, "chest")).metadata.finalizers == ("other.io/x",)


def test_a_secret_is_read_as_text_by_name_only(cluster: ApiServer, kube: KubeCluster, namespace: str) -> None:
    def make(name: str, value: bytes) -> None:
        data = {"AWS_REGION": base64.b64encode(value).decode()}
        cluster.request("POST", f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": name}, "data": data})

    make("store", b"ulm")
    make("binary", b"\xff")
    assert kube.read_secret(namespace, "store") == {"AWS_REGION": "ulm"}
    assert kube.read_secret(namespace, "none") is None
    assert kube.read_secret("kube-system", "none") is None  # no right to read it
    with pytest.raises(InputError, match=r"Secret .*/binary: the value of key \w+ is not UTF-8 text"):
        kube.read_secret(namespace, "binary")


def test_approvals_are_guarded_while_the_policy_is_installed(
    cluster: ApiServer, operator_kubeconfig: Path, kube: KubeCluster
) -> None:
    since = kube.approval_policy().in_force_since
    assert since is not None
    assert since <= datetime.now(UTC)
    stranger = KubeCluster(KubernetesApi(load_access({}, str(cluster.kubeconfig("viewer")))), "test", lambda: NOON)
    assert stranger.approval_policy() == ApprovalPolicy(is_readable=False)


def test_a_refusal_says_why_and_an_invalid_field_is_named_without_its_value(
    cluster: ApiServer, kube: KubeCluster, namespace: str, created_site: Site
) -> None:
    with pytest.raises(RefusedError, match=r"GET .*sites: the API server refuses with 403: sites.* cannot list"):
        kube.list(Site, "kube-system")
    wrong = update(namespace)
    wrong = wrong.model_copy(update={"spec": wrong.spec.model_copy(update={"claim": "canary"})})
    with pytest.raises(InputError, match=r"rejects invalid fields; correct them: spec\.claim$") as caught:
        kube.create(wrong)
    assert "canary" not in str(caught.value)


def test_no_answer_is_told_at_once_and_as_such(cluster: ApiServer, namespace: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        access = load_access({}, str(cluster.kubeconfig(server=address)))
        kube, begin = (
            KubeCluster(KubernetesApi(access, timeout=0.3), "test", lambda: NOON),
            time.monotonic(),
        )
        with pytest.raises(UnreachableError, match=r"GET .*/sites/a: the API server does not answer"):
            kube.get(Site, namespace, "a")
        assert time.monotonic() - begin < 2
    with pytest.raises(UnreachableError):
        kube.get(Site, namespace, "a")


class RightsRecorder(KubernetesApi):
    """Remembers what right each request needs."""

    def __init__(self, access: Any, rights: set[tuple[str, str, str]]) -> None:
        super().__init__(access)
        self._rights = rights

    def request(self, method: str, path: str, *arguments: Any, **options: Any) -> Any:
        self._rights.add(required_right(method, path))
        return super().request(method, path, *arguments, **options)


def required_right(method: str, path: str) -> tuple[str, str, str]:
    """API group, resource and verb of a request."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    resource, *name = rest[2:] if rest[0] == "namespaces" else rest
    verb = {"post": "create", "put": "update", "get": "get" if name else "list"}.get(method, method)
    return group, "/".join([resource, *name[1:]]), verb


def test_the_roles_allow_what_is_done_and_nothing_else(
    cluster: ApiServer, operator_kubeconfig: Path, namespace: str, kube: KubeCluster, created_site: Site
) -> None:
    rights: set[tuple[str, str, str]] = set()
    api = RightsRecorder(load_access({}, str(operator_kubeconfig)), rights)
    use_every_right(cluster, api, KubeCluster(api, "test", lambda: NOON), namespace)
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


def use_every_right(cluster: ApiServer, api: KubernetesApi, kube: KubeCluster, namespace: str) -> None:
    """Does once all that the operator ever does."""
    create_resource(cluster, namespace, model("chest", "guangzhou", finalizers=["anamnesis.dev/runs"]))
    approval = {"model": "chest", "version": "sha256:" + "b" * 64, "decision": "RollBack", "reason": "worse"}
    head = {"apiVersion": "anamnesis.dev/v1alpha1", "kind": "UpdateApproval", "metadata": {"name": "back"}}
    create_resource(cluster, namespace, head | {"spec": {**approval, "approver": "admin"}})
    child = kube.create(update(namespace))
    kinds: tuple[type[Resource], ...] = (ContinualModel, ModelUpdate, Site, UpdateApproval)
    for kind in kinds:
        resource = kube.list(kind, namespace)[0]
        assert kube.get(kind, namespace, resource.metadata.name) == resource
        before = resource.status  # type: ignore[attr-defined]
        kube.put_status(resource, before.model_copy(update={"observed_generation": 1}))
        if kind is ContinualModel:
            kube.remove_finalizers(resource)
    kube.record_event(child, "Normal", "Tried", "once")
    kube.create_config_map(ConfigMap("report", namespace, {}, {"report.json": "{}"}), owner=child)
    kube.delete(child)
    kube.read_secret(namespace, "none")
    assert kube.approval_policy().in_force_since
    watchdog = Watchdog(
        api, Cache(), WorkQueue(), namespaces=(namespace,), silence_limit=1, report_alive=lambda kind: None
    )
    watchdog.check_watches()
    lease = {"namespace": namespace, "name": "anamnesis-operator", "identity": "me"}
    election = LeaderElection(api, **lease, lease_times=LeaseTimes(), clock=lambda: NOON)
    assert election.acquire(lambda seconds: True)
    assert election.keep_renewing(_twice())
    election.release_lease()


def _twice() -> Callable[[float], bool]:
    """Waits once, then no more."""
    answers = iter((False, True))
    return lambda seconds: next(answers)
