"""Valid resources, and the errors of API server and types on changed ones."""

import copy
import json
import urllib.error
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.api.resource_definitions import RESOURCE_DEFINITIONS
from anamnesis.operator.api.validation_messages import describe_errors
from builders.api_server import ApiServer
from builders.resource_documents import REQUEST_DOCUMENT

Document = dict[str, Any]
SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
API = "/apis/anamnesis.dev/v1alpha1"
PLURALS = {definition.resource_type.__name__: definition.plural for definition in RESOURCE_DEFINITIONS}
REMOVED = object()


def parse_documents(*texts: str) -> list[Document]:
    return [document for text in texts for document in yaml.safe_load_all(text)]


def sample(name: str, kind: str) -> Document:
    candidates = parse_documents((SAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    return next(document for document in candidates if document["kind"] == kind)


UPDATE = {
    "apiVersion": "anamnesis.dev/v1alpha1",
    "kind": "ModelUpdate",
    "metadata": {"name": "chest-0123456789"},
    "spec": {
        "model": "chest",
        "site": "guangzhou",
        "claim": "sha256:" + "1" * 64,
        "sourceFingerprint": "sha256:" + "2" * 64,
        "patients": 120,
        "request": REQUEST_DOCUMENT,
    },
}
VALID_RESOURCES = {
    "ContinualModel": sample("kubeflow", "ContinualModel"),
    "ModelUpdate": UPDATE,
    "Site": sample("kubeflow", "Site"),
    "UpdateApproval": sample("approval", "UpdateApproval") | {"metadata": {"name": "chest-1"}},
}


def with_field(document: Document, path: str, value: object) -> Document:
    """Returns the document with the field at ``path`` (``spec.sites.0.name``) set, or removed for ``REMOVED``."""
    document = copy.deepcopy(document)
    *parents, last = path.split(".")
    node: Any = document
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    if value is REMOVED:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value
    return document


def server_refusal(server: ApiServer, document: Document) -> str:
    """Returns the API server's error on the document; empty when the document is valid."""
    if document["kind"] == "UpdateApproval" and isinstance((document.get("spec") or {}).get("approver", 0), str):
        document = with_field(document, "spec.approver", "admin" if document["spec"]["approver"] else "")
    path = f"{API}/namespaces/default/{PLURALS[document['kind']]}?dryRun=All&fieldValidation=Strict"
    try:
        server.request("POST", path, document)
    except urllib.error.HTTPError as error:
        return str(json.loads(error.read())["message"])
    return ""


def types_refusal(document: Document) -> str:
    """Returns the errors of the types on the document; empty when the document is valid."""
    kind = KINDS[document["kind"]]
    try:
        kind.model_validate(document)
    except ValidationError as error:
        return "\n".join(describe_errors(error, kind))
    return ""
