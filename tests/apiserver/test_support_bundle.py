import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders.api_server import ApiServer
from builders.resource_documents import REQUEST_DOCUMENT
from builders.waiting_model import (
    CANDIDATE,
    MODEL,
    SITE,
    UPDATE,
    UPDATE_SPEC,
    create_resource,
    create_waiting_model,
    grant_role,
)

from anamnesis.cli.cluster.support_bundle.parts import differences

Run = Callable[..., Any]
SECRETS = ("hunter2", "s3cr3t-of-minio", "eyJtoken", "MUELLER^ANNA", "X-Amz-Signature")
EVENT = {
    "metadata": {"generateName": "e-"},
    "reason": "AwaitingApproval",
    "message": "passed the gate at https://pacs:hunter2@pacs.example/qido?token=eyJtoken",
    "type": "Normal",
}


def archive_files(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        members = [member for member in opened.getmembers() if member.isfile()]
        assert {member.name.split("/")[0] for member in members} == {"bundle"}
        return {member.name.partition("/")[2]: opened.extractfile(member).read() for member in members}  # type: ignore[union-attr]


def plant_secrets(server: ApiServer, namespace: str) -> None:
    """Puts what must not get out wherever it could come from."""
    core = f"/api/v1/namespaces/{namespace}"
    secret = {"metadata": {"name": "minio"}, "stringData": {"AWS_SECRET_ACCESS_KEY": "s3cr3t-of-minio"}}
    server.request("POST", f"{core}/secrets", secret)
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"note": "MUELLER^ANNA"}', "note": "MUELLER^ANNA"}
    source = {"type": "DICOMweb", "dicomweb": {"url": "https://pacs.example/dicom-web"}}
    labels = {"owner": "hunter2", "anamnesis.dev/model": "chest"}
    table = {"from": "Manifest", "manifest": "s3://bucket/labels.csv?X-Amz-Signature=1"}
    spec = {**SITE, "source": source, "labels": table}
    create_resource(server, namespace, "Site", "pacs", spec=spec, annotations=applied, labels=labels)
    request_site = {**REQUEST_DOCUMENT["site"], "source": "s3://key:hunter2@bucket/x?X-Amz-Signature=1"}
    request = {**REQUEST_DOCUMENT, "site": request_site}
    create_resource(server, namespace, "ModelUpdate", "chest-9", spec={**UPDATE_SPEC, "request": request})
    approval_spec = {"update": UPDATE, "version": CANDIDATE, "decision": "Reject", "approver": "admin"}
    create_resource(server, namespace, "UpdateApproval", "no", spec={**approval_spec, "reason": "misread MUELLER^ANNA"})
    model_reference = {
        "apiVersion": "anamnesis.dev/v1alpha1",
        "kind": "ContinualModel",
        "name": "chest",
        "namespace": namespace,
    }
    server.request("POST", f"{core}/events", {**EVENT, "involvedObject": model_reference})
    pod_reference = {"apiVersion": "v1", "kind": "Pod", "name": "mueller", "namespace": namespace}
    server.request("POST", f"{core}/events", {**EVENT, "message": "MUELLER^ANNA", "involvedObject": pod_reference})


@pytest.fixture
def bundle(cluster: ApiServer, namespace: str, run: Run, tmp_path: Path) -> dict[str, bytes]:
    """The files of a bundle of a namespace full of secrets."""
    create_waiting_model(cluster, namespace)
    plant_secrets(cluster, namespace)
    result = run("support-bundle", "-n", namespace, "-o", tmp_path / "bundle.tar.gz")
    assert result.code == 0, result.err
    return archive_files(tmp_path / "bundle.tar.gz")


def test_nothing_secret_and_nobody_s_name_gets_out(bundle: dict[str, bytes]) -> None:
    everything = b"\n".join(bundle.values())
    assert [secret for secret in SECRETS if secret.encode() in everything] == []
    assert b"managedFields" not in everything


def test_what_helps_is_in_it(bundle: dict[str, bytes], namespace: str) -> None:
    sites = json.loads(bundle["resources/sites.json"])
    pacs = next(site for site in sites if site["metadata"]["name"] == "pacs")
    assert pacs["spec"]["source"]["dicomweb"]["url"] == "https://pacs.example/dicom-web"
    assert pacs["metadata"]["labels"] == {"anamnesis.dev/model": "chest"}
    models = json.loads(bundle["resources/continualmodels.json"])
    assert (models[0]["spec"]["gate"]["floor"], models[0]["status"]["update"]) == (MODEL["gate"]["floor"], UPDATE)
    update = next(u for u in json.loads(bundle["resources/modelupdates.json"]) if u["metadata"]["name"] == "chest-9")
    assert update["spec"]["request"]["site"]["source"] == "s3://***@bucket/x?***"
    assert json.loads(bundle["resources/updateapprovals.json"])[0]["spec"]["reason"] == "(removed: 20 characters)"
    event = {"about": "ContinualModel/chest", "type": "Normal", "reason": "AwaitingApproval"}
    assert [{key: e[key] for key in event} for e in json.loads(bundle["events.json"])] == [event]
    assert json.loads(bundle["admission.json"])["inForce"] is True
    manifest = json.loads(bundle["MANIFEST.json"])
    assert manifest["namespace"] == namespace
    assert manifest["files"] == {name: len(data) for name, data in bundle.items() if name != "MANIFEST.json"}


def test_definitions_are_compared_with_what_this_release_ships(
    bundle: dict[str, bytes],
) -> None:
    versions = json.loads(bundle["versions.json"])
    assert versions["apiServer"].startswith("v1.")
    assert set(versions["definitions"]) == {"continualmodels", "sites", "modelupdates", "updateapprovals"}
    assert [item for item in versions["definitions"].values() if not item["asThisReleaseShips"]] == []


def test_what_differs_is_named_and_what_the_server_added_is_not() -> None:
    shipped = {"names": {"plural": "sites"}, "versions": [{"served": True, "properties": {}}]}
    installed = {"names": {"plural": "sites", "singular": "site"}, "versions": [{"served": True}]}
    assert list(differences(shipped, installed, "spec")) == []
    installed["versions"] = [{"served": False}]
    assert list(differences(shipped, installed, "spec")) == ["spec.versions[0].served"]
    assert list(differences(shipped, {**installed, "versions": []}, "spec")) == ["spec.versions"]


def test_a_policy_that_is_not_installed_is_told(
    namespace: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anamnesis.operator.api import admission

    monkeypatch.setattr(admission, "POLICY_NAME", "not-installed")
    run("support-bundle", "-n", namespace, "-o", tmp_path / "bundle.tar.gz")
    admission_file = json.loads(archive_files(tmp_path / "bundle.tar.gz")["admission.json"])
    assert admission_file == {"inForce": False, "since": None, "policy": None, "binding": None}


def test_what_may_not_be_read_is_named_and_the_rest_is_written(
    cluster: ApiServer, namespace: str, run: Run, tmp_path: Path
) -> None:
    create_waiting_model(cluster, namespace)
    grant_role(cluster, namespace, "viewer", "anamnesis-viewer")
    result = run("support-bundle", "-n", namespace, "-o", tmp_path / "bundle.tar.gz", "--json", user="viewer")
    missing = json.loads(result.out)["missing"]
    assert "viewer may not list events" in missing["events.json"]
    assert {"versions.json", "operator/pods.json", "operator/lease.json"} <= set(missing)
    bundle_files = archive_files(tmp_path / "bundle.tar.gz")
    assert json.loads(bundle_files["MANIFEST.json"])["missing"] == missing
    assert len(json.loads(bundle_files["resources/sites.json"])) == 2


def test_an_existing_file_is_not_overwritten(namespace: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "bundle.tar.gz").write_text("mine")
    result = run("support-bundle", "-n", namespace, "-o", tmp_path / "bundle.tar.gz")
    assert (result.code, "give another file with -o" in result.err) == (2, True)
    assert (tmp_path / "bundle.tar.gz").read_text() == "mine"


def test_the_operator_s_pods_are_told_without_their_environment(
    cluster: ApiServer, namespace: str, run: Run, tmp_path: Path
) -> None:
    core = f"/api/v1/namespaces/{namespace}"
    cluster.request("POST", f"{core}/serviceaccounts", {"metadata": {"name": "default"}})
    container = {"name": "operator", "image": "operator:1", "env": [{"name": "KEY", "value": "hunter2"}]}
    container |= {"args": ["operator", "--lease-name=cardiology"]}
    pod = {"name": "operator-0", "labels": {"app.kubernetes.io/name": "anamnesis-operator"}}
    created_pod = cluster.request("POST", f"{core}/pods", {"metadata": pod, "spec": {"containers": [container]}})
    container_status = {"name": "operator", "image": "operator:1", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [container_status]}
    cluster.request("PUT", f"{core}/pods/operator-0/status", {**created_pod, "status": status})
    result = run("support-bundle", "-n", namespace, "-o", tmp_path / "bundle.tar.gz")
    bundle_files = archive_files(tmp_path / "bundle.tar.gz")
    assert json.loads(bundle_files["operator/pods.json"])[0]["containers"][0]["image"] == "operator:1"
    assert b"hunter2" not in b"".join(bundle_files.values())
    assert bundle_files["operator/logs.txt"].startswith(b"=== operator-0\n")
    assert result.out.splitlines()[1].startswith("  missing: operator/lease.json: no leases cardiology")
