"""The shipped definitions on the real API server: names, defaults, what may change, what is found."""

import json

import pytest
from builders.api_server import ApiServer
from builders.valid_resources import (
    API,
    PLURALS,
    SAMPLES,
    VALID_RESOURCES,
    Document,
    parse_documents,
    sample,
    with_field,
)

from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.api.resource_definitions import RESOURCE_DEFINITIONS


def test_the_server_serves_every_kind(cluster: ApiServer) -> None:
    served = {item["kind"] for item in cluster.request("GET", API)["resources"]}
    assert served == set(KINDS)
    names = cluster.kubectl("api-resources", "--categories=anamnesis", "--no-headers")
    assert [line.split()[:2] for line in names.splitlines()] == [
        ["continualmodels", "cmodel"],
        ["modelupdates", "mupdate"],
        ["sites", "anamnesis.dev/v1alpha1"],
        ["updateapprovals", "approval"],
    ]


def test_the_server_keeps_the_definitions_as_they_are(cluster: ApiServer) -> None:
    """Else kubectl and Helm, which apply the same definition, conflict."""
    for item in RESOURCE_DEFINITIONS:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{item.plural}.anamnesis.dev"
        assert cluster.request("GET", path)["spec"]["versions"] == item.to_manifest()["spec"]["versions"]


@pytest.mark.parametrize("kind", VALID_RESOURCES)
def test_the_server_fills_in_the_types_defaults(cluster: ApiServer, kind: str) -> None:
    minimal_documents = parse_documents((SAMPLES / "laptop.yaml").read_text(encoding="utf-8"))
    document = next((candidate for candidate in minimal_documents if candidate["kind"] == kind), VALID_RESOURCES[kind])
    document = with_field(document, "spec.approver", "admin") if kind == "UpdateApproval" else document
    path = f"{API}/namespaces/default/{PLURALS[kind]}?dryRun=All"
    filled = cluster.request("POST", path, document)["spec"]
    spec = KINDS[kind].model_validate(document).spec  # type: ignore[attr-defined]
    assert filled == spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def create(server: ApiServer, namespace: str, document: Document) -> str:
    created = server.request("POST", f"{API}/namespaces/{namespace}/{PLURALS[document['kind']]}", document)
    return f"{API}/namespaces/{namespace}/{PLURALS[document['kind']]}/{created['metadata']['name']}"


def patch(server: ApiServer, path: str, operations: list[Document]) -> str:
    """Returns the refusal of a JSON patch, or nothing."""
    kind, name = path.split("/")[-2:]
    namespace = path.split("/")[-3]
    arguments = ("patch", kind, name, "--type=json", "-p", json.dumps(operations))
    output = server.kubectl("-n", namespace, *arguments, check=False)
    return "" if f"{name} patched" in output else output


TASK = {"name": "lungs", "type": "Segmentation", "primaryMetric": "Dice"}
CHANGES = [
    ("ModelUpdate", "site", "bethesda", "an update cannot be changed; change the ContinualModel"),
    ("ModelUpdate", "request/author", "somebody", "an update cannot be changed"),
    ("Site", "task", TASK, "task cannot be changed, because versions and test sets depend on it; create a Site"),
    ("Site", "modalities", ["CT"], "modalities cannot be changed"),
]


@pytest.mark.parametrize(("kind", "field", "value", "message"), CHANGES)
def test_immutable_fields_stay(
    cluster: ApiServer, namespace: str, kind: str, field: str, value: object, message: str
) -> None:
    path = create(cluster, namespace, VALID_RESOURCES[kind])
    assert message in patch(cluster, path, [{"op": "replace", "path": f"/spec/{field}", "value": value}])
    for removed_path in (f"/spec/{field}", "/spec"):
        assert "Required value" in patch(cluster, path, [{"op": "remove", "path": removed_path}])
    assert patch(cluster, path, [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]) == ""


def test_mutable_fields_may_change(cluster: ApiServer, namespace: str) -> None:
    site = create(cluster, namespace, VALID_RESOURCES["Site"])
    assert patch(cluster, site, [{"op": "replace", "path": "/spec/source/pollInterval", "value": "1h"}]) == ""
    model = create(cluster, namespace, VALID_RESOURCES["ContinualModel"])
    assert patch(cluster, model, [{"op": "add", "path": "/spec/sites/-", "value": {"name": "verona"}}]) == ""
    assert cluster.request("GET", model)["metadata"]["generation"] == 2


def test_updates_and_approvals_are_found_by_their_model(cluster: ApiServer, namespace: str) -> None:
    create(cluster, namespace, VALID_RESOURCES["ModelUpdate"])
    head_update = with_field(VALID_RESOURCES["ModelUpdate"], "metadata.name", "head-1")
    create(cluster, namespace, with_field(head_update, "spec.model", "head"))
    names = ("-n", namespace, "get", "mupdate", "-o", "name", "--field-selector")
    assert cluster.kubectl(*names, "spec.model=head").strip() == "modelupdate.anamnesis.dev/head-1"
    assert len(cluster.kubectl(*names, "spec.site=guangzhou").split()) == 2
    rollback = sample("rollback", "UpdateApproval")
    create(cluster, namespace, with_field(rollback, "spec.approver", "admin"))
    approval_names = cluster.kubectl(
        "-n", namespace, "get", "approval", "--field-selector=spec.model=chest", "-o", "name"
    )
    assert approval_names.startswith("updateapproval.anamnesis.dev/chest-")


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("continualmodel", "One model that keeps learning"),
        ("cmodel.spec.trigger", "update.anamnesis.dev/<site> with a higher number starts an update at once."),
        ("cmodel.spec.trigger.quietPeriod", "so that no update learns half of an upload. Default: 5m."),
        ("cmodel.spec.method.ewcPrototype.fisher.kind", "Exact, Sampled or Empirical. Default: Sampled."),
        ("site.spec.source.type", "ENUM: Folder S3 DICOMweb Orthanc"),
        ("approval.spec.approver", "Your own user name"),
        ("mupdate.status.run.attempt", "1 for the first."),
    ],
)
def test_kubectl_explains(cluster: ApiServer, field: str, words: str) -> None:
    assert words in " ".join(cluster.kubectl("explain", field).split())
