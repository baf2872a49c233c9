"""What a person on call sees: `kubectl get` of realistic statuses."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from builders.api_server import ApiServer
from builders.valid_resources import VALID_RESOURCES, Document, sample, with_field

TIME = "2026-01-21T02:31:07Z"
DIGEST = "sha256:5b1e" + "0" * 60
DENIED = "bethesda: s3://incoming/bethesda: access denied; the Secret s3 must allow ListBucket"
Put = Callable[..., None]


def condition(kind: str, status: str, reason: str, message: str = "") -> Document:
    fields = {"type": kind, "status": status, "reason": reason, "message": message}
    return fields | {"lastTransitionTime": TIME, "observedGeneration": 1}


@pytest.fixture
def put(cluster: ApiServer, namespace: str) -> Put:
    """Creates a resource and gives it a status, as the operator does: by server-side apply."""

    def call(document: Document, name: str, *conditions: Document, **status: Any) -> None:
        document = with_field(document, "metadata", {"name": name})
        cluster.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(document))
        status_fields = {"observedGeneration": 1, "conditions": conditions, **status}
        applied = {key: document[key] for key in ("apiVersion", "kind", "metadata")} | {"status": status_fields}
        apply = ("apply", "--server-side", "--subresource=status", "--field-manager=anamnesis-operator", "-f", "-")
        cluster.kubectl("-n", namespace, *apply, stdin=json.dumps(applied))

    return call


def cells(server: ApiServer, namespace: str, kind: str, *options: str) -> list[list[str]]:
    """Returns the table's rows with a cell for each column, the age left out."""
    head, *lines = server.kubectl("-n", namespace, "get", kind, *options).splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", head)]
    ends = [*starts[1:], None]
    rows = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in (head, *lines)]
    age = rows[0].index("AGE")
    return [row[:age] + row[age + 1 :] for row in rows]


def test_models(cluster: ApiServer, namespace: str, put: Put) -> None:
    ready, well = condition("Ready", "True", "ChampionInUse"), condition("Stalled", "False", "NothingToDo")
    steady = condition("Drifting", "False", "RecentWithinFloor")
    put(
        VALID_RESOURCES["ContinualModel"],
        "chest",
        *(ready, well, condition("Forgetting", "False", "WithinMargin"), steady),
        condition("Progressing", "False", "Idle", "guangzhou: Learned; bethesda: WaitingForPatients 12 of 50"),
        champion=DIGEST,
    )
    put(
        VALID_RESOURCES["ContinualModel"],
        "head",
        condition("Ready", "False", "NoChampion", "no version was promoted yet"),
        condition("Progressing", "True", "AwaitingApproval", "head-0123456789: passed the gate"),
        *(well, condition("Forgetting", "Unknown", "NotEvaluated"), condition("Drifting", "Unknown", "NoRecentCases")),
    )
    put(
        VALID_RESOURCES["ContinualModel"],
        "knee",
        *(ready, condition("Progressing", "False", "Idle"), condition("Stalled", "True", "Unreadable", DENIED)),
        *(condition("Forgetting", "True", "ScoreFell", "guangzhou: AUROC 0.81 is below 0.89"), steady),
    )
    assert cells(cluster, namespace, "cmodel") == [
        ["NAME", "READY", "UPDATE", "FORGETTING", "DRIFTING", "STALLED", "PROBLEM"],
        ["chest", "True", "Idle", "False", "False", "False", ""],
        ["head", "False", "AwaitingApproval", "Unknown", "Unknown", "False", ""],
        ["knee", "True", "Idle", "True", "False", "True", DENIED],
    ]
    wide = cells(cluster, namespace, "continualmodels", "-o", "wide")
    assert wide[0][7:] == ["CHAMPION", "PROMOTED", "PROGRESS"]
    assert wide[1][7:] == [DIGEST, "", "guangzhou: Learned; bethesda: WaitingForPatients 12 of 50"]


def test_sites(cluster: ApiServer, namespace: str, put: Put) -> None:
    source = {"fingerprint": DIGEST, "files": 12034, "patients": 4711, "lastChangeTime": "2020-01-01T00:00:00Z"}
    put(VALID_RESOURCES["Site"], "guangzhou", condition("Ready", "True", "Readable", "12034 files"), source=source)
    refused = "https://pacs.hospital.example: 401; check the Secret pacs"
    put(
        sample("dicomweb", "Site"),
        "verona",
        *(condition("Ready", "False", "Refused", refused), condition("Stalled", "True", "Refused", refused)),
    )
    head, guangzhou, verona = cells(cluster, namespace, "sites")
    assert head == ["NAME", "READY", "SOURCE", "TASK", "FILES", "PATIENTS", "CHANGED", "PROBLEM"]
    assert guangzhou[:6] + guangzhou[7:] == ["guangzhou", "True", "S3", "pneumonia", "12034", "4711", ""]
    assert re.fullmatch(r"\d+y(\d+d)?", guangzhou[6])
    assert verona == ["verona", "False", "DICOMweb", "haemorrhage", "", "", "", refused]


def test_updates(cluster: ApiServer, namespace: str, put: Put) -> None:
    run = {"name": "chest-0-2", "id": "7f", "attempt": 2, "state": "Failed", "startTime": TIME}
    waits, failed = "run: anamnesis approve", "all 3 runs failed: train: out of memory"
    put(VALID_RESOURCES["ModelUpdate"], "chest-0", condition("Decided", "True", "RunFailed", failed), run=run)
    put(
        VALID_RESOURCES["ModelUpdate"],
        "chest-1",
        condition("Decided", "False", "AwaitingApproval", waits),
        version=DIGEST,
    )
    assert cells(cluster, namespace, "mupdate") == [
        ["NAME", "MODEL", "SITE", "STATE", "RUN", "ATTEMPT", "MESSAGE"],
        ["chest-0", "chest", "guangzhou", "RunFailed", "Failed", "2", failed],
        ["chest-1", "chest", "guangzhou", "AwaitingApproval", "", "", waits],
    ]


def test_approvals(cluster: ApiServer, namespace: str, put: Put) -> None:
    approve = with_field(VALID_RESOURCES["UpdateApproval"], "spec.approver", "admin")
    late = "another version became champion first; approve the version of the next update"
    put(approve, "good", condition("Recorded", "True", "Recorded", "log entry 7"), logEntry=7)
    put(approve, "late", condition("Recorded", "False", "Superseded", late))
    put(with_field(sample("rollback", "UpdateApproval"), "spec.approver", "admin"), "back")
    assert cells(cluster, namespace, "approval") == [
        ["NAME", "DECISION", "UPDATE", "MODEL", "APPROVER", "STATE", "MESSAGE"],
        ["back", "RollBack", "", "chest", "admin", "", ""],
        ["good", "Approve", "chest-0123456789", "", "admin", "Recorded", "log entry 7"],
        ["late", "Approve", "chest-0123456789", "", "admin", "Superseded", late],
    ]


def test_all_resources_are_in_one_category(cluster: ApiServer, namespace: str, put: Put) -> None:
    put(VALID_RESOURCES["Site"], "guangzhou")
    put(VALID_RESOURCES["ModelUpdate"], "chest-0")
    names = cluster.kubectl("-n", namespace, "get", "anamnesis", "-o", "name").split()
    assert names == ["modelupdate.anamnesis.dev/chest-0", "site.anamnesis.dev/guangzhou"]
