"""What types and API server refuse: the same, each in words that help."""

import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.api_server import ApiServer
from builders.valid_resources import (
    REMOVED,
    SAMPLES,
    VALID_RESOURCES,
    Document,
    parse_documents,
    server_refusal,
    types_refusal,
    with_field,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.api.record_fields import record_model
from anamnesis.operator.api.resource_definitions import resource_schema
from anamnesis.updates.requests import UpdateRequest

ROOT = Path(__file__).resolve().parents[2]


def yaml_of_pages() -> Iterator[tuple[str, str]]:
    for file in sorted(SAMPLES.glob("*.yaml")):
        yield file.name, file.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for part in page.read_text(encoding="utf-8").split("```yaml\n")[1:]:
            block = part.partition("```")[0]
            if "apiVersion: anamnesis.dev" in block:
                yield page.name, block


@pytest.mark.parametrize("text", [text for _, text in yaml_of_pages()], ids=[name for name, _ in yaml_of_pages()])
def test_samples_and_pages_are_accepted_by_both(cluster: ApiServer, text: str) -> None:
    for document in parse_documents(text):
        assert (types_refusal(document), server_refusal(cluster, document)) == ("", "")


def _pacs(url: str = "https://pacs", **fields: object) -> Document:
    return {"type": "DICOMweb", "dicomweb": {"url": url, **fields}}


SHARE, OPEN_SHARE = "a decimal from 0 to 1", "a decimal above 0 and below 1"
PROGNOSIS = {"name": "lungs", "type": "Prognosis", "primaryMetric": "CIndex"}
FOLDERS = {
    "source": {"type": "Folder", "folder": {"path": "/data"}, "credentialsSecret": {"name": "unused"}},
    "modalities": ["DX"],
    "store": "file:///images",
    "task": {"name": "a", "type": "Classification", "classes": ["b", "c"], "primaryMetric": "AUROC"},
}
CLASSES = ["normal", "pneumonia"]
TASK = {"name": "lungs", "type": "Segmentation", "primaryMetric": "Dice"}
GROUP_OF_20 = {"norm": "Group", "width": 20}
CONSOLIDATION = "spec.method.ewcPrototype.consolidation"
UNEVEN_HEADS = {"type": "monai/ViT", "options": {"heads": 5}}
UNEVEN_SWIN = {"type": "monai/SwinTransformer", "options": {"embedding": 50}}
WIDE_GROUP = {"type": "monai/resnet10", "options": {"norm": "Group", "width": 20}}
UNEVEN = {"mean": ["0.5", "0.5"], "std": ["0.5"]}
SIGNING = "spec.registry.signing"
PODS = "spec.backend.kubeflow"
RESOURCES = f"{PODS}.resources"
EXPRESSION = f"{PODS}.nodeAffinity.0.matchExpressions.0"
SAME_SOURCES = [{"secretName": "a", "path": "/a"}, {"configMapName": "a", "path": "/b"}]
FROM_SECRET = {"type": "Secret", "secret": {"name": "a", "key": "b"}}
DISK = {"key": "disk", "operator": "In", "values": ["ssd"]}
SAME_KEY = [{"name": role.lower(), "role": role, "key": "k" * 43 + "="} for role in ("Operator", "Run")]
COLUMN_TWICE = {"from": "Manifest", "manifest": "a.csv", "covariates": ["age"], "ignoredColumns": ["age"]}
# kind, field, its bad value, what the server must say, what the types must say (where in other words)
BAD = [
    ("ContinualModel", "spec", REMOVED, "spec: Required value", "spec: missing"),
    ("ContinualModel", "metadata.name", "chest.x-ray", "lower-case letters, digits and dashes", ""),
    ("ContinualModel", "metadata.name", "c" * 51, "Too long: may not be more than 50", "at most 50 characters"),
    ("ContinualModel", "spec.gate", REMOVED, "spec.gate: Required value", "spec.gate: missing"),
    ("ContinualModel", "spec.gate.floor", "1.5", SHARE, "at most 1"),
    ("ContinualModel", "spec.gate.floor", "-0.1", SHARE, "at least 0"),
    ("ContinualModel", "spec.gate.floor", "high", "expected a decimal in quotes", "expected a decimal, like"),
    ("ContinualModel", "spec.gate.floor", "1_0", "expected a decimal in quotes", "expected a decimal, like"),
    ("ContinualModel", "spec.gate.floor", 0.8, "must be of type string", "expected a decimal in quotes"),
    ("ContinualModel", "spec.gate.tasks", [{"name": "a", "floor": "0"}] * 2, "Duplicate", "listed twice"),
    ("ContinualModel", "spec.gate.tasks", [{"name": "a"}], "the entry sets no limit; add one of floor, ceiling", ""),
    ("ContinualModel", "spec.changePlan.allowedMethods", ["EWK"], 'Unsupported value: "EWK"', "expected one of DERPP"),
    ("ContinualModel", f"{SIGNING}.publicKeys", SAME_KEY, "two entries have the same key", ""),
    ("ContinualModel", f"{SIGNING}.publicKeys.1.lastEntry", 5, "does not sign; remove lastEntry", ""),
    ("UpdateApproval", "spec.reason", " \t ", "not blank", ""),
    ("Site", "spec.labels", COLUMN_TWICE, "a column is in covariates and in ignoredColumns", ""),
    ("ContinualModel", f"{CONSOLIDATION}.penalty", "-5", "expected 0 or more", ""),
    ("ContinualModel", f"{CONSOLIDATION}.penalty", "1e10", "at most 1e+09", ""),
    ("ContinualModel", f"{CONSOLIDATION}.decay", "1.1", "expected a number from 0 to 1", ""),
    ("ContinualModel", "spec.method.ewcPrototype.fisher.images", -1, "greater than or equal to 0", "0 or more"),
    ("ContinualModel", "spec.method.ewcPrototype.fisher.temperature", "0", "expected a number above 0", ""),
    ("ContinualModel", "spec.method.ewcPrototype.classifier", {"mode": "Routed"}, "need class prototypes in each", ""),
    ("ContinualModel", "spec.method.ewcPrototype.retention", {"weight": "1"}, "the retention has no effect", ""),
    ("ContinualModel", "spec.backend.kubeflow.tolerations", [{"operator": "Equal"}], "needs operator: Exists", ""),
    ("ContinualModel", "spec.backend.kubeflow.tolerations", [{"key": "a b"}], "the key of a taint, like", ""),
    ("ContinualModel", "spec.backend.kubeflow.nodeSelector", [{"name": "a/b/c", "value": ""}], "the key of a l", ""),
    ("ContinualModel", RESOURCES, [{"step": "Learn"}], "Unsupported value", "expected one of Ingest, Train, Evaluate"),
    ("ContinualModel", RESOURCES, [{"step": "Train"}] * 2, "Duplicate value", "'Train' is listed twice"),
    ("ContinualModel", f"{RESOURCES}.0.requests.cpu", 2, "must be of type string", "expected text, found 2; put"),
    ("ContinualModel", f"{RESOURCES}.0.requests.cpu", "0", "a number of CPUs in quotes, like", ""),
    ("ContinualModel", f"{RESOURCES}.0.requests.memory", "512", "a number and Mi, Gi, Ti, M, G or T, like 2Gi", ""),
    ("ContinualModel", f"{RESOURCES}.0.limits.memory", "1Ki", "a number and Mi, Gi, Ti, M, G or T, like 2Gi", ""),
    ("ContinualModel", f"{RESOURCES}.0.limits.memory", "17G", "is less than requests.memory; raise limits.memory", ""),
    ("ContinualModel", f"{RESOURCES}.0.limits.cpu", "7999m", "limits.cpu is less than requests.cpu; raise limits.", ""),
    ("ContinualModel", f"{RESOURCES}.0.limits.gpu", "1", "unknown field", "valid fields are cpu, memory"),
    ("ContinualModel", f"{PODS}.env", [{"name": "AWS_REGION", **FROM_SECRET}], "are set by the operator and", ""),
    ("ContinualModel", f"{PODS}.env", [{"name": "A", **FROM_SECRET}] * 2, "Duplicate value", "'A' is listed twice"),
    ("ContinualModel", f"{PODS}.env.0.secret", REMOVED, "type Secret needs the field secret", ""),
    ("ContinualModel", f"{PODS}.env.0.configMap", {"name": "a", "key": "b"}, "for type ConfigMap only", "excludes the"),
    ("ContinualModel", f"{PODS}.volumes.0.secretName", "a", "a volume has one source; set one of claimName", ""),
    ("ContinualModel", f"{PODS}.volumes.0.claimName", REMOVED, "a volume has one source; set one of claimName", ""),
    ("ContinualModel", f"{PODS}.volumes.0.claimName", "shared-memory", "exist in every pod; rename the claim", ""),
    ("ContinualModel", f"{PODS}.volumes.0.path", "/dev/shm", "the path is used by the system, by Kub", ""),
    ("ContinualModel", f"{PODS}.volumes.0.path", "/etc/anamnesis/trust", "the path is used by the system, by Kub", ""),
    ("ContinualModel", f"{PODS}.volumes", SAME_SOURCES, "have the same name, so their volumes would have it too", ""),
    ("ContinualModel", f"{PODS}.nodeAffinity", [{"weight": 5}], "matchExpressions: Required value", "ssions: miss"),
    ("ContinualModel", f"{PODS}.nodeAffinity.0.weight", 101, "less than or equal to 100", "at most 100"),
    ("ContinualModel", EXPRESSION, DISK | {"values": []}, "operators In and NotIn need values; add at least", ""),
    ("ContinualModel", EXPRESSION, DISK | {"operator": "Exists"}, "compare no values; remove values", ""),
    ("ContinualModel", EXPRESSION, DISK | {"operator": "Gt"}, "Gt and Lt compare with one whole number", ""),
    ("ContinualModel", "spec.gate.enforcement", "Advisory", "an advisory gate waits for nobody", ""),
    ("ContinualModel", "spec.gate.aproval", "Required", 'unknown field "spec.gate.aproval"', "unknown field"),
    ("ContinualModel", "spec.sites", [], "at least 1 items", "at least 1 item"),
    ("ContinualModel", "spec.sites", [{"name": "a"}, {"name": "a"}], "Duplicate value", "listed twice"),
    ("ContinualModel", "spec.sites", [{"name": f"s{i}"} for i in range(65)], "at most 64 items", "at most 64 items"),
    ("ContinualModel", "spec.sites.0.name", "Guangzhou", "lower-case letters, digits and dashes", ""),
    ("ContinualModel", "spec.method.name", "EWK", 'Unsupported value: "EWK"', "expected one of DERPP, EWC, EWC"),
    ("ContinualModel", "spec.method", {"name": "DERPP"}, "method DERPP keeps real images of patients in every ver", ""),
    ("ContinualModel", "spec.method.finetune", {}, "finetune needs name: Finetune", "valid fields are name"),
    ("ContinualModel", f"{CONSOLIDATION}.penalti", "1", "unknown field", "valid fields are penalty"),
    ("ContinualModel", f"{CONSOLIDATION}.penalty", 3000, "must be of type string", "expected a decimal in"),
    ("ContinualModel", f"{CONSOLIDATION}.penalty", "lots", "expected a decimal in quotes", "expected a decimal, like"),
    ("ContinualModel", CONSOLIDATION, "3000", "must be of type object", "expected fields"),
    ("ContinualModel", "spec.method.ewcPrototype.fisher.kind", "sampled", "Unsupported value", "expected one of Exact"),
    ("ContinualModel", "spec.network.input.size", [64], "at least 2 items", "at least 2 items"),
    ("ContinualModel", "spec.network.input.size", [64, 4], "greater than or equal to 8", "at least 8"),
    ("ContinualModel", "spec.network.input.patches", {"volume": [64] * 3}, "patches need three sides in size", ""),
    ("ContinualModel", "spec.network.input.patches", {"volume": [64] * 2}, "at least 3 items", "at least 3 items"),
    ("ContinualModel", "spec.network.input.channels", 2, "Unsupported value: 2", "expected one of 1, 3, found 2"),
    ("ContinualModel", "spec.network.options", GROUP_OF_20, "norm Group needs a width that is a multiple of 8", ""),
    ("ContinualModel", "spec.network.options.width", 3, "greater than or equal to 4", "4 or more"),
    ("ContinualModel", "spec.network.options.norm", "batch", "Unsupported value", "expected one of Group, Batch"),
    ("ContinualModel", "spec.network.options.depth", 3, "the option depth", "valid fields are norm, width"),
    ("ContinualModel", "spec.network.options.colour", 3, "unknown field", "valid fields are norm, width"),
    ("ContinualModel", "spec.network.type", "ResNet19", "SmallCNN, ResNet18, timm/<model>, or a network", ""),
    ("ContinualModel", "spec.network.type", "timm/a.in1k", "SmallCNN, ResNet18, timm/<model>, or a network", ""),
    ("ContinualModel", "spec.network.options", {"dropPath": "0.1"}, "no network of this type has the option", "unkno"),
    ("ContinualModel", "spec.network", {"type": "timm/a", "options": {"width": 8}}, "this type has the opt", "unkno"),
    ("ContinualModel", "spec.network", {"type": "timm/a", "input": {"size": [32, 32, 32]}}, "need two sides", ""),
    ("ContinualModel", "spec.network", {"type": "monai/ViT", "options": {"depth": 65}}, "less than or equal", "at mo"),
    ("ContinualModel", "spec.network", UNEVEN_HEADS, "embedding needs to be a multiple of the he", "a multiple of 5"),
    ("ContinualModel", "spec.network", {"type": "monai/ViT", "input": {"size": [40, 40]}}, "multiples of the p", ""),
    ("ContinualModel", "spec.network", UNEVEN_SWIN, "embedding needs to be a multiple of 12", "a multiple of 12"),
    ("ContinualModel", "spec.network", WIDE_GROUP, "norm Group needs a width that is a multiple of 8", ""),
    ("ContinualModel", "spec.network.input.size", [8, 8], "need two sides of 16 pixels or more", ""),
    ("ContinualModel", "spec.network.frozen", "Stages 4", "Nothing, All, or Stages 1-4", ""),
    ("ContinualModel", "spec.network.weights", {"url": "a", "sha256": "1"}, "sha256: and 64 hex digits", ""),
    ("ContinualModel", "spec.network.input.normalisation", UNEVEN, "mean and std need one number, or one", ""),
    ("ContinualModel", "spec.training.learningRate", "0", "a decimal above 0", "more than 0"),
    ("ContinualModel", "spec.training.epochs", "8", "must be of type integer", "should be a valid integer"),
    ("ContinualModel", "spec.trigger.quietPeriod", "5 minutes", "a number and s, m, h or d, like 30m", ""),
    ("ContinualModel", "spec.trigger.quietPeriod", "5min", "a number and s, m, h or d, like 30m", ""),
    ("ContinualModel", "spec.trigger.schedule.cron", "every day", "five fields (minute, hour, day, month,", ""),
    ("ContinualModel", "spec.trigger.schedule.cron", "0 25 * * *", "five fields (minute, hour, day, month,", ""),
    ("ContinualModel", "spec.trigger.schedule.cron", "0 2 * *", "five fields (minute, hour, day, month,", ""),
    ("ContinualModel", "spec.trigger.schedule.timeZone", "my zone", "a time zone, like Europe/Rome", ""),
    ("ContinualModel", "spec.trigger.schedule.timeZone", "Europe/Roma", "a name of the time zone", "time zone"),
    ("ContinualModel", "spec.trigger.window.end", "22:00", "start and end are the same; remove window", ""),
    ("ContinualModel", "spec.trigger.window.end", "24:00", "a time of day from 00:00 to 23:59, in quotes", ""),
    ("ContinualModel", "spec.trigger.window.days", ["Monday"] * 2, "Duplicate value", "'Monday' is listed twice"),
    ("ContinualModel", "spec.registry.url", "ftp://x", "s3://bucket/prefix, file:///absolute/path or a relative", ""),
    ("ContinualModel", "spec.registry.signing", REMOVED, "approval Required on backend Kubeflow needs", ""),
    ("ContinualModel", "spec.registry.signing.publicKeys", [], "at least 1 items", "at least 1 item"),
    ("ContinualModel", "spec.registry.signing.publicKeys.0.key", "abc", "a public key, as 'anamnesis key signing'", ""),
    ("ContinualModel", "spec.registry.signing.publicKeys.0.role", "Admin", "Unsupported value", "expected one of Oper"),
    ("ContinualModel", "spec.registry.url", "registry", "backend Kubeflow needs a registry.url of s3://", ""),
    ("ContinualModel", "spec.splitKey", {"type": "File", "file": {"path": "k"}}, "excludes a splitKey of type", ""),
    ("ContinualModel", "spec.splitKey.secret", REMOVED, "type Secret needs the field secret", ""),
    ("ContinualModel", "spec.splitKey.file", {"path": "k"}, "set file for type File only", "type Secret excludes"),
    ("ContinualModel", "spec.backend.type", "Local", "set kubeflow for type Kubeflow only", "type Local excludes"),
    ("ContinualModel", "spec.backend.kubeflow", REMOVED, "type Kubeflow needs the field kubeflow", ""),
    ("ContinualModel", "spec.backend.kubeflow.endpoint", "ml-pipeline", "an address with http:// or https://", ""),
    ("ContinualModel", "spec.backend.kubeflow.sharedMemory", "2GB", "a number and Mi, Gi, Ti, M, G or T, like 2Gi", ""),
    ("ContinualModel", "spec.backend.kubeflow.gpus", 65, "less than or equal to 64", "at most 64"),
    ("ContinualModel", "spec.backend.runDeadline", "0h", "a number above 0 and s, m, h or d, like 30m", ""),
    ("Site", "spec.source.folder", {"path": "x"}, "set folder for type Folder only", "type S3 excludes the field"),
    ("Site", "spec.source.s3", REMOVED, "type S3 needs the field s3", ""),
    ("Site", "spec.source.s3.url", "incoming/x", "an address like s3://bucket/prefix", ""),
    ("Site", "spec.source.type", "FTP", 'Unsupported value: "FTP"', "expected one of Folder, S3, DICOMweb, Orthanc"),
    ("Site", "spec.source.pollInterval", "0s", "a number above 0 and s, m, h or d", ""),
    ("Site", "spec.source", {"type": "Orthanc", "orthanc": {"url": "http://o"}}, "holds no manifest: set labels", ""),
    ("Site", "spec.source.s3.url", "s3://Incoming/x", "with the bucket in small letters", ""),
    ("Site", "spec.source.s3.url", "s3://incoming:9000/x", "with the bucket in small letters", ""),
    ("Site", "spec.store", "s3://images\n", "a bucket in small letters", ""),
    ("Site", "spec.task.classes", ["..", "b"], "without a dot at its start", ""),
    ("ContinualModel", "spec.backend.kubeflow.image", "a b", "a container image like registry.example", ""),
    ("ContinualModel", "spec.backend.kubeflow.image", "img@sha256:abc", "a container image like registry.example", ""),
    ("ContinualModel", "spec.backend.kubeflow.endpoint", "http://kfp:port", "an address with http:// or https://", ""),
    ("Site", "spec.source", _pacs(url="https://pacs?x=1"), "without user, password and query", ""),
    ("Site", "spec.source", _pacs(query={"from": "2024"}), "a DICOM date in quotes, year, month and day", ""),
    ("Site", "spec.source", _pacs(query={"to": "20240230"}), "a day of the calendar", ""),
    ("Site", "spec.source", _pacs(query={"from": "20240301", "to": "20240229"}), "from is later than to", ""),
    ("Site", "spec.source", _pacs(query={"from": 20240301}), "must be of type string", "expected text, found"),
    ("Site", "spec.source", _pacs(query={"modalities": ["CT"] * 2}), "expected each item once", "'CT' is listed twice"),
    ("Site", "spec.source", _pacs(query={"description": "a\\b"}), "text of one line without a backslash", ""),
    ("Site", "spec.task.classes", ["pneumonia"], "type Classification needs two classes or more", ""),
    ("Site", "spec.task.classes", ["a", "a"], "expected each item once", "'a' is listed twice"),
    ("Site", "spec.task.classes", ["a/b", "c"], "text without a slash, without spaces", ""),
    ("Site", "spec.task.primaryMetric", "Dice", "Classification needs the primaryMetric", "Classification needs AUROC"),
    ("Site", "spec.task", TASK | {"primaryMetric": "AUROC"}, "Segmentation needs the prim", "Segmentation needs Dice"),
    ("Site", "spec.labels.manifest", REMOVED, "from: Manifest needs the field manifest", ""),
    ("Site", "spec.labels.from", "Container", "from: Container excludes the field manifest", ""),
    ("Site", "spec.labels", {"patients": "Files"}, "from: Container excludes the fields patients, covariates", ""),
    ("Site", "spec.labels.patients", "Folders", 'Unsupported value: "Folders"', "expected one of Column, Files"),
    ("Site", "spec.labels.covariates", ["age", "age"], "Duplicate value", "'age' is listed twice"),
    ("Site", "spec.modalities", [], "at least 1 items", "at least 1 item"),
    ("Site", "spec.modalities", ["x-ray"], "a DICOM modality code, like DX or CT", ""),
    ("Site", "spec.store", REMOVED, "spec.store: Required value", "spec.store: missing"),
    ("Site", "spec.store", "ftp://x", "s3://bucket/prefix, file:///absolute/path or a relative", ""),
    ("Site", "spec.testFraction", "2", OPEN_SHARE, "less than 1"),
    ("Site", "spec.testFraction", "0", OPEN_SHARE, "more than 0"),
    ("Site", "spec.testFraction", "1", OPEN_SHARE, "less than 1"),
    ("Site", "spec.labels.ignore", ["pneumonia"], "labels.ignore has a class of the task", ""),
    ("Site", "spec.task", PROGNOSIS | {"classes": ["a", "b"]}, "types Prognosis and Pretraining have no classes", ""),
    ("Site", "spec", FOLDERS, "need no credentials; remove source.credentialsSecret", ""),
    ("Site", "spec.maximumStudies", -1, "greater than or equal to 0", "at least 0"),
    ("ModelUpdate", "spec.claim", "sha256:abc", "sha256: and 64 hex digits", ""),
    ("ModelUpdate", "spec.request", "{}", "must be of type object", "expected fields, found"),
    ("ModelUpdate", "spec.request.site.testFraction", 0.2, "must be of type string", "expected text, found 0.2"),
    ("UpdateApproval", "spec.update", REMOVED, "Approve and Reject need the field update alone", ""),
    ("UpdateApproval", "spec.model", "chest", "Approve and Reject need the field update alone", ""),
    ("UpdateApproval", "spec.decision", "RollBack", "RollBack and Withdraw need the field model", ""),
    ("UpdateApproval", "spec.decision", "Maybe", 'Unsupported value: "Maybe"', "expected one of Approve, Reject, Roll"),
    ("UpdateApproval", "spec.version", "5b1e", "sha256: and 64 hex digits", ""),
    ("UpdateApproval", "spec.reason", "", "at least 1 chars", "at least 1 character"),
    ("UpdateApproval", "spec.approver", REMOVED, "spec.approver: Required value", "spec.approver: missing"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "path", "value", "server", "types"), BAD, ids=[f"{c[0]}-{c[1]}" for c in BAD])
def test_a_bad_resource_is_refused_by_both_in_words_that_help(
    cluster: ApiServer, kind: str, path: str, value: object, server: str, types: str
) -> None:
    document = with_field(VALID_RESOURCES[kind], path, value)
    assert server in server_refusal(cluster, document)
    assert (types or server) in types_refusal(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.task.classes", list(reversed(VALID_RESOURCES["Site"]["spec"]["task"]["classes"]))),
        ("spec.modalities", ["CT", "DX"]),
    ],
)
def test_the_order_of_classes_and_modalities_cannot_be_changed(
    cluster: ApiServer, namespace: str, path: str, value: object
) -> None:
    """The classifier's outputs have no names: in another order, the model would answer with the wrong class."""
    site = with_field(VALID_RESOURCES["Site"], "spec.modalities", ["DX", "CT"])
    collection = f"/apis/anamnesis.dev/v1alpha1/namespaces/{namespace}/sites"
    stored = cluster.request("POST", collection, site)
    with pytest.raises(urllib.error.HTTPError) as caught:
        cluster.request("PUT", f"{collection}/{site['metadata']['name']}", with_field(stored, path, value))
    assert "cannot be changed" in caught.value.read().decode()


def leaves(schema: Document, path: str) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from leaves(part, f"{path}.{name}")


FIELDS = [
    (kind, path)
    for kind in VALID_RESOURCES
    for path in leaves(resource_schema(KINDS[kind])["properties"]["spec"], "spec")
]
VALUES = st.sampled_from([
    *("", "a", "A", "a b", "a/b", "-a", "é", "a\n", " a", "Container", "Folder", "Manifest", "Finetune", "Exact"),
    *("0", "1", "0.5", "1.5", "-1", "1e2", "1e-99", ".5", "+0.25", "NaN", "1,5", "0x1", " 1", "\u0661"),
    *("5m", "0s", "05m", "1h ", "1w", "22:00", "7:00", "Etc/UTC", "0 2 * * *", "*/5 * * JAN mon-fri", "0  2 * * *"),
    *("s3://b", "s3:///b", "file:///x", "file://x", "http://h", "x:y", "sha256:" + "a" * 64, "sha256:" + "A" * 64),
    *(0, 1, 2, 63, 64, 8192, -1, 2**31, True, [], ["a"], ["a", "a"], [1, 64]),
    *({}, {"name": "a"}, [{"name": "a"}], REMOVED),
])  # fmt: skip


def schema_refusal(request: object) -> str:
    try:
        record_model(UpdateRequest).model_validate(request)
    except ValidationError as error:
        return str(error)
    return ""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(FIELDS), value=VALUES)
def test_server_and_types_agree_on_any_field(cluster: ApiServer, field: tuple[str, str], value: object) -> None:
    kind, path = field
    try:
        document = with_field(VALID_RESOURCES[kind], path, value)
    except (KeyError, TypeError):  # below a list, or not there to be taken away
        return
    if path.endswith(".channels") and value is True:  # to Python, true is 1
        return
    server, types = server_refusal(cluster, document), types_refusal(document)
    if path.startswith("spec.request."):  # the schema does not contain a record's own checks
        types = schema_refusal(document["spec"]["request"])
    assert bool(server) == bool(types), f"{path}: {value!r}: the server says {server!r}, the types say {types!r}"
