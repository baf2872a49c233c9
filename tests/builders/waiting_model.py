"""A namespace with a model that waits for a person: resources and statuses as the operator writes them."""

from pathlib import Path
from typing import Any

from anamnesis.records import digest_json
from builders.api_server import ApiServer
from builders.resource_documents import PNEUMONIA, REQUEST_DOCUMENT, document, model_spec, site_spec

PEOPLE = Path(__file__).resolve().parents[2] / "manifests" / "people"
GROUP = "/apis/anamnesis.dev/v1alpha1"
CHAMPION, CANDIDATE = "sha256:" + "aa11" * 16, "sha256:" + "4f1c" * 16
UPDATE = "chest-5b1e00aa01"
TIMESTAMP = "2026-11-21T08:00:00Z"


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": TIMESTAMP}


SITE = site_spec({"type": "S3", "s3": {"url": "s3://bucket/guangzhou"}}, "s3://images/guangzhou", PNEUMONIA, "DX")
MODEL = model_spec(("guangzhou", "bethesda"), {"method": {"name": "EWCPrototype"}})
MODEL_STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "champion": CHAMPION,
    "promotionTime": TIMESTAMP,
    "update": UPDATE,
    "logHead": {"number": 7, "digest": CHAMPION},
    "conditions": [
        condition("Ready", "True", "ChampionInUse"),
        condition("Progressing", "True", "AwaitingApproval", f"{UPDATE}: passed the gate"),
        condition("Stalled", "False", "NothingToDo"),
        condition("AwaitingApproval", "True", "WaitsForAPerson", f"{UPDATE}: passed the gate"),
        condition("Forgetting", "Unknown", "NotEvaluated"),
        condition("Drifting", "True", "RecentBelowFloor", "guangzhou: AUROC 0.71 on 31 recent cases, floor 0.78"),
        condition("BackendReachable", "True", "Reachable"),
    ],
    "sites": [
        {"name": "guangzhou", "state": "Learned", "samples": 400, "quarantinedFiles": 12, "lastLearnedTime": TIMESTAMP},
        {"name": "bethesda", "state": "AwaitingApproval", "message": f"{UPDATE}: passed the gate"},
    ],
    "tasks": [
        {
            "site": "guangzhou",
            "task": "pneumonia",
            "metric": "AUROC",
            "frozenScore": {"value": "0.912", "low": "0.881", "high": "0.940", "cases": 120, "patients": 90},
            "firstScore": "0.920",
            "floor": "0.80",
            "margin": "0.05",
            "evaluationTime": TIMESTAMP,
        }
    ],
    "decisions": {"promoted": 1},
}
UPDATE_SPEC = {
    "model": "chest",
    "site": "bethesda",
    "claim": CANDIDATE,
    "sourceFingerprint": CANDIDATE,
    "baseVersion": CHAMPION,
    "request": REQUEST_DOCUMENT,
}
REPORT = {
    "version": CANDIDATE,
    "base": CHAMPION,
    "tasks": [
        {
            "site": "guangzhou",
            "task": "pneumonia",
            "metric": "AUROC",
            "testSet": CHAMPION,
            "role": "Earlier",
            "patients": 90,
            "before": {"value": "0.912", "low": "0.881", "high": "0.940", "cases": 120, "patients": 90},
            "after": {"value": "0.905", "low": "0.873", "high": "0.934", "cases": 120, "patients": 90},
            "firstScore": "0.920",
            "forgetting": "0.015",
            "recalls": [],
            "classesWithoutRecall": 2,
            "detail": "Full",
        }
    ],
    "criteria": [
        {
            "name": "forgetting",
            "site": "guangzhou",
            "task": "pneumonia",
            "value": "0.015",
            "limit": "0.05",
            "result": "Passed",
            "metric": "AUROC",
            "reference": CHAMPION,
            "patients": 90,
            "reason": "",
        }
    ],
    "criteriaNotListed": 0,
}
REPORT_DIGEST = digest_json(REPORT)
AWAITING = {
    "version": CANDIDATE,
    "report": REPORT,
    "reportDigest": REPORT_DIGEST,
    "conditions": [condition("Decided", "False", "AwaitingApproval", "passed the gate")],
}
READABLE = {
    "source": {"fingerprint": CHAMPION, "files": 800, "lastChangeTime": TIMESTAMP},
    "conditions": [condition("Ready", "False", "Unreachable", "the bucket does not answer")],
}


def create_resource(
    server: ApiServer,
    namespace: str,
    kind: str,
    name: str,
    spec: dict[str, Any],
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> None:
    """Creates a resource and its status."""
    path = f"{GROUP}/namespaces/{namespace}/{kind.lower()}s"
    created = server.request("POST", path, document(kind, name, spec, metadata))
    if status is not None:
        server.request("PUT", f"{path}/{name}/status", {**created, "status": status})


def read_resource(server: ApiServer, namespace: str, plural: str, name: str = "") -> Any:
    """Returns a resource, or the list of all resources."""
    return server.request("GET", f"{GROUP}/namespaces/{namespace}/{plural}/{name}".rstrip("/"))


def create_waiting_model(server: ApiServer, namespace: str) -> None:
    """Creates a model with two sites; the update of one site waits for approval."""
    create_resource(server, namespace, "Site", "guangzhou", spec=SITE, status=READABLE)
    create_resource(server, namespace, "Site", "bethesda", spec=SITE)
    create_resource(server, namespace, "ContinualModel", "chest", spec=MODEL, status=MODEL_STATUS)
    create_resource(server, namespace, "ModelUpdate", UPDATE, spec=UPDATE_SPEC, status=AWAITING)


def grant_role(server: ApiServer, namespace: str, user: str, role: str) -> None:
    """Gives a user a role of ``manifests/people`` in a namespace."""
    server.kubectl("apply", "--server-side", "-k", str(PEOPLE))
    name = f"{user}-{role}"
    server.kubectl("create", "rolebinding", name, "-n", namespace, f"--clusterrole={role}", f"--user={user}")
