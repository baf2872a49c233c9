"""The settings of a hospital, installed without cluster-wide rights: proxy, private authority, own images."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import helm_python
import pytest
from builders.api_server import ApiServer
from builders.bar_images import bar_images
from builders.certificates import Authority
from builders.resource_documents import site_spec
from builders.s3_server import S3Server
from builders.waiting import eventually
from chart.conftest import Json, make_namespace, remove_cluster_objects
from chart.pod import Pod
from chart.test_install import helm
from chart.test_rights import GROUP, resource_document
from fakes.connect_proxy import ConnectProxy

from anamnesis.operator.api import condition_types, reasons
from charts.golden import CHART

HOST = "bucket.hospital.example"
"""A host name that only the proxy resolves."""
NAMESPACED = {"crds": {"enabled": False}, "people": {"enabled": False}, "rbac": {"admissionReader": {"create": False}}}
AUTHORITIES = "hospital-authorities"
ADMIN = ("system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view", "anamnesis-editor")
"""The rights of the role ``admin``, which a controller that does not run here would aggregate."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def bucket(s3_server_binary: str, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A bucket with TLS, with images of two sites."""
    folder = tmp_path_factory.mktemp("bucket")
    certificate = authority.sign(folder / "certificate", f"DNS:{HOST}", "DNS:localhost", "IP:127.0.0.1")
    with S3Server(s3_server_binary, folder, certificate, authority.certificate) as server:
        for site in ("far", "near"):
            data = bar_images(site, 4, 0, ("left", "right"))
            server.client().put_object("models", f"{site}/images.npz", BytesIO(data), len(data))
        yield server


@pytest.fixture(scope="module")
def proxy() -> Iterator[ConnectProxy]:
    with ConnectProxy({HOST: "127.0.0.1"}) as server:
        yield server


@pytest.fixture(scope="module")
def release_namespace(empty_cluster: ApiServer) -> Iterator[str]:
    """A namespace of the user weber; an administrator has installed the cluster-wide objects."""
    release_namespace, home = make_namespace(empty_cluster), make_namespace(empty_cluster)
    values: Json = {"operator": {"enabled": False}, "rbac": {"admissionReader": {"namespaces": [release_namespace]}}}
    remove_cluster_objects(empty_cluster)
    with helm(empty_cluster, home) as client:
        client.install(CHART, "anamnesis", values)
        empty_cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        for role in ADMIN:
            bind_role(empty_cluster, release_namespace, role)
        yield release_namespace
        client.uninstall("anamnesis")
    remove_cluster_objects(empty_cluster)


def bind_role(cluster: ApiServer, release_namespace: str, role: str) -> None:
    name = role.replace(":", "-")
    cluster.kubectl("create", "-n", release_namespace, "rolebinding", name, f"--clusterrole={role}", "--user=weber")


def as_weber(cluster: ApiServer, release_namespace: str) -> helm_python.Config:
    return helm_python.Config(kubeconfig_path=cluster.kubeconfig("weber"), namespace=release_namespace)


def test_who_may_not_grant_it_cannot_install_and_reads_why(empty_cluster: ApiServer, release_namespace: str) -> None:
    with as_weber(empty_cluster, release_namespace) as client:
        with pytest.raises(helm_python.HelmError, match="attempting to grant RBAC permissions not currently held"):
            client.install(CHART, "anamnesis", NAMESPACED)
        client.uninstall("anamnesis")
        for values in ({}, {"crds": {"enabled": False}, "people": {"enabled": False}}):
            with pytest.raises(helm_python.HelmError, match="is forbidden"):
                client.install(CHART, "too-much", values)


@pytest.fixture(scope="module")
def release(
    empty_cluster: ApiServer, release_namespace: str, authority: Authority, bucket: S3Server, proxy: ConnectProxy
) -> None:
    """The operator as weber installs it, and two Sites: one behind the proxy, one not."""
    bind_role(empty_cluster, release_namespace, "anamnesis-installer")
    kubectl(
        empty_cluster,
        release_namespace,
        "create",
        "configmap",
        AUTHORITIES,
        f"--from-file=ca.crt={authority.certificate}",
    )
    for site, host in (("far", HOST), ("near", "localhost")):
        endpoint = f"https://{host}:{bucket.address.partition(':')[2]}"
        keys = {**bucket.environment, "AWS_ENDPOINT_URL": endpoint}
        literals = [f"--from-literal={name}={value}" for name, value in keys.items()]
        kubectl(empty_cluster, release_namespace, "create", "secret", "generic", site, *literals)
        source = {"type": "S3", "s3": {"url": f"s3://models/{site}"}, "credentialsSecret": {"name": site}}
        spec = site_spec({**source, "pollInterval": "1s"}, f"s3://models/images/{site}")
        apply(empty_cluster, release_namespace, resource_document("Site", site, spec))
    values: Json = {
        **NAMESPACED,
        "registry": "registry.hospital.example:5000/mirror",
        "pullSecrets": ["mirror"],
        "trust": {"configMap": AUTHORITIES},
        "proxy": {"https": proxy.url, "direct": "localhost,.svc"},
    }
    with as_weber(empty_cluster, release_namespace) as client:
        client.install(CHART, "anamnesis", values)


@pytest.fixture
def pod(empty_cluster: ApiServer, release_namespace: str, release: None, tmp_path: Path) -> Pod:
    return Pod(empty_cluster, release_namespace, tmp_path)


def kubectl(cluster: ApiServer, release_namespace: str, *arguments: str, stdin: str = "") -> str:
    return cluster.kubectl("-n", release_namespace, *arguments, stdin=stdin, user="weber")


def apply(cluster: ApiServer, release_namespace: str, document: Json) -> None:
    kubectl(cluster, release_namespace, "apply", "-f", "-", stdin=json.dumps(document))


def readable(cluster: ApiServer, release_namespace: str, site: str) -> tuple[str, str]:
    """Reason and message of the condition; empty where the condition does not exist yet."""
    status = cluster.request("GET", f"{GROUP}/namespaces/{release_namespace}/sites/{site}").get("status", {})
    conditions = [condition for condition in status.get("conditions", ()) if condition["type"] == condition_types.READY]
    return (conditions[0]["reason"], conditions[0]["message"]) if conditions else ("", "")


def test_a_bucket_is_read_by_the_proxy_and_the_authority_of_the_hospital(
    empty_cluster: ApiServer, release_namespace: str, pod: Pod, proxy: ConnectProxy
) -> None:
    assert pod.spec["imagePullSecrets"] == [{"name": "mirror"}]
    assert pod.container["image"] == "registry.hospital.example:5000/mirror/anamnesis-operator:0.1.0"
    process = pod.start()
    try:
        for site in ("far", "near"):
            eventually(lambda site=site: readable(empty_cluster, release_namespace, site)[0] == reasons.READABLE, 60)  # type: ignore[misc]
        assert set(proxy.requested_hosts) == {HOST}, (
            "what is in proxy.direct, and the API server, are spoken to directly"
        )
    finally:
        process.terminate()
    log = process.log.read_text()
    assert "refuses with 403" not in log, log


@pytest.mark.parametrize(
    ("forgotten", "site", "template"),
    [
        ("AWS_CA_BUNDLE SSL_CERT_FILE", "near", "the certificate of localhost:{port} is not trusted: certificate"),
        ("HTTPS_PROXY", "far", "Failed to resolve 'bucket.hospital.example'"),
    ],
)
def test_what_was_forgotten_is_told_at_the_site(
    empty_cluster: ApiServer,
    release_namespace: str,
    pod: Pod,
    bucket: S3Server,
    forgotten: str,
    site: str,
    template: str,
) -> None:
    pod.container["env"] = [variable for variable in pod.container["env"] if variable["name"] not in forgotten.split()]
    process = pod.start()
    expected_message = template.format(port=bucket.address.partition(":")[2])
    try:
        eventually(lambda: expected_message in readable(empty_cluster, release_namespace, site)[1], 60)
    finally:
        process.terminate()
    reason, message = readable(empty_cluster, release_namespace, site)
    assert reason == reasons.UNREACHABLE
    assert ("set AWS_CA_BUNDLE" in message) == ("AWS_CA_BUNDLE" in forgotten)
